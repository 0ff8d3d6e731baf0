package stream

import (
	"context"
	"fmt"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// side is one of the two that can tell whether the log works.
type side int

const (
	writing side = iota
	reading
	sides
)

// condition makes one state of what writer and reader see: the log works when
// neither of them knows better.
type condition struct {
	mu    sync.Mutex // also keeps what part hears in order; part does not wait
	part  Part
	known [sides]bool
	cause [sides]error
	// mended is closed when the log works again; nil while nobody waits.
	mended chan struct{}
}

// works says that this side works.
func (c *condition) works(s side) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[s] && c.cause[s] == nil {
		return
	}
	c.known[s], c.cause[s] = true, nil
	if other := c.first(); other != nil {
		c.part.Lost(other)
		return
	}
	c.part.Recovered()
	if c.mended != nil {
		close(c.mended)
		c.mended = nil
	}
}

// fails says that this side does not.
func (c *condition) fails(s side, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[s], c.cause[s] = true, cause
	c.part.Lost(cause)
}

func (c *condition) first() error {
	for _, err := range c.cause {
		if err != nil {
			return err
		}
	}
	return nil
}

// why returns what keeps the log from working, as far as is known.
func (c *condition) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first()
}

// await returns when the log works, or is not known not to, and fails with an error that
// wraps ErrDegraded when ctx ends first.
func (c *condition) await(ctx context.Context) error {
	c.mu.Lock()
	cause := c.first()
	if cause == nil {
		c.mu.Unlock()
		return nil
	}
	if c.mended == nil {
		c.mended = make(chan struct{})
	}
	mended := c.mended
	c.mu.Unlock()
	select {
	case <-mended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", adapter.ErrDegraded, cause)
	}
}
