//go:build !race

// The race detector allocates, and makes pools forget.

package server_test

import (
	"testing"

	"github.com/roomcast/roomcast/pkg/server"
)

// What a broadcast allocates does not depend on how many get it.
func TestAllocations_NoneOfABroadcastPerReceiver(t *testing.T) {
	allocations := func(clients int) float64 {
		s := audience(t, clients, func(int) string { return "room" })
		room := s.To("room")
		return testing.AllocsPerRun(200, func() {
			_ = room.Emit("msg", "text")
			server.Drain(s)
		})
	}
	few, many := allocations(10), allocations(1000)
	t.Logf("allocations per broadcast: %v for 10 receivers, %v for 1,000", few, many)
	if many > few+1 || many > 20 {
		t.Errorf("a broadcast to 1,000 sockets allocates %v times, to 10 %v times", many, few)
	}
}
