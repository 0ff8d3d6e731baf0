package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Topic is a namespace of this node, connected to the same one of the others. It
// is safe for concurrent use.
type Topic struct {
	node      *Node
	namespace string
	handler   Handler
	ctx       context.Context // ends when Close of the topic or of the node begins
	stop      context.CancelFunc
	answers   answers

	// What follows is set before Join returns, and not to be read by receive.
	link     adapter.Link
	log      adapter.RecoveryLink // link, if broadcasts are delivered by its log
	observer adapter.RoomObserver // nil for a link that carries every broadcast anyway
	counter  adapter.NodeCounter  // nil for a link whose nodes all send heartbeats

	unsuffixed atomic.Bool // the link cannot be told of socket ids by their suffixes
}

// Join connects namespace to the same one of the other nodes, whose messages are
// passed to h. With Options.Recovery its broadcasts are kept. With that, and with an
// adapter.TotalOrder, they come back to this node too. Join waits no longer than ctx
// and JoinTimeout.
//
// If the backend did not confirm in time, Join returns a working Topic together
// with an error that wraps adapter.ErrDegraded. With any other error, such as
// ErrClosed after Close, the Topic is nil.
func (n *Node) Join(ctx context.Context, namespace string, h Handler) (*Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, n.options.JoinTimeout)
	defer cancel()
	t := &Topic{node: n, namespace: namespace, handler: h, answers: answers{traffic: &n.traffic}}
	t.ctx, t.stop = context.WithCancel(n.ctx)
	err := t.connect(ctx)
	if t.link == nil {
		t.stop()
		return nil, fmt.Errorf("cluster: join %q: %w", namespace, err)
	}
	suffixes, open := n.add(t)
	if !open {
		t.stop()
		return nil, errors.Join(ErrClosed, t.link.Close(ctx))
	}
	if err = errors.Join(err, t.claim(ctx, suffixes)); err != nil {
		return t, fmt.Errorf("cluster: join %q: %w", namespace, degraded(err))
	}
	return t, nil
}

// connect sets the topic's link, if it returns one, and what the link is able to.
func (t *Topic) connect(ctx context.Context) (err error) {
	if store, retention := t.node.options.log(); store != nil {
		t.log, err = store.JoinRecoverable(ctx, t.namespace, t.node.id, retention, t.receive)
		t.link = t.log
	} else {
		t.link, err = t.node.options.Adapter.Join(ctx, t.namespace, t.node.id, t.receive)
	}
	if t.link == nil {
		return err
	}
	t.observer, _ = t.link.(adapter.RoomObserver)
	t.counter, _ = t.link.(adapter.NodeCounter)
	t.warnUnanswered(t.answers.open(t.ctx, t.link))
	return err
}

// Recovery returns the link to what is kept for clients that come back, or nil
// without Options.Recovery.
func (t *Topic) Recovery() adapter.RecoveryLink {
	if t.node.options.Recovery == nil {
		return nil
	}
	return t.log
}

// Returns says whether what this node broadcasts comes back to its own Handler, in
// one order with the others' broadcasts. Otherwise the node serves its sockets itself.
func (t *Topic) Returns() bool { return t.log != nil }

// Ordered says whether also this node's requests that change sockets, those of Begin
// with ActionJoin, ActionLeave or ActionDisconnect, come back to its own Handler, at
// their place among the broadcasts, and are to be done then. A call waits for this node's
// answer too.
func (t *Topic) Ordered() bool { return t.node.options.ordered() }

// IDsAreRooms says that the link is to hear of each socket's own room by RoomOccupied.
func (t *Topic) IDsAreRooms() bool { return t.unsuffixed.Load() }

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
	if err := t.node.traffic.publish(ctx, t.link, m); err != nil {
		return fmt.Errorf("cluster: broadcast in %q: %w", t.namespace, err)
	}
	return nil
}

// RoomOccupied says that room has its first local member, and returns when the
// other nodes' broadcasts to it will arrive. While the backend is away it fails
// at once with adapter.ErrDegraded, and they will arrive after it is back.
func (t *Topic) RoomOccupied(ctx context.Context, room string) error {
	if t.observer == nil {
		return t.reachable()
	}
	if err := t.observer.RoomOccupied(ctx, room); err != nil {
		return fmt.Errorf("cluster: occupy room of %q: %w", t.namespace, err)
	}
	return nil
}

// reachable fails with adapter.ErrDegraded while the backend is away: a link that hears
// every broadcast anyway hears none then.
func (t *Topic) reachable() error {
	if t.node.Status().State == adapter.Degraded {
		return fmt.Errorf("cluster: occupy room of %q: %w", t.namespace, adapter.ErrDegraded)
	}
	return nil
}

// RoomEmpty says that the last local member has left room. It does not block.
func (t *Topic) RoomEmpty(room string) {
	if t.observer != nil {
		t.observer.RoomEmpty(room)
	}
}

// Close leaves the namespace and ends its calls with ErrClosed. It waits for a
// running function of the Handler, no longer than ctx; after it none begins. Closing
// twice is harmless.
func (t *Topic) Close(ctx context.Context) error {
	t.node.remove(t)
	t.stop()
	if err := t.link.Close(ctx); err != nil {
		return fmt.Errorf("cluster: close %q: %w", t.namespace, err)
	}
	return nil
}

// receive takes what arrives in the namespace.
func (t *Topic) receive(m *adapter.Message) {
	t.node.traffic.received[kindOf(m)].Add(1)
	switch {
	case m.Kind == adapter.KindBroadcast && m.Broadcast != nil:
		if t.node.options.Recovery == nil {
			m.Offset = "" // of a log that this node does not ask
		}
		t.handler.Broadcast(m.Broadcast, m.Offset, m.From == t.node.id)
	case m.Kind == adapter.KindRequest && m.Request != nil && t.concerns(m):
		t.handler.Request(m.Request, t.answer(m.From, m.Request))
	case m.Kind == adapter.KindResponse && m.Response != nil:
		t.node.calls.answered(m.From, m.Response)
	}
}

// concerns says whether a request is this node's to serve. ActionRelease ends a
// client's session: who means that says whom it means.
func (t *Topic) concerns(m *adapter.Message) bool {
	return m.Request.Action != adapter.ActionRelease || m.To == t.node.id
}

// claim tells the link which ids are those of this node's sockets.
func (t *Topic) claim(ctx context.Context, suffixes []string) error {
	if t.observer == nil {
		return nil
	}
	var errs []error
	for _, suffix := range suffixes {
		err := t.observer.SocketIDs(ctx, suffix)
		if errors.Is(err, errors.ErrUnsupported) {
			t.unsuffixed.Store(true)
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
