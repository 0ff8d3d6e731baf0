package stream

import "sync"

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

// why returns what keeps the log from working, as far as is known.
func (c *condition) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first()
}
