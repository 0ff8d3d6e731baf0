package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Topic is a namespace of this node, connected to the same one of the others. It
// is safe for concurrent use.
type Topic struct {
	node      *Node
	namespace string
	deliver   func(*adapter.Broadcast)
	link      adapter.Link
	observer  adapter.RoomObserver // nil for a link that carries every broadcast anyway
}

// Join connects namespace to the same one of the other nodes. Broadcasts from
// them are passed to deliver, in order per sender and one at a time; deliver
// returns promptly. Join waits no longer than ctx and JoinTimeout.
//
// If the backend did not confirm in time, Join returns a working Topic together
// with an error that wraps adapter.ErrDegraded. With any other error, such as
// ErrClosed after Close, the Topic is nil.
func (n *Node) Join(ctx context.Context, namespace string, deliver func(*adapter.Broadcast)) (*Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, n.options.JoinTimeout)
	defer cancel()
	t := &Topic{node: n, namespace: namespace, deliver: deliver}
	link, err := n.options.Adapter.Join(ctx, namespace, n.id, t.receive)
	if link == nil {
		return nil, fmt.Errorf("cluster: join %q: %w", namespace, err)
	}
	t.link = link
	t.observer, _ = link.(adapter.RoomObserver)
	suffixes, open := n.add(t)
	if !open {
		return nil, errors.Join(ErrClosed, link.Close(ctx))
	}
	if err = errors.Join(err, t.claim(ctx, suffixes)); err != nil {
		return t, fmt.Errorf("cluster: join %q: %w", namespace, degraded(err))
	}
	return t, nil
}

// degraded makes sure that err wraps adapter.ErrDegraded: a link that exists
// connects by itself, whatever the wait for it ended with.
func degraded(err error) error {
	if errors.Is(err, adapter.ErrDegraded) {
		return err
	}
	return fmt.Errorf("%w: %w", adapter.ErrDegraded, err)
}

// Broadcast queues b for the other nodes; see adapter.Link's Publish. It does not
// wait for the backend. It fails with adapter.ErrClosed, adapter.ErrQueueFull or
// adapter.ErrTooLarge.
func (t *Topic) Broadcast(ctx context.Context, b *adapter.Broadcast) error {
	m := &adapter.Message{From: t.node.id, Kind: adapter.KindBroadcast, Broadcast: b}
	if err := t.link.Publish(ctx, m); err != nil {
		return fmt.Errorf("cluster: broadcast in %q: %w", t.namespace, err)
	}
	return nil
}

// RoomOccupied says that room has its first local member, and returns when the
// other nodes' broadcasts to it will arrive. While the backend is away it fails
// at once with adapter.ErrDegraded, and they will arrive after it is back.
func (t *Topic) RoomOccupied(ctx context.Context, room string) error {
	if t.observer == nil {
		return nil
	}
	if err := t.observer.RoomOccupied(ctx, room); err != nil {
		return fmt.Errorf("cluster: occupy room of %q: %w", t.namespace, err)
	}
	return nil
}

// RoomEmpty says that the last local member has left room. It does not block.
func (t *Topic) RoomEmpty(room string) {
	if t.observer != nil {
		t.observer.RoomEmpty(room)
	}
}

// Close leaves the namespace. It waits for a running deliver, no longer than ctx;
// after it no call of deliver begins. Closing twice is harmless.
func (t *Topic) Close(ctx context.Context) error {
	t.node.remove(t)
	if err := t.link.Close(ctx); err != nil {
		return fmt.Errorf("cluster: close %q: %w", t.namespace, err)
	}
	return nil
}

// receive takes what the other nodes publish in the namespace.
func (t *Topic) receive(m *adapter.Message) {
	if m.Kind == adapter.KindBroadcast && m.Broadcast != nil {
		t.deliver(m.Broadcast)
	}
}

// claim tells the link which ids are those of this node's sockets.
func (t *Topic) claim(ctx context.Context, suffixes []string) error {
	if t.observer == nil {
		return nil
	}
	var errs []error
	for _, suffix := range suffixes {
		errs = append(errs, t.observer.SocketIDs(ctx, suffix))
	}
	return errors.Join(errs...)
}
