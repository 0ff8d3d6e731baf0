//go:build integration

package deploy

import (
	"strings"
	"testing"
)

// Nodes are restarted one by one, as in a deploy: their clients come back elsewhere,
// no session is unknown, and nobody stays out.
func TestRolling_EverybodyComesBack(t *testing.T) {
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			nodes := startNodes(t)
			url := b.start(t, backendsOf(nodes), nil)
			c, first := gatherCrowd(t, url, 1000, "default", nil)
			expectFlawless(t, c, first)
			for i, n := range nodes {
				n.stop(t)
				n.start(t)
				awaitMembers(t, nodes)
				now := c.gather(t)
				t.Logf("node %d was restarted: %+v", i+1, now)
				expectReturn(t, c, now)
			}
			c.talk(t)
		})
	}
}

// expectReturn checks that a tally of a restart has clients that were disconnected and
// came back. Some of those who connect may find the node dead in the moment before the
// balancer does, since requests of a session are not sent twice: they try again.
func expectReturn(t testing.TB, c crowd, now tally) {
	t.Helper()
	if now.Connected != c.size || now.Upgraded != c.size || now.Unknown != 0 {
		t.Errorf("got %+v, want %d clients, none of an unknown session", now, c.size)
	}
	if now.Returns == 0 {
		t.Error("nobody was on the node that was restarted")
	}
	tries := 0
	for what, count := range now.Failures {
		if !strings.HasPrefix(what, "disconnect: ") {
			tries += count
		}
	}
	if tries > c.size/20 {
		t.Errorf("%d tries failed, want few", tries)
	}
}
