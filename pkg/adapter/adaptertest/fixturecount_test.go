package adaptertest

import (
	"context"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// crowd knows the links of all fixtures of a backend.
type crowd struct {
	mu   sync.Mutex
	here map[string]map[*fixtureLink]bool // by topic
}

func (c *crowd) note(l *fixtureLink, here bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here[l.topic] == nil {
		c.here[l.topic] = map[*fixtureLink]bool{}
	}
	if here {
		c.here[l.topic][l] = true
	} else {
		delete(c.here[l.topic], l)
	}
}

func (l *fixtureLink) countNodes(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if !l.reached() {
		return 0, adapter.ErrDegraded
	}
	l.crowd.mu.Lock()
	defer l.crowd.mu.Unlock()
	return len(l.crowd.here[l.topic]), nil
}
