package server

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/internal/cluster"
	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// RemoteSocket describes a socket of some node, this one included, as it was when
// that node was asked. The embedded Broadcast selects it, wherever it is: with
// Emit, Join, Leave, Disconnect and CallAll it is used like a Socket.
type RemoteSocket struct {
	Broadcast
	// ID is the socket's public id.
	ID string
	// Rooms are the socket's rooms, that of its own id included.
	Rooms []string

	handshake []byte // JSON
	data      jsontext.Value
}

// Handshake returns what is known of the client from its first request and its
// auth payload. It fails with an error that wraps ErrArguments for what another
// program's node sends and is no handshake.
func (r RemoteSocket) Handshake() (*Handshake, error) {
	h, auth, err := engine.ParseHandshake(r.handshake)
	if err != nil {
		return nil, argumentError(err)
	}
	return &Handshake{Handshake: h, Auth: auth}, nil
}

// DecodeData decodes what the program has attached to the socket into v; without
// that v stays as it is. It fails with an error that wraps ErrArguments.
func (r RemoteSocket) DecodeData(v any) error {
	if r.data == nil {
		return nil
	}
	return argumentError(packet.Unmarshal(r.data, nil, v))
}

// FetchSockets returns the selected sockets of all nodes. It waits until each live
// node has answered, until those that have not are given up as dead, or until ctx
// ends, and without a deadline for Options.RequestTimeout. When a node has not
// answered it returns the others' sockets together with a *PartialError. It
// fails with ErrNamespace for a pattern.
func (b Broadcast) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
	n, err := b.asks()
	if err != nil {
		return nil, err
	}
	var all []RemoteSocket
	take := func(s *adapter.Socket) {
		all = append(all, RemoteSocket{
			Broadcast: n.To(s.ID), ID: s.ID, Rooms: s.Rooms, handshake: s.Handshake, data: s.Data,
		})
	}
	err = b.ask(ctx, &adapter.Request{Action: adapter.ActionFetch}, func(r *adapter.Response) {
		all = slices.Grow(all, len(r.Sockets))
		for i := range r.Sockets {
			take(&r.Sockets[i])
		}
	})
	sockets := n.local(b)
	all = slices.Grow(all, len(sockets))
	for _, described := range describe(sockets) {
		take(&described)
	}
	return all, err
}

// Rooms returns the names of the rooms that any of the selected sockets is in,
// sorted, those of their ids included. It waits and fails as FetchSockets does.
func (b Broadcast) Rooms(ctx context.Context) ([]string, error) {
	n, err := b.asks()
	if err != nil {
		return nil, err
	}
	if len(b.selected())+len(b.except) > 0 {
		return b.roomsOfSockets(ctx)
	}
	var rooms []string
	err = b.ask(ctx, &adapter.Request{Action: adapter.ActionRooms}, func(r *adapter.Response) { rooms = append(rooms, r.Rooms...) })
	return sorted(append(rooms, n.rooms.Names()...)), err
}

