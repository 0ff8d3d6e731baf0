//go:build !race

// The race detector allocates, and makes pools forget.

package redis

import "testing"

func TestAllocations_PerBroadcast(t *testing.T) {
	l, m, o := idleLink("/", "room1"), sample(), newOutgoing()
	encode := func() { o.body = o.body[:0]; _ = l.encode(o, m) }
	encode()
	a := arrival{route: routeRoom, channel: o.channel, payload: string(o.body)}
	l.self = "another"
	for name, c := range map[string]struct {
		fn   func()
		most float64
	}{
		"encode": {encode, 2},
		"decode": {func() { _, _ = l.openBroadcast(a) }, 9},
		"own":    {func() { l.self = "self"; _, _ = l.openBroadcast(a); l.self = "another" }, 0},
	} {
		if got := testing.AllocsPerRun(100, c.fn); got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, c.most)
		}
	}
}
