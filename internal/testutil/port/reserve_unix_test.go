//go:build unix

package port_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/port"
)

func TestReserve_AddressIsItsOwnersAlone(t *testing.T) {
	addr, release, err := port.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for range 2 {
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("before anybody listens: got %v, want a refusal", err)
		}
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
	greedy := net.Dialer{LocalAddr: must(net.ResolveTCPAddr("tcp", addr))}
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if c, err := greedy.Dial("tcp", target.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("a connection has got the port for its near end")
	}
}

func must(a *net.TCPAddr, err error) net.Addr {
	if err != nil {
		panic(err)
	}
	return a
}
