//go:build integration

package integration

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// speaker broadcasts numbered events from one node at a steady pace.
type speaker struct {
	name string
	node *node
	next atomic.Int64 // the number that was not yet emitted
}

// speak has each node broadcast to its selection until the test ends.
func speak(t testing.TB, nodes []*node, pause time.Duration, to func(*node) server.Broadcast, payload ...any) []*speaker {
	ctx, cancel := context.WithCancel(context.Background())
	var speaking sync.WaitGroup
	var speakers []*speaker
	for _, n := range nodes {
		s := &speaker{name: n.NodeID(), node: n}
		speakers = append(speakers, s)
		speaking.Go(func() {
			clock := time.NewTicker(pause)
			defer clock.Stop()
			for ctx.Err() == nil {
				args := append([]any{s.name, s.next.Load()}, payload...)
				if err := to(n).Emit("n", args...); err != nil {
					t.Errorf("emit: %v", err)
				}
				s.next.Add(1)
				<-clock.C
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		speaking.Wait()
	})
	return speakers
}

// emitted returns the number that was emitted last.
func (s *speaker) emitted() int { return int(s.next.Load()) - 1 }

// everybody selects all clients.
func everybody(n *node) server.Broadcast { return n.Of("/").Except() }