func (b Broadcast) roomsOfSockets(ctx context.Context) ([]string, error) {
	sockets, err := b.FetchSockets(ctx)
	var rooms []string
	for i := range sockets {
		rooms = append(rooms, sockets[i].Rooms...)
	}
	return sorted(rooms), err
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// Join puts the selected sockets of all nodes into rooms. When it has returned
// without an error they are in, and what any node emits to these rooms then
// arrives; Node.js nodes join them too, but do not say when. It waits as FetchSockets does, and fails
// with a *PartialError naming the nodes that have not confirmed, with
// ErrTooManyRooms for sockets of this node, and as Socket.Join does. With an adapter whose
// log orders everything (adapter.TotalOrder), this node's sockets too join at the
// request's place among what was emitted, and those with too many rooms are only logged.
func (b Broadcast) Join(ctx context.Context, rooms ...string) error {
	n, err := b.asks()
	if err != nil {
		return err
	}
	ctx, cancel := n.server.withPatience(ctx)
	defer cancel()
	var joined int
	var full error
	if b.here() {
		joined, full = joinAll(n.local(b), rooms)
	}
	confirmed, err := b.begin(ctx, &adapter.Request{Action: adapter.ActionJoin, Targets: rooms}, nil)
	errs := []error{full, err}
	if joined > 0 { // at once: who does not confirm is of no importance to this node's members
		if err := n.interest.announce(ctx, rooms); err != nil {
			errs = append(errs, fmt.Errorf("server: join: %w", err))
		}
	}
	if err == nil {
		errs = append(errs, confirmed(ctx))
	}
	return errors.Join(errs...)
}

// Leave takes the selected sockets of all nodes out of rooms. It waits and fails
// as Join does.
func (b Broadcast) Leave(ctx context.Context, rooms ...string) error {
	n, err := b.asks()
	if err != nil {
		return err
	}
	if b.here() {
		leaveAll(n.local(b), rooms)
	}
	return b.ask(ctx, &adapter.Request{Action: adapter.ActionLeave, Targets: rooms}, nil)
}

// Disconnect disconnects the selected sockets of all nodes; see Socket.Disconnect.
// It waits and fails as Join does.
func (b Broadcast) Disconnect(ctx context.Context, close bool) error {
	n, err := b.asks()
	if err != nil {
		return err
	}
	switch {
	case b.isLocal():
		for _, s := range n.local(b) {
			s.Disconnect(close)
		}
	case b.here():
		disconnectAll(n.local(b), close)
	}
	return b.ask(ctx, &adapter.Request{Action: adapter.ActionDisconnect, Close: close}, nil)
}

// asks returns the namespace whose nodes b can ask.
func (b *Broadcast) asks() (*Namespace, error) {
	n := b.namespace
	switch {
	case n.isPattern():
		return nil, fmt.Errorf("%w: a pattern has no sockets of its own", ErrNamespace)
	case n.server.closed.Load():
		return nil, ErrServerClosed
	}
	return n, nil
}

// ask sends r about the selected sockets to the other nodes, if the selection
// includes theirs, and passes on what they answer.
func (b *Broadcast) ask(ctx context.Context, r *adapter.Request, receive func(*adapter.Response)) error {
	wait, err := b.begin(ctx, r, receive)
	if err != nil {
		return err
	}
	return wait(ctx)
}

// begin is ask without the waiting. What it returns is called, so that the call ends.
func (b *Broadcast) begin(ctx context.Context, r *adapter.Request, receive func(*adapter.Response)) (wait func(context.Context) error, err error) {
	if b.isLocal() {
		return func(context.Context) error { return nil }, nil
	}
	r.Rooms, r.Except = b.selected(), b.except
	if receive == nil {
		receive = func(*adapter.Response) {}
	}
	n := b.namespace
	o := n.beginRequest(ctx, r)
	call, err := n.topic.Begin(ctx, r, receive)
	if err != nil {
		o.end(partial(err))
		return nil, partial(err)
	}
	return func(ctx context.Context) error {
		err := partial(call.Wait(ctx))
		o.end(err)
		return err
	}, nil
}

// isLocal says whether only sockets of this node are selected.
func (b *Broadcast) isLocal() bool {
	return b.local || b.one != nil || b.namespace.topic == nil
}

// here says whether this node's sockets are changed at once. Otherwise they are when
// the request comes back from the log, behind what was emitted before.
func (b *Broadcast) here() bool { return b.isLocal() || !b.namespace.topic.Ordered() }

// PartialError says whose part of an answer is missing. What came is returned
// together with it.
type PartialError struct {
	// Nodes are the ids of the nodes that did not answer, or not completely.
	Nodes []string
	// Unnamed is the number of Node.js servers that did not answer.
	Unnamed int
	// Expected is, for CallAll, the number of sockets that are known to have got the event.
	Expected int
	// Received is, for CallAll, how many of them have acknowledged it.
	Received int
	// Err is why: the cause of the end of the call's context, ErrNodeLost,
	// ErrDegraded, ErrServerClosed, or ErrDisconnected when clients went without
	// acknowledging.
	Err error
}

// Error names the nodes.
func (e *PartialError) Error() string {
	text := "server: answers are missing"
	if len(e.Nodes) > 0 {
		text += fmt.Sprintf(" of nodes %v", e.Nodes)
	}
	if e.Unnamed > 0 {
		text += fmt.Sprintf(" of %d Node.js servers", e.Unnamed)
	}
	if e.Expected > e.Received {
		text += fmt.Sprintf(" of %d of %d sockets", e.Expected-e.Received, e.Expected)
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *PartialError) Unwrap() error { return e.Err }

// partial turns the error of a request into that of this package.
func partial(err error) error {
	var missing *cluster.PartialError
	if !errors.As(err, &missing) {
		if err != nil {
			return fmt.Errorf("server: ask the other nodes: %w", whyClosed(err))
		}
		return nil
	}
	e := &PartialError{Unnamed: missing.Unnamed, Err: whyClosed(missing.Err)}
	for _, id := range missing.Missing {
		e.Nodes = append(e.Nodes, string(id))
	}
	return e
}

// whyClosed makes err wrap ErrServerClosed if this node has left the cluster.
func whyClosed(err error) error {
	if errors.Is(err, cluster.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrServerClosed, err)
	}
	return err
}
