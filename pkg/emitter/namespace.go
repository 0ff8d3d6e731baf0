package emitter

import (
	"context"
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Namespace is a namespace of the cluster, as Emitter.Of returns it. It is an
// immutable value, which may be kept and used by several goroutines.
type Namespace struct {
	emitter *Emitter
	name    string
}

// Name returns the namespace's name, such as "/chat".
func (n Namespace) Name() string { return n.name }

// All selects all sockets of the namespace.
func (n Namespace) All() Broadcast { return Broadcast{namespace: n} }

// To selects the sockets that are in any of rooms. Each socket is in the room of
// its own id.
func (n Namespace) To(rooms ...string) Broadcast { return n.All().To(rooms...) }

// Except selects all sockets but those that are in any of rooms.
func (n Namespace) Except(rooms ...string) Broadcast { return n.All().Except(rooms...) }

// Volatile selects all sockets; those that are not writable at the moment miss
// the event.
func (n Namespace) Volatile() Broadcast { return n.All().Volatile() }

// Compress selects all sockets; see Broadcast.Compress.
func (n Namespace) Compress(on bool) Broadcast { return n.All().Compress(on) }

// Emit sends event to all sockets of the namespace. See Broadcast.Emit.
func (n Namespace) Emit(ctx context.Context, event string, args ...any) error {
	return n.All().Emit(ctx, event, args...)
}

// ServerSideEmit sends event with args to the handlers that the nodes' programs
// have for events of nodes, on every node; no client sees it. It fails with
// ErrReservedEvent for "connect", "connection" and "new_namespace", and for the
// rest as Broadcast.Emit does.
func (n Namespace) ServerSideEmit(ctx context.Context, event string, args ...any) error {
	switch event {
	case "connect", "connection", "new_namespace":
		return fmt.Errorf("%w: %q", ErrReservedEvent, event)
	}
	p, err := n.emitter.encodeEvent(n.name, event, args)
	if err != nil {
		return err
	}
	return n.request(ctx, &adapter.Request{Action: adapter.ActionEvent, Packet: p})
}

// request asks all nodes for something that nobody answers.
func (n Namespace) request(ctx context.Context, r *adapter.Request) error {
	return n.emitter.publish(ctx, n.name, &adapter.Message{Kind: adapter.KindRequest, Request: r})
}
