package server

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Broadcast is a selection of sockets, on all nodes, to which an event can be
// sent. It is immutable: each method returns another one, and a Broadcast may be
// kept and used by several goroutines.
type Broadcast struct {
	namespace    *Namespace
	one          *Socket // the only one selected, which is on this node; no rooms
	rooms        []string
	except       []string
	local        bool
	volatile     bool
	uncompressed bool
	ctx          context.Context // nil for that of no operation
}

// WithContext has Emit be part of what ctx belongs to, for Options.Observer: in a handler
// this connects what it emits with the event that it handles. ctx bounds nothing.
func (b Broadcast) WithContext(ctx context.Context) Broadcast {
	b.ctx = ctx
	return b
}

// To adds the sockets that are in any of rooms. A Broadcast without rooms selects
// all sockets of the namespace.
func (b Broadcast) To(rooms ...string) Broadcast {
	if b.one != nil { // as with Socket.To: the rooms, but not the socket itself
		b.except = appendCopy(b.except, b.one.id)
		b.one = nil
	}
	b.rooms = appendCopy(b.rooms, rooms...)
	return b
}

// selected returns the rooms whose sockets are selected; none means all.
func (b *Broadcast) selected() []string {
	if b.one != nil {
		return []string{b.one.id}
	}
	return b.rooms
}

// Except leaves out the sockets that are in any of rooms.
func (b Broadcast) Except(rooms ...string) Broadcast {
	b.except = appendCopy(b.except, rooms...)
	return b
}

// Local restricts the selection to this node's sockets.
func (b Broadcast) Local() Broadcast {
	b.local = true
	return b
}

// Volatile lets sockets miss the event that are not writable at the moment,
// instead of queueing it for them.
func (b Broadcast) Volatile() Broadcast {
	b.volatile = true
	return b
}

// Compress says whether the event may be compressed, where compression was
// negotiated and the event is large enough. The default is true.
func (b Broadcast) Compress(on bool) Broadcast {
	b.uncompressed = !on
	return b
}

// Emit sends event with args to the selected sockets. The receivers on this node
// are those of the moment of the call; each gets the event once, even when it is
// in several of the rooms. Emit returns when the event has its place in this
// node's fan-out queue and in the adapter's publish queue: it waits neither for
// clients nor for the backend. What one goroutine emits arrives at each socket in
// that order. With Options.Recovery, and with an adapter whose log orders everything
// (adapter.TotalOrder), the receivers are those of the moment at which the log delivers
// the event, on this node as on the others.
//
// It fails with ErrReservedEvent, with ErrTooManyAttachments, with an error that
// wraps packet.ErrEncode for arguments that JSON cannot express, and with
// ErrServerClosed; then nothing was sent. With ErrQueueFull the event reached
// this node's sockets but not the others', and where a log delivers it nobody.
func (b Broadcast) Emit(event string, args ...any) error {
	n := b.namespace
	data, attachments, err := n.server.encodeEvent(event, args)
	if err != nil {
		return err
	}
	if !n.isPattern() {
		return b.emit(n, event, data, attachments)
	}
	var errs []error
	for _, child := range n.pattern.namespaces() {
		if child.isReady() { // one that is still joining has no sockets, and is not waited for
			errs = append(errs, b.emit(child, event, data, attachments))
		}
	}
	return errors.Join(errs...)
}

func (b Broadcast) emit(n *Namespace, event string, data jsontext.Value, attachments [][]byte) error {
	p := packet.Packet{Type: packet.Event, Namespace: n.name, Data: data, Attachments: attachments}
	if n.server.observer != nil {
		return b.emitObserved(n, event, &p)
	}
	return b.emitPacket(n, &p, nil)
}

// emitObserved is emitPacket with an observer.
func (b Broadcast) emitObserved(n *Namespace, event string, p *packet.Packet) error {
	ctx := b.ctx
	if ctx == nil {
		ctx = n.server.base
	}
	_, r := n.begin(ctx, Operation{Kind: OperationEmit, Event: event, Socket: b.one})
	err := b.emitPacket(n, p, r)
	r.end(err)
	return err
}

func (b Broadcast) emitPacket(n *Namespace, p *packet.Packet, r *running) error {
	switch {
	case b.one != nil && len(b.except) == 0:
		return b.one.emit(p, b.volatile, b.uncompressed, r)
	case b.local || n.topic == nil:
		return n.emitHere(p, b, r)
	case n.returns:
		return b.publish(n, p, r)
	}
	// The bus first: the message travels while local sockets are served.
	err := b.publish(n, p, r)
	return errors.Join(err, n.emitHere(p, b, r))
}

// publish hands the broadcast to the adapter.
func (b *Broadcast) publish(n *Namespace, p *packet.Packet, r *running) error {
	n.fence.published()
	err := n.topic.Broadcast(n.server.base, &adapter.Broadcast{
		Packet: *p, Rooms: b.selected(), Except: b.except, Volatile: b.volatile, Uncompressed: b.uncompressed,
		Trace: r.trace(),
	})
	if err != nil {
		n.fence.refused()
		return fmt.Errorf("server: broadcast: %w", err)
	}
	return nil
}

// appendCopy appends to a copy, so that values sharing a slice never share what is added.
func appendCopy[T any](list []T, more ...T) []T {
	return append(slices.Clip(list), more...)
}
