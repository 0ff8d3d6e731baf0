package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Tell has the other nodes do what r says and wants no answer; it clears r.ID. Like
// Broadcast it does not wait, and fails with the same errors.
func (t *Topic) Tell(ctx context.Context, r *adapter.Request) error {
	r.ID = ""
	return t.request(ctx, "", r)
}

// Ask is Begin, and Wait if that succeeds.
func (t *Topic) Ask(ctx context.Context, r *adapter.Request, receive func(*adapter.Response)) error {
	c, err := t.Begin(ctx, r, receive)
	if err != nil {
		return err
	}
	return c.Wait(ctx)
}

// Begin asks the other nodes without waiting: to the calling goroutine's broadcasts r
// has the place of one. It sets r.ID and r.Timeout, which is the time until ctx's
// deadline, or RequestTimeout. The call keeps resources until its Wait, which passes
// the answers to receive.
//
// Begin fails with ErrClosed, the cause of ctx's end, or one of Broadcast's errors;
// there is no call then.
func (t *Topic) Begin(ctx context.Context, r *adapter.Request, receive func(*adapter.Response)) (*Call, error) {
	c, err := t.open(ctx, r, receive)
	if err != nil {
		return nil, err
	}
	members := t.node.members.in(t.namespace)
	if t.Ordered() && changes(r.Action) {
		members = append(members, t.node.id)
	}
	c.tally, c.counter = newTally(r.Action, members), t.counter
	if len(members) == 0 && t.counter == nil && reads(r.Action) {
		return c, nil
	}
	if err := t.request(ctx, "", r); err != nil {
		t.node.calls.remove(c)
		return nil, err
	}
	return c, nil
}

// AskNode is Ask for one node alone. It fails with a *PartialError that wraps
// ErrNodeLost, at once if node is no live member that has announced the namespace.
func (t *Topic) AskNode(ctx context.Context, node adapter.NodeID, r *adapter.Request, receive func(*adapter.Response)) error {
	c, err := t.open(ctx, r, receive)
	if err != nil {
		return err
	}
	if !slices.Contains(t.node.members.in(t.namespace), node) {
		t.node.calls.remove(c)
		return &PartialError{Missing: []adapter.NodeID{node}, Err: ErrNodeLost}
	}
	c.tally = newTally(r.Action, []adapter.NodeID{node})
	if err := t.request(ctx, node, r); err != nil {
		t.node.calls.remove(c)
		return err
	}
	return c.Wait(ctx)
}

// open registers a call, so that members which end from here on are told of, and so
// are the first answers.
func (t *Topic) open(ctx context.Context, r *adapter.Request, receive func(*adapter.Response)) (*Call, error) {
	if err := t.ended(ctx); err != nil {
		return nil, fmt.Errorf("cluster: request in %q: %w", t.namespace, err)
	}
	c := newCall(t, receive)
	r.ID, r.Timeout = c.id, t.node.options.RequestTimeout
	if deadline, bounded := ctx.Deadline(); bounded {
		r.Timeout = max(time.Until(deadline), 1)
	}
	c.deadline = time.Now().Add(r.Timeout)
	t.node.calls.add(c)
	return c, nil
}

// Count returns how many nodes have joined the namespace, as far as is known: this
// one, the members that have announced it, and those without a name. If the latter
// cannot be counted, it returns the others with an error, which wraps
// adapter.ErrDegraded while the backend is known to be away. It waits no longer than
// ctx, or RequestTimeout if that has no deadline.
func (t *Topic) Count(ctx context.Context) (int, error) {
	known := 1 + len(t.node.members.in(t.namespace))
	if t.counter == nil {
		return known, nil
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var release context.CancelFunc
		ctx, release = context.WithTimeout(ctx, t.node.options.RequestTimeout)
		defer release()
	}
	nodes, err := t.counter.CountNodes(ctx)
	if err != nil {
		return known, fmt.Errorf("cluster: count the nodes of %q: %w", t.namespace, err)
	}
	return max(known, nodes), nil
}

// request publishes r for one node, or for all when to is empty.
func (t *Topic) request(ctx context.Context, to adapter.NodeID, r *adapter.Request) error {
	m := &adapter.Message{From: t.node.id, To: to, Kind: adapter.KindRequest, Request: r}
	if err := t.node.traffic.publish(ctx, t.link, m); err != nil {
		return fmt.Errorf("cluster: request in %q: %w", t.namespace, err)
	}
	return nil
}

// ended returns why a call is not to begin.
func (t *Topic) ended(ctx context.Context) error {
	if t.ctx.Err() != nil {
		return ErrClosed
	}
	return context.Cause(ctx)
}

// reads says that a request for action is pointless with nobody to answer it.
func reads(action adapter.Action) bool {
	return action == adapter.ActionFetch || action == adapter.ActionRooms
}

// changes says that only members confirm action.
func changes(action adapter.Action) bool {
	return action == adapter.ActionJoin || action == adapter.ActionLeave || action == adapter.ActionDisconnect
}
