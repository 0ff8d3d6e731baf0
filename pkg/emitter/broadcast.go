package emitter

import (
	"context"
	"fmt"
	"slices"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Broadcast is a selection of sockets, on all nodes, with which something can be
// done. It is immutable: each of its first methods returns another one, and a
// Broadcast may be kept and used by several goroutines.
type Broadcast struct {
	namespace    Namespace
	rooms        []string
	except       []string
	volatile     bool
	uncompressed bool
}

// To adds the sockets that are in any of rooms. A Broadcast without rooms selects
// all sockets of the namespace.
func (b Broadcast) To(rooms ...string) Broadcast {
	b.rooms = appendCopy(b.rooms, rooms)
	return b
}

// Except leaves out the sockets that are in any of rooms.
func (b Broadcast) Except(rooms ...string) Broadcast {
	b.except = appendCopy(b.except, rooms)
	return b
}

// Volatile lets sockets miss the event that are not writable at the moment,
// instead of queueing it for them. It concerns Emit only.
func (b Broadcast) Volatile() Broadcast {
	b.volatile = true
	return b
}

// Compress says whether the event may be compressed, where compression was
// negotiated and the event is large enough. The default is true. It concerns Emit
// only.
func (b Broadcast) Compress(on bool) Broadcast {
	b.uncompressed = !on
	return b
}

// Emit sends event with args to the selected sockets. It returns when the event
// has its place in the adapter's publish queue; the receivers are those of the
// moment at which it reaches their node. A []byte inside args becomes a binary
// part and must not be changed afterwards, since it is not copied.
//
// It fails with ErrReservedEvent, with ErrTooManyAttachments, with ErrNamespace,
// with an error that wraps packet.ErrEncode for arguments that JSON cannot
// express, with ErrClosed, with ErrQueueFull, with ErrTooLarge, and with ctx's
// error; then nothing was sent.
func (b Broadcast) Emit(ctx context.Context, event string, args ...any) error {
	if packet.Reserved(event) {
		return fmt.Errorf("%w: %q", ErrReservedEvent, event)
	}
	n := b.namespace
	p, err := n.emitter.encodeEvent(n.name, event, args)
	if err != nil {
		return err
	}
	return n.emitter.publish(ctx, n.name, &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
		Packet: p, Rooms: b.rooms, Except: b.except, Volatile: b.volatile, Uncompressed: b.uncompressed,
	}})
}

// Join puts the selected sockets into rooms; without rooms it does nothing. It
// returns when the request has its place in the adapter's publish queue: what is
// emitted to rooms right afterwards may come too early. It fails as Emit does.
func (b Broadcast) Join(ctx context.Context, rooms ...string) error {
	return b.move(ctx, adapter.ActionJoin, rooms)
}

// Leave takes the selected sockets out of rooms; without rooms it does nothing.
// It returns and fails as Join does.
func (b Broadcast) Leave(ctx context.Context, rooms ...string) error {
	return b.move(ctx, adapter.ActionLeave, rooms)
}

func (b Broadcast) move(ctx context.Context, action adapter.Action, rooms []string) error {
	if len(rooms) == 0 {
		return nil
	}
	return b.namespace.request(ctx, &adapter.Request{
		Action: action, Rooms: b.rooms, Except: b.except, Targets: slices.Clone(rooms),
	})
}

// Disconnect takes the selected sockets out of the namespace. With close, their
// clients are taken out of all namespaces and the connections are closed. It
// returns and fails as Join does.
func (b Broadcast) Disconnect(ctx context.Context, close bool) error {
	return b.namespace.request(ctx, &adapter.Request{
		Action: adapter.ActionDisconnect, Rooms: b.rooms, Except: b.except, Close: close,
	})
}

// appendCopy appends to a copy, so that values sharing a slice never share what is added.
func appendCopy(list, more []string) []string {
	return append(slices.Clip(list), more...)
}
