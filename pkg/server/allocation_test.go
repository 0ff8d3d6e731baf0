//go:build !race

// The race detector allocates, and makes pools forget.

package server_test

import (
	"context"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/server"
)

// What a broadcast allocates does not depend on how many get it, neither where its emitter
// writes it nor where another goroutine does.
func TestAllocations_NoneOfABroadcastPerReceiver(t *testing.T) {
	allocations := func(clients int) float64 {
		s := audience(t, clients, func(int) string { return "room" })
		room := s.To("room")
		return testing.AllocsPerRun(200, func() {
			_ = room.Emit("msg", "text")
			server.Drain(s)
		})
	}
	for _, receivers := range []struct{ few, many int }{{6, 60}, {100, 1000}} {
		few, many := allocations(receivers.few), allocations(receivers.many)
		t.Logf("allocations per broadcast: %v for %d receivers, %v for %d", few, receivers.few, many, receivers.many)
		if few > 8 || many > few+1 { // 7 without recovery, a parser and all else that may see an event, and a pool that was emptied
			t.Errorf("a broadcast to %d sockets allocates %v times, to %d %v times", receivers.many, many, receivers.few, few)
		}
	}
}

// An observer costs a broadcast what it costs, however many get it.
func TestAllocations_AnObserversDoNotDependOnReceivers(t *testing.T) {
	seen := 0
	o := &server.Observer{End: func(_ context.Context, o *server.Operation) { seen += o.Receivers }}
	allocations := func(clients int) float64 {
		s := audienceOf(t, server.Options{Observer: o}, clients, func(int) string { return "room" })
		room := s.To("room")
		return testing.AllocsPerRun(200, func() {
			_ = room.Emit("msg", "text")
			server.Drain(s)
		})
	}
	few, many := allocations(100), allocations(1000)
	t.Logf("allocations per broadcast: %v for 100 receivers, %v for 1,000", few, many)
	if few > 9 || many > few+1 || seen == 0 { // one more than without
		t.Errorf("an observed broadcast to 1,000 sockets allocates %v times, to 100 %v times", many, few)
	}
}

// What a broadcast of another node allocates does not depend on how many get it either.
func TestAllocations_NoneOfAnotherNodesBroadcastPerReceiver(t *testing.T) {
	allocations := func(clients int) float64 {
		bus := &wire{Adapter: memory.New()}
		s := audienceOf(t, server.Options{Adapter: bus}, clients, func(int) string { return "room" })
		m := &adapter.Message{From: "another", Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
			Packet: packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(`["msg","text"]`)}, Rooms: []string{"room"}}}
		return testing.AllocsPerRun(200, func() {
			bus.forge("/", m)
			server.Drain(s)
		})
	}
	for _, receivers := range []struct {
		few, many int
		most      float64 // a message and its frames; and a goroutine for those that another one writes, with what it runs
	}{{6, 60, 2}, {100, 1000, 4}} {
		few, many := allocations(receivers.few), allocations(receivers.many)
		t.Logf("allocations per broadcast: %v for %d receivers, %v for %d", few, receivers.few, many, receivers.many)
		if few > receivers.most || many > few+1 { // a pool that was emptied
			t.Errorf("a broadcast to %d sockets allocates %v times, to %d %v times", receivers.many, many, receivers.few, few)
		}
	}
}

// An event that is answered with what it brought, from the client's bytes to the server's.
func TestAllocations_OfAnEcho(t *testing.T) {
	round := echo(t)
	got := testing.AllocsPerRun(500, round)
	t.Logf("%v allocations", got)
	// The WebSocket library's reader, the event's copy in the inbox, the goroutine of its socket, its arguments, whom
	// to answer; the handler's argument of Ack; the answer's JSON, message and frames.
	if got > 9 {
		t.Errorf("an echo allocates %v times, want at most 9", got)
	}
}

// What FetchSockets allocates is in proportion to the sockets that it returns, not
// to those that there are.
func TestAllocations_FetchSocketsInProportionToTheAnswer(t *testing.T) {
	const most = 60 // for each socket: its handshake is decoded and encoded
	for _, clients := range []int{300, 3000} {
		servers, _ := crowds(t, 3, clients/3)
		ns := servers[0].Of("/")
		var fetched int
		fetch := func(b server.Broadcast) float64 {
			return testing.AllocsPerRun(10, func() {
				sockets, err := b.FetchSockets(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				fetched = len(sockets)
			})
		}
		all := fetch(ns.All())
		if t.Logf("%d sockets: %v allocations", fetched, all); fetched != clients || all > float64(most*clients+500) {
			t.Errorf("FetchSockets of %d sockets allocates %v times", fetched, all)
		}
		one := fetch(ns.To(servers[1].Of("/").Sockets()[0].ID()))
		if t.Logf("one of %d: %v allocations", clients, one); fetched != 1 || one > 200 {
			t.Errorf("FetchSockets of one of %d sockets allocates %v times", clients, one)
		}
	}
}
