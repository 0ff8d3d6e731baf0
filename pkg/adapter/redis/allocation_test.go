//go:build !race

// The race detector allocates, and makes pools forget.

package redis

import (
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

func TestAllocations_PerBroadcast(t *testing.T) {
	l, m, o := interestedLink("/", "room1"), sample(), newOutgoing()
	encode := func() { o.Body = o.Body[:0]; _ = l.encode(o, m) }
	encode()
	a := bus.Arrival{Kind: routeRoom, Channel: o.Channel, Payload: string(o.Body)}
	l.self = "another"
	for name, c := range map[string]struct {
		fn   func()
		most float64
	}{
		"encode": {encode, 2},
		"decode": {func() { _, _ = l.readBroadcast(a) }, 6},
		"own":    {func() { l.self = "self"; _, _ = l.readBroadcast(a); l.self = "another" }, 0},
	} {
		if got := testing.AllocsPerRun(100, c.fn); got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, c.most)
		}
	}
}
