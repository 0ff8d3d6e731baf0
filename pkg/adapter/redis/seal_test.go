package redis_test

import (
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

func signed(key string, interest bool) redis.Options {
	return redis.Options{HMACKey: []byte(key), InterestRouting: interest}
}

const key = "sixteen bytes at least"

func TestHMACKey_UnsignedMessagesAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	for name, interest := range map[string]bool{"by_pattern": false, "by_interest": true} {
		t.Run(name, func(t *testing.T) {
			server := redisserver.Start(t)
			client := newClient(t, server.Addr())
			a := join(t, newAdapterWith(t, newClient(t, server.Addr()), signed(key, interest)), "/", "a")
			b := join(t, newAdapterWith(t, newClient(t, server.Addr()), signed(key, interest)), "/", "b")
			unsigned := join(t, newAdapter(t, server.Addr()), "/", "c")
			otherwise := join(t, newAdapterWith(t, newClient(t, server.Addr()), signed("another key of so many bytes", interest)), "/", "d")
			if interest {
				a.occupy(t, "room")
			}
			forgeries := 0
			if interest {
				forgeries++ // the other node has asked whether a Node.js server is there
			}
			for _, n := range []*node{unsigned, otherwise} {
				n.emit(t, "forged")
				n.emit(t, "forged", "room")
				for _, m := range []*adapter.Message{
					{Kind: adapter.KindRequest, Request: &adapter.Request{ID: "1", Action: adapter.ActionRooms}},
					{Kind: adapter.KindGoodbye}, {Kind: adapter.KindGoodbye, To: "a"},
				} {
					if err := n.link.Publish(t.Context(), m); err != nil {
						t.Fatal(err)
					}
				}
				forgeries += 5
			}
			nodeJS{t, client}.emit("forged", "")
			for _, payload := range []string{"", "\x00nodejs", "\xc1", "hello"} {
				nodeJS{t, client}.publish("socket.io-roomcast#/#", payload)
			}
			forgeries += 5
			eventually(t, "counting forgeries", func() bool { return a.adapter.Status().Dropped["unsigned"] == uint64(forgeries) })
			b.emit(t, "to the room", "room")
			b.emit(t, "good")
			a.expect(t, "good")
			if len(a.heard) != 2 || len(a.adapter.Status().Dropped) != 1 {
				t.Errorf("heard %v, dropped %v", a.heard, a.adapter.Status().Dropped)
			}
			if n := patterns(t, client); interest && n != 1 { // of the node without a key
				t.Errorf("%d patterns: a forged broadcast made a node fall back", n)
			}
		})
	}
}

// What was signed for one channel is nothing on another.
func TestHMACKey_AMessageCannotBeMoved(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	opts := signed(key, true)
	a := join(t, newAdapterWith(t, newClient(t, server.Addr()), opts), "/", "a")
	b := join(t, newAdapterWith(t, newClient(t, server.Addr()), opts), "/", "b")
	a.occupy(t, "public")
	heard := listen(t, client, "socket.io#/#secret#")
	b.emit(t, "for few", "secret")
	m := <-heard
	nodeJS{t, client}.publish("socket.io#/#public#", m.Payload)
	nodeJS{t, client}.publish("socket.io#/#", m.Payload)
	b.emit(t, "end")
	a.expect(t, "end")
	if got := a.adapter.Status().Dropped["unsigned"]; got != 2 || len(a.heard) != 1 {
		t.Errorf("counted %d, heard %v", got, a.heard)
	}
}

func TestHMACKey_IsTheOptionsOwnerNoLonger(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	mine := []byte(key)
	a := newAdapterWith(t, newClient(t, server.Addr()), redis.Options{HMACKey: mine})
	clear(mine)
	n := join(t, a, "/", "a")
	join(t, newAdapterWith(t, newClient(t, server.Addr()), signed(key, false)), "/", "b").emit(t, "hello")
	n.expect(t, "hello")
}
