//go:build integration

package deploy

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// freePort returns a port of 127.0.0.1 on which nobody listens, below those that the
// system gives to outgoing connections: a balancer's connection must not take the
// port of a node that is about to start again.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 12_000 + rand.IntN(18_000)
		l, err := net.Listen("tcp", addressOf(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no port is free")
	return 0
}

func addressOf(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
