package engine

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
)

func TestListen_ClientThatSpeaksGoesBeforeOneThatDoesNot(t *testing.T) {
	listener, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dial := func(say string) net.Conn {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		if _, err := client.Write([]byte(say)); err != nil {
			t.Fatal(err)
		}
		return client
	}
	silent, speaks := dial(""), dial("hello")
	for _, client := range []net.Conn{speaks, silent} { // who says nothing is not kept out
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got, want := conn.RemoteAddr().String(), client.LocalAddr().String(); got != want {
			t.Errorf("%s was accepted, want %s", got, want)
		}
	}
}

func TestListen_WhoWasAcceptedGoesOnFirst(t *testing.T) {
	listener, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	const clients = 20
	for range clients {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	first := 0
	for range clients {
		var served atomic.Bool
		go served.Store(true)
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if served.Load() {
			first++
		}
	}
	if first < clients/2 { // the scheduler prefers another order now and then
		t.Errorf("%d of %d went on before the next was accepted", first, clients)
	}
}
