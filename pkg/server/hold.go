package server

import "github.com/roomcast/roomcast/internal/engine"

// The modes of a socket as a receiver.
const (
	receiving uint32 = iota
	held             // what is sent is kept aside until the client has caught up
	deaf             // nothing more may be sent: the client has left, or was told to
)

// hold is what a socket gets while it catches up. Only the fan-out's goroutine
// uses it.
type hold struct {
	kept  []kept
	bytes int64
}

// kept is one message that is kept aside.
type kept struct {
	message *engine.Message
	logged  bool
}

// hold keeps s from receiving, and fails when its client has gone. While a socket is
// held, deliveries are not joined: each is looked at by itself.
func (f *fanout) hold(s *Socket) bool {
	f.holding.Add(1)
	if s.mode.CompareAndSwap(receiving, held) {
		return true
	}
	f.holding.Add(-1)
	return false
}

// unhold lets s receive again.
func (f *fanout) unhold(s *Socket) {
	if s.mode.CompareAndSwap(held, receiving) {
		f.holding.Add(-1)
	}
}

// deafen ends what s receives, also while it is held.
func (f *fanout) deafen(s *Socket) {
	if s.mode.Swap(deaf) == held {
		f.holding.Add(-1)
	}
}

// intercept decides what becomes of d for one that is held.
func (f *fanout) intercept(s *Socket, d *delivery) error {
	h := &s.recovery.comeback.hold
	session := s.connection.session
	switch {
	case d.release:
		f.release(s, d)
	case d.known:
		h.forgetLogged()
	case d.close, d.last:
		session.Close() // the client has no reply yet that could be followed by anything else
	case d.volatile:
		d.gathering.dropped(s)
	default:
		h.kept = append(h.kept, kept{d.message, d.offset != ""})
		if h.bytes += int64(d.message.Size()); h.bytes > s.connection.server.options.MaxSendQueueBytes {
			session.Close()
		}
	}
	return nil
}

// release sends what was missed, the reply to CONNECT, and what was kept aside.
func (f *fanout) release(s *Socket, d *delivery) {
	h := &s.recovery.comeback.hold
	_ = s.connection.session.Send(d.message)
	for _, k := range h.kept {
		_ = s.connection.session.Send(k.message)
	}
	s.recovery.comeback = nil
	f.unhold(s)
}

// forgetLogged drops what was kept aside and came from the log: the client has it, or
// will be sent it as missed.
func (h *hold) forgetLogged() {
	rest := h.kept[:0]
	for _, k := range h.kept {
		if k.logged {
			h.bytes -= int64(k.message.Size())
		} else {
			rest = append(rest, k)
		}
	}
	clear(h.kept[len(rest):])
	h.kept = rest
}
