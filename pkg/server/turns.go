package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

const (
	// recoveringAtOnce is how many clients of a node recover at a time. When those of a
	// dead node come all at once, each is quick in its turn; all together none would be.
	recoveringAtOnce = 16
	// turnPatience bounds the wait for a turn. A client that has waited so long starts afresh.
	turnPatience = 20 * time.Second
)

// turns are what clients that recover wait for.
type turns chan struct{}

func newTurns() turns { return make(turns, recoveringAtOnce) }

// take waits for a turn, which done ends.
func (t turns) take(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, turnPatience)
	defer cancel()
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("server: too many clients come back: %w", context.Cause(ctx))
	}
}

// silences are the nodes that did not answer when they were asked for a socket. They
// are not asked again for a while: each of their clients would wait for nothing.
type silences struct {
	mu    sync.Mutex
	since map[adapter.NodeID]time.Time
}

// silenceLasts is about how long a dead node counts as a member.
const silenceLasts = 10 * time.Second

func (s *silences) add(node adapter.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == nil {
		s.since = make(map[adapter.NodeID]time.Time)
	}
	s.since[node] = time.Now()
}

// has says whether node is silent, and forgets those that were long ago.
func (s *silences) has(node adapter.NodeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, at := range s.since {
		if time.Since(at) > silenceLasts {
			delete(s.since, other)
		}
	}
	_, silent := s.since[node]
	return silent
}
