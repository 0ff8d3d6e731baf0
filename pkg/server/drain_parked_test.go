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
	const clients, window = 40, 200 * time.Millisecond
	s, url := start(t, server.Options{ParkAfter: time.Nanosecond})
	reasons := make(chan server.DisconnectReason, clients)
	s.Of("/").OnDisconnect(func(_ context.Context, _ *server.Socket, reason server.DisconnectReason) { reasons <- reason })
	var all []*rawclient.Client
	for range clients {
		c, _ := rawclient.Join(t, url, "/", nil)
		all = append(all, c)
	}
	eventually(t, "all clients are parked", func() bool { return server.Parked(s) == clients })
	begun := time.Now()
	left := awaitLeaving(begun, all...)
	errs(t, s.Drain(t.Context(), window))
	for i, l := range left() {
		if share := time.Duration(i) * window / clients; l.at < share {
			t.Errorf("client %d left after %v, want at least %v", i+1, l.at, share)
		}
		if len(l.told) > 0 {
			t.Errorf("client %d was told %q before the close", i+1, l.told)
		}
		if got := <-reasons; got != server.ServerShutdown {
			t.Errorf("the reason is %q", got)
		}
	}
	if parked, left := server.Parked(s), s.Stats().Draining; parked > 0 || left > 0 {
		t.Errorf("%d are parked and %d to go when the drain has ended", parked, left)
	}
}
