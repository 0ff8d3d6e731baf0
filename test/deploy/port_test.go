//go:build integration

package deploy

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// given are the ports that freePort has returned: who got one may not listen on it yet.
var given = map[int]bool{}

// freePort returns a port of 127.0.0.1 on which nobody listens, another one each time,
// below those that the system gives to outgoing connections: a balancer's connection must
// not take the port of a node that is about to start again.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 12_000 + rand.IntN(18_000)
		if given[port] {
			continue
		}
		l, err := net.Listen("tcp", addressOf(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		given[port] = true
		return port
	}
	t.Fatal("no port is free")
	return 0
}

func addressOf(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
