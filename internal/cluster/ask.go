package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Tell has the other nodes do what r says and wants no answer; it clears r.ID. Like
// Broadcast it does not wait, and fails with the same errors.
func (t *Topic) Tell(ctx context.Context, r *adapter.Request) error {
	r.ID = ""
	return t.request(ctx, r)
}

// Ask asks the other nodes and passes their answers to receive, each as it comes. It
// sets r.ID and r.Timeout. It waits for the live members that have announced the
// namespace and, unless r changes sockets, for as many nodes without a name as the
// link counts; answers of further nodes are received if they come in time. A member
// that leaves meanwhile is no longer waited for, and one that is given up is not
// either. Ask ends with ctx, after RequestTimeout if that has no deadline, or when
// the topic or the node is closed.
//
// receive runs in the caller's goroutine.
//
// A *PartialError says whose answers are missing and why. While the backend is known
// to be away Ask waits for nothing and returns one that wraps adapter.ErrDegraded.
// With any other error no answer was waited for: ErrClosed, the cause of the end of
// ctx, or one of Broadcast's.
func (t *Topic) Ask(ctx context.Context, r *adapter.Request, receive func(*adapter.Response)) error {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	c := t.node.calls.begin(t.namespace)
	defer t.node.calls.end(c)
	away := t.node.Status().State == adapter.Degraded
	expected := t.expect(ctx, r.Action, away)
	if err := t.ended(ctx); err != nil {
		return fmt.Errorf("cluster: ask in %q: %w", t.namespace, err)
	}
	if expected.waits() || !reads(r.Action) {
		deadline, _ := ctx.Deadline() // by bounded it has one
		r.ID, r.Timeout = c.id, max(time.Until(deadline), 1)
		if err := t.request(ctx, r); err != nil {
			return err
		}
	}
	if away {
		return &PartialError{Missing: expected.missing(), Err: adapter.ErrDegraded}
	}
	return t.wait(ctx, c, expected, receive)
}

// Count returns how many nodes have joined the namespace, as far as is known: this
// one, the members that have announced it, and those without a name. If the latter
// cannot be counted, it returns the others with an error, which wraps
// adapter.ErrDegraded while the backend is known to be away.
func (t *Topic) Count(ctx context.Context) (int, error) {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	members := len(t.node.members.in(t.namespace))
	unnamed, err := t.countUnnamed(ctx, members)
	return 1 + members + unnamed, err
}

func (t *Topic) request(ctx context.Context, r *adapter.Request) error {
	m := &adapter.Message{From: t.node.id, Kind: adapter.KindRequest, Request: r}
	if err := t.link.Publish(ctx, m); err != nil {
		return fmt.Errorf("cluster: request in %q: %w", t.namespace, err)
	}
	return nil
}

// bounded returns ctx with a deadline.
func (t *Topic) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, t.node.options.RequestTimeout)
}

// ended returns why a call is not to begin.
func (t *Topic) ended(ctx context.Context) error {
	if t.ctx.Err() != nil {
		return ErrClosed
	}
	return context.Cause(ctx)
}

// reads says that a request for action without anybody to answer it is pointless.
func reads(action adapter.Action) bool {
	return action == adapter.ActionFetch || action == adapter.ActionRooms
}

// changes says that action is confirmed by members only.
func changes(action adapter.Action) bool {
	return action == adapter.ActionJoin || action == adapter.ActionLeave || action == adapter.ActionDisconnect
}

// expect notes who is to answer a request for action. The members are noted before
// the rest is counted, so that one which comes in between is among the rest.
func (t *Topic) expect(ctx context.Context, action adapter.Action, away bool) *tally {
	members := t.node.members.in(t.namespace)
	expected := newTally(action, members)
	if !away && !changes(action) {
		expected.unnamed, expected.uncount = t.countUnnamed(ctx, len(members))
	}
	return expected
}

// countUnnamed returns how many nodes of the topic are neither this one nor members.
func (t *Topic) countUnnamed(ctx context.Context, members int) (int, error) {
	if t.counter == nil {
		return 0, nil
	}
	nodes, err := t.counter.CountNodes(ctx)
	if err != nil {
		return 0, fmt.Errorf("cluster: count the nodes of %q: %w", t.namespace, err)
	}
	return max(nodes-1-members, 0), nil
}

// wait receives what concerns c until nobody is waited for. What has come before
// the end of ctx is received.
func (t *Topic) wait(ctx context.Context, c *call, expected *tally, receive func(*adapter.Response)) error {
	var cause error
	for {
		for _, e := range c.take() {
			if expected.add(e) {
				receive(e.response)
			}
		}
		if !expected.waits() {
			return expected.partial(nil)
		}
		if cause != nil {
			return expected.partial(cause)
		}
		select {
		case <-c.news:
		case <-ctx.Done():
			cause = context.Cause(ctx)
		case <-t.ctx.Done():
			cause = ErrClosed
		}
	}
}
