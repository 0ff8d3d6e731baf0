//go:build linux

package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// Clients that are parked have a place in the line like the others, and leave from there.
func TestDrain_ParkedClientsLeaveInTheirTurn(t *testing.T) {
	const clients, first, window = 40, 3, 20 * time.Second
	s, url := start(t, server.Options{ParkAfter: time.Nanosecond})
	reasons := make(chan server.DisconnectReason, clients)
	s.Of("/").OnDisconnect(func(_ context.Context, _ *server.Socket, reason server.DisconnectReason) { reasons <- reason })
	var all []*rawclient.Client
	for range clients {
		c, _ := rawclient.Join(t, url, "/", nil)
		all = append(all, c)
	}
	eventually(t, "all clients are parked", func() bool { return server.Parked(s) == clients })
	begun, drained := time.Now(), make(chan error, 1)
	go func() { drained <- s.Drain(t.Context(), window) }()
	for i := range first {
		if got := <-reasons; got != server.ServerShutdown {
			t.Errorf("the reason is %q", got)
		}
		at := time.Since(begun)
		if share := time.Duration(i) * window / clients; at < share || at > window/2 {
			t.Errorf("client %d left after %v, want about %v", i+1, at, share)
		}
	}
	errs(t, s.Shutdown(t.Context())) // the others need not have their turns
	errs(t, <-drained)
	for _, c := range all {
		if told := c.ExpectClose(); len(told) > 0 {
			t.Errorf("a client was told %q before the close", told)
		}
	}
	eventually(t, "nobody is parked", func() bool { return server.Parked(s) == 0 })
}
