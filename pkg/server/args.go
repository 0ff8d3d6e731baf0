package server

import (
	"fmt"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/packet"
)

// Args are the arguments of an event or an acknowledgement, not yet decoded. Use
// it as the type of a handler's value to get them all:
//
//	server.On(ns, "move", func(ctx context.Context, s *server.Socket, a server.Args) error {
//		var x, y int
//		return a.Decode(&x, &y)
//	})
//
// Args may be kept and used by several goroutines.
type Args struct {
	values []packet.Raw
	reply  *reply
}

// Len returns the number of arguments.
func (a Args) Len() int { return len(a.values) }

// At returns argument i as raw JSON with its binary parts, to be decoded later or
// passed on as an argument of Emit. Beyond the last argument it is null.
func (a Args) At(i int) packet.Raw {
	if i < 0 || i >= len(a.values) {
		return packet.Raw{Value: []byte("null")}
	}
	return a.values[i]
}

// Decode decodes the arguments in order into what the targets point to. Missing
// arguments leave their target as it is, further ones are ignored. Where a
// target is a []byte or has one inside, the client's binary parts are put. It
// fails with an error that wraps ErrArguments.
func (a Args) Decode(targets ...any) error {
	for i, target := range targets {
		if i >= len(a.values) {
			return nil
		}
		if err := a.values[i].Decode(target); err != nil {
			return fmt.Errorf("%w: argument %d: %w", ErrArguments, i+1, err)
		}
	}
	return nil
}

// WantsAck says whether the client waits for an acknowledgement.
func (a Args) WantsAck() bool { return a.reply != nil }

// Ack acknowledges the event with args. Only the first call counts; without a
// client that waits for it, it does nothing. It does not wait for the client. It
// fails like Socket.Emit.
func (a Args) Ack(args ...any) error {
	if a.reply == nil {
		return nil
	}
	return a.reply.send(args...)
}

// reply is the acknowledgement that one event of a client is owed.
type reply struct {
	socket *Socket
	id     uint64
	sent   atomic.Bool
}

func (r *reply) send(args ...any) error {
	if r.sent.Load() {
		return nil
	}
	data, attachments, err := packet.MarshalArgs(args...)
	if err != nil {
		return fmt.Errorf("server: encode acknowledgement: %w", err)
	}
	if err := r.socket.connection.server.checkAttachments(attachments); err != nil {
		return err
	}
	if r.sent.Swap(true) { // only now: what cannot be sent leaves room for a refusal
		return nil
	}
	return r.socket.send(&packet.Packet{
		Type: packet.Ack, Namespace: r.socket.namespace.name, ID: r.id, HasID: true, Data: data, Attachments: attachments,
	})
}

func argumentError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrArguments, err)
}
