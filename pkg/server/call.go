package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomcast/roomcast/pkg/packet"
)

// Call sends event with args to the client and returns its acknowledgement: the
// first argument decoded into Res, or all of them undecoded when Res is Args. It
// waits until ctx ends, so give it one with a deadline; without one it waits as
// long as the socket is connected. It may be called from a handler of the same
// socket.
//
// It fails with ctx's error, with ErrDisconnected, with ErrTooManyAcks, with
// ErrArguments when the answer does not decode, and as Socket.Emit does. An
// answer that comes later is ignored.
func Call[Res any](ctx context.Context, s *Socket, event string, args ...any) (Res, error) {
	var result Res
	answer, err := s.call(ctx, event, args)
	if err != nil {
		return result, err
	}
	if all, ok := any(&result).(*Args); ok {
		*all = answer
		return result, nil
	}
	return result, answer.Decode(&result)
}

func (s *Socket) call(ctx context.Context, event string, args []any) (Args, error) {
	p, err := s.event(event, args)
	if err != nil {
		return Args{}, err
	}
	ctx, r := s.namespace.begin(ctx, Operation{Kind: OperationCall, Event: event, Socket: s})
	all, err := s.exchange(ctx, event, p)
	if r != nil && !errors.Is(err, ErrDisconnected) {
		r.Receivers = 1
	}
	r.end(err)
	return all, err
}

// exchange sends p and waits for its acknowledgement.
func (s *Socket) exchange(ctx context.Context, event string, p packet.Packet) (Args, error) {
	p.ID, p.HasID = s.namespace.ackIDs.Add(1)-1, true
	answer := make(single, 1)
	if err := s.expect(p.ID, answer); err != nil {
		return Args{}, err
	}
	defer s.forget(p.ID)
	if s.namespace.seesOutgoing() {
		s.namespace.announceOutgoing(&p, []*Socket{s}, exclusion{})
	}
	if err := s.send(&p); err != nil {
		return Args{}, err
	}
	select {
	case ack, ok := <-answer:
		if !ok {
			return Args{}, ErrDisconnected
		}
		values, err := ack.Args()
		return Args{values: values}, argumentError(err)
	case <-ctx.Done():
		return Args{}, fmt.Errorf("server: call %q: %w", event, context.Cause(ctx))
	}
}

// expect has w told of the answer to the packet with the given id.
func (s *Socket) expect(id uint64, w waiter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Connected() {
		return ErrDisconnected
	}
	if limit := s.connection.server.options.MaxPendingAcks; exceeds(len(s.acks)+1, limit) {
		s.connection.server.hit(limitPendingAcks)
		return fmt.Errorf("%w: at most %d", ErrTooManyAcks, limit)
	}
	if s.acks == nil {
		s.acks = make(map[uint64]waiter)
	}
	s.acks[id] = w
	s.connection.awaited(w, 1)
	return nil
}

// forget ends the wait for an answer, and says whether it had not ended otherwise.
func (s *Socket) forget(id uint64) bool {
	s.mu.Lock()
	w, waiting := s.acks[id]
	delete(s.acks, id)
	s.mu.Unlock()
	s.connection.awaited(w, -1)
	return waiting
}

// answered hands an acknowledgement of the client to who waits for it. Unknown
// and repeated ones are ignored. See Socket.IO v5, "ACK".
func (s *Socket) answered(p packet.Packet) {
	s.mu.Lock()
	w := s.acks[p.ID]
	delete(s.acks, p.ID)
	s.mu.Unlock()
	if w != nil {
		w.answered(p)
		s.connection.awaited(w, -1)
	}
}
