package server

import (
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
	rooms        []string
	except       []string
	local        bool
	volatile     bool
	uncompressed bool
}

// To adds the sockets that are in any of rooms. A Broadcast without rooms selects
// all sockets of the namespace.
func (b Broadcast) To(rooms ...string) Broadcast {
	b.rooms = appendCopy(b.rooms, rooms...)
	return b
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
// that order.
//
// It fails with ErrReservedEvent, with ErrTooManyAttachments, with an error that
// wraps packet.ErrEncode for arguments that JSON cannot express, and with
// ErrServerClosed; then nothing was sent. With ErrQueueFull the event reached
// this node's sockets but not the others'.
func (b Broadcast) Emit(event string, args ...any) error {
	n := b.namespace
	data, attachments, err := n.server.encodeEvent(event, args)
	if err != nil {
		return err
	}
	if !n.isPattern() {
		return b.emit(n, data, attachments)
	}
	var errs []error
	for _, child := range n.pattern.namespaces() {
		if child.isReady() { // one that is still joining has no sockets, and is not waited for
			errs = append(errs, b.emit(child, data, attachments))
		}
	}
	return errors.Join(errs...)
}

func (b Broadcast) emit(n *Namespace, data jsontext.Value, attachments [][]byte) error {
	p := packet.Packet{Type: packet.Event, Namespace: n.name, Data: data, Attachments: attachments}
	var err error
	if !b.local && n.topic != nil {
		// The bus first: the message travels while local sockets are served.
		err = n.topic.Broadcast(n.server.base, &adapter.Broadcast{
			Packet: p, Rooms: b.rooms, Except: b.except, Volatile: b.volatile, Uncompressed: b.uncompressed,
		})
		if err != nil {
			err = fmt.Errorf("server: broadcast: %w", err)
		}
	}
	if receivers, except := n.resolve(b.rooms, b.except); len(receivers) > 0 {
		n.server.fanout.add(delivery{
			message: encode(&p, b.uncompressed), sockets: receivers, except: except, volatile: b.volatile,
		})
	}
	return err
}

// encodeEvent encodes an event and its arguments, once for all receivers.
func (s *Server) encodeEvent(event string, args []any) (jsontext.Value, [][]byte, error) {
	if s.closed.Load() {
		return nil, nil, ErrServerClosed
	}
	if packet.Reserved(event) {
		return nil, nil, fmt.Errorf("%w: %q", ErrReservedEvent, event)
	}
	data, attachments, err := packet.MarshalEvent(event, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("server: encode event: %w", err)
	}
	return data, attachments, s.checkAttachments(attachments)
}

// checkAttachments fails for a packet on which clients would drop the connection.
func (s *Server) checkAttachments(attachments [][]byte) error {
	if len(attachments) > s.options.MaxAttachments {
		return fmt.Errorf("%w: %d, at most %d", ErrTooManyAttachments, len(attachments), s.options.MaxAttachments)
	}
	return nil
}

// appendCopy appends to a copy, so that values sharing a slice never share what is added.
func appendCopy[T any](list []T, more ...T) []T {
	return append(slices.Clip(list), more...)
}
