package engine

import (
	"net"
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
