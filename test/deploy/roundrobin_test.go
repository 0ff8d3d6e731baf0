//go:build integration

package deploy

import (
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
)

// A thousand clients with default transports connect through plain round-robin, without
// stickiness, and not one of them has to try twice: what comes to the wrong node is
// forwarded.
func TestRoundRobin_ThousandClientsConnectAtTheFirstTry(t *testing.T) {
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			nodes := startNodes(t)
			url := b.start(t, backendsOf(nodes), nil)
			c, first := gatherCrowd(t, url, 1000, "default", nil)
			expectFlawless(t, c, first)
		})
	}
}

// Over TLS, which ends in the balancer, everything is the same.
func TestRoundRobin_OverTLS(t *testing.T) {
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			pair, err := certificate.New(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			nodes := startNodes(t)
			url := b.start(t, backendsOf(nodes), pair)
			c, first := gatherCrowd(t, url, 200, "default", pair)
			expectFlawless(t, c, first)
		})
	}
}

// expectFlawless checks that all connected at once, upgraded, are on all nodes and hear
// each other.
func expectFlawless(t testing.TB, c crowd, first tally) {
	t.Helper()
	t.Logf("%+v", first)
	if first.Connected != c.size || first.Upgraded != c.size || len(first.Failures) != 0 || first.Unknown != 0 || first.Returns != 0 {
		t.Errorf("got %+v, want %d clients and no failure", first, c.size)
	}
	if len(first.Nodes) != 3 {
		t.Errorf("the clients are on %d nodes, want 3: %v", len(first.Nodes), first.Nodes)
	}
	for name, count := range first.Nodes {
		if count < c.size/5 {
			t.Errorf("%s has %d of %d clients: that is no round-robin", name, count, c.size)
		}
	}
	c.talk(t)
	if then := c.gather(t); len(then.Failures) != 0 || then.Returns != 0 {
		t.Errorf("afterwards got %+v, want no failure", then)
	}
}
