package emitter

import (
	"context"
	"fmt"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// joinTimeout bounds the wait for the backend at the first use of a namespace.
const joinTimeout = time.Second

// topic is the emitter's side of one namespace. Who needs its link first joins;
// the others wait for their turn, no longer than they want to.
type topic struct {
	emitter   *Emitter
	namespace string

	turn   chan struct{} // of capacity 1: a lock that can be waited for with a context
	link   adapter.Link  // nil until joined
	closed bool
}

func newTopic(e *Emitter, namespace string) *topic {
	return &topic{emitter: e, namespace: namespace, turn: make(chan struct{}, 1)}
}

// lock takes the turn, or gives up with ctx's error.
func (t *topic) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *topic) unlock() { <-t.turn }

// join returns the link, joining the namespace when there is none. A link whose
// backend is away is one: it connects by itself, and what is published waits in its
// queue. Any other failure leaves the topic as it was, for the next call to try.
func (t *topic) join(ctx context.Context) (adapter.Link, error) {
	if err := t.lock(ctx); err != nil {
		return nil, err
	}
	defer t.unlock()
	switch {
	case t.closed:
		return nil, ErrClosed
	case t.link != nil:
		return t.link, nil
	}
	joining, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	link, err := t.emitter.adapter.Join(joining, t.namespace, node, nil)
	if link == nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	if err != nil {
		t.emitter.options.Logger.Warn("emitter: namespace is not connected to the cluster", "namespace", t.namespace, "error", err)
	}
	t.link = link
	return link, nil
}

// close leaves the namespace and waits for the link's queue, no longer than ctx.
func (t *topic) close(ctx context.Context) error {
	if err := t.lock(ctx); err != nil {
		return err
	}
	t.closed = true
	link := t.link
	t.unlock()
	if link == nil {
		return nil
	}
	return link.Close(ctx)
}
