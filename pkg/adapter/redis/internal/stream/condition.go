package stream

import (
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

// check returns an error that wraps ErrDegraded if the log is known not to work.
func (c *condition) check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.first(); err != nil {
		return fmt.Errorf("%w: %w", adapter.ErrDegraded, err)
	}
	return nil
}
