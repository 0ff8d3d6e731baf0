//go:build integration

package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/server"
)

// One client never reads while its room gets a megabyte each second from every
// node together. It is closed with a transport error soon after its queue is full,
// and the others miss nothing.
func TestSlowConsumer_IsClosedAndHarmsNobody(t *testing.T) {
	redisAddr := redisserver.Addr(t)
	var nodes []*node
	for range 3 {
		nodes = append(nodes, startNode(t, redisAddr, server.Options{MaxSendQueueBytes: 1 << 20}))
	}
	awaitMembers(t, nodes)
	type farewell struct {
		id     string
		reason server.DisconnectReason
	}
	farewells := make(chan farewell, 3)
	nodes[0].Of("/").OnDisconnect(func(_ context.Context, s *server.Socket, reason server.DisconnectReason) {
		farewells <- farewell{s.ID(), reason}
	})
	var listeners [][]*listener
	for _, n := range nodes {
		listeners = append(listeners, []*listener{listen(t, n, "room"), listen(t, n, "room")})
	}
	deaf, id := rawclient.Join(t, nodes[0].url, "/", nil)
	deaf.Send(`20["join",["room"]]`)
	deaf.Expect("30[]")

	before := heap()
	start := time.Now()
	toRoom := func(n *node) server.Broadcast { return n.To("room") }
	speakers := speak(t, nodes, 3*time.Millisecond, toRoom, strings.Repeat("x", 1000))
	if got, want := receive(t, "the deaf client to be closed", farewells), (farewell{id, server.TransportError}); got != want {
		t.Errorf("got %q, want the deaf client %q", got, want)
	}
	t.Logf("closed after %v and %d events per node, heap %+d KiB", time.Since(start), speakers[0].emitted(), (int64(heap())-int64(before))>>10)
	if slow := nodes[0].Stats().SlowConsumers; slow != 1 {
		t.Errorf("%d clients were counted as slow, want one", slow)
	}
	for _, s := range speakers {
		last := s.emitted()
		for _, here := range listeners {
			for _, l := range here {
				l.await(t, s.name, last)
				l.expectAll(t, s.name, 0, last)
				l.expectConnected(t)
			}
		}
	}
}
