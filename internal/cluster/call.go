package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Call is a request on its way. What concerns it queues here until Wait takes it, so
// that its answers are received by one goroutine.
type Call struct {
	topic    *Topic
	id       string
	receive  func(*adapter.Response)
	tally    *tally
	counter  adapter.NodeCounter // nil if all who are to answer have names
	away     bool                // the backend was not reached when the call began
	deadline time.Time           // the nodes answer until then

	mu     sync.Mutex
	events []event
	news   chan struct{} // events has something
}

// newCall returns a call with an id of 96 random bits.
func newCall(t *Topic, receive func(*adapter.Response)) *Call {
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails, by its documentation
	return &Call{
		topic:   t,
		id:      base64.RawURLEncoding.EncodeToString(id[:]),
		receive: receive,
		away:    t.node.Status().State == adapter.Degraded,
		news:    make(chan struct{}, 1),
	}
}

// Wait passes the answers to the call's receive, each as it comes, and returns when
// nobody is waited for any more: each live member that had announced the namespace
// when the call began has said Done or, if the request does not change sockets, as
// many nodes without a name have answered as the link counts. A member that leaves the
// cluster or the namespace, or is given up, is not waited for either. Answers of
// further members are received if they come in time.
//
// Wait ends with ctx, when the time that the nodes were told is over if ctx has no
// deadline, or when the topic or the node is closed. It ends the call: it is to be
// called once, and receive is not called after it has returned.
//
// A *PartialError says whose answers are missing and why. If the backend was known to
// be away when the call began, Wait waits for nothing and returns one that wraps
// adapter.ErrDegraded.
func (c *Call) Wait(ctx context.Context) error {
	defer c.topic.node.calls.remove(c)
	if c.away {
		return &PartialError{Missing: c.tally.missing(), Err: adapter.ErrDegraded}
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var release context.CancelFunc
		ctx, release = context.WithDeadline(ctx, c.deadline)
		defer release()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.topic.ctx, func() { cancel(ErrClosed) })()
	if err := c.countUnnamed(ctx); err != nil {
		c.tally.uncounted = err
	}
	return c.gather(ctx)
}

// countUnnamed notes how many nodes without a name are to answer. The members are
// looked at first, so that one which comes in between is among the rest.
func (c *Call) countUnnamed(ctx context.Context) error {
	if c.counter == nil || changes(c.tally.action) {
		return nil
	}
	members := c.topic.node.members.in(c.topic.namespace)
	nodes, err := c.counter.CountNodes(ctx)
	if err != nil {
		return fmt.Errorf("cluster: count the nodes of %q: %w", c.topic.namespace, err)
	}
	c.tally.expectUnnamed(nodes, members)
	return nil
}

// gather receives until nobody is waited for. What has come before the end of ctx is
// received.
func (c *Call) gather(ctx context.Context) error {
	var cause error
	for {
		for _, e := range c.take() {
			if c.tally.add(e) {
				c.receive(e.response)
			}
		}
		if !c.tally.waits() {
			return c.tally.partial(nil)
		}
		if cause != nil {
			return c.tally.partial(cause)
		}
		select {
		case <-c.news:
		case <-ctx.Done():
			cause = context.Cause(ctx)
		}
	}
}

func (c *Call) tell(e event) {
	c.mu.Lock()
	c.events = append(c.events, e)
	c.mu.Unlock()
	wake(c.news)
}

func (c *Call) take() []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.events
	c.events = nil
	return events
}
