//go:build integration

// Package integration proves that nodes, a real Redis and the official JavaScript
// packages work together: stories that clients play on clusters of several kinds,
// with servers of the reference implementation among them, faults of Redis, and
// nodes that are killed.
package integration

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// patience bounds every wait; a test that needs it has failed.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	goredis.SetLogger(quiet{})
	if options := os.Getenv(asNode); options != "" {
		if err := runNode(options); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// quiet keeps the Redis client from reporting each refused dial to standard error.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// eventually waits until condition holds, which is looked at often: for what
// nobody announces, such as a node's health.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		<-look.C
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}
