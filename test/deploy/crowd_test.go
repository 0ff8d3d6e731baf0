//go:build integration

package deploy

import (
	"strconv"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
)

// crowd is a number of official clients behind a balancer; see crowd.mjs.
type crowd struct {
	*script
	size int
}

// tally is what became of the clients.
type tally struct {
	Connected, Upgraded int
	Nodes               map[string]int // clients by the node that they are on
	Failures            map[string]int // by what the client said
	Unknown             int            // were told that their session is unknown
	Returns             int            // came back after they had been connected
}

// gatherCrowd connects clients with default transports, or with those named.
func gatherCrowd(t testing.TB, url string, size int, transports string, pair *certificate.Pair) (crowd, tally) {
	t.Helper()
	var environment []string
	if pair != nil {
		environment = []string{"NODE_EXTRA_CA_CERTS=" + pair.File}
	}
	c := crowd{startScript(t, environment, "crowd.mjs", url, strconv.Itoa(size), transports), size}
	var first tally
	c.next(t, &first)
	return c, first
}

// gather waits until all are back.
func (c crowd) gather(t testing.TB) (now tally) {
	t.Helper()
	c.ask(t, "gather", &now)
	return now
}

// talk has everybody hear somebody of their room, who is on any node.
func (c crowd) talk(t testing.TB) {
	t.Helper()
	var heard struct{ Heard int }
	if c.ask(t, "talk", &heard); heard.Heard != c.size {
		t.Errorf("%d of %d clients heard somebody", heard.Heard, c.size)
	}
}
