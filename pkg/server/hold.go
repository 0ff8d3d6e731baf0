package server

import (
	"time"

	"github.com/roomcast/roomcast/internal/engine"
)

// The modes of a socket as a receiver.
const (
	receiving uint32 = iota
	held             // what is sent is kept aside until the client has caught up
	deaf             // nothing more may be sent: the client has left, or was told to
)

// skipPatience is how long what a client knows already may keep coming. A log that
// was lost never brings its end.
const skipPatience = 10 * time.Second

// hold is what a socket gets while it catches up. Only the fan-out's goroutine
// uses it.
type hold struct {
	kept     []kept
	bytes    int64
	released bool
	skip     string // what is delivered up to this offset is known to the client
	deadline time.Time
}

// kept is one message that is kept aside.
type kept struct {
	message *engine.Message
	offset  string // of a broadcast of the log
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
	h := &s.recovery.hold
	session := s.connection.session
	switch {
	case d.release:
		f.release(s, d)
	case d.close, d.last:
		session.Close() // the client has no reply yet that could be followed by anything else
	case h.skip != "" && d.offset != "":
		f.leaveOut(s, d.offset)
	case h.released:
		return session.Send(d.message)
	case d.volatile:
	default:
		h.kept = append(h.kept, kept{d.message, d.offset})
		if h.bytes += int64(d.message.Size()); h.bytes > s.connection.server.options.MaxSendQueueBytes {
			session.Close()
		}
	}
	return nil
}

// release sends what was missed, the reply to CONNECT, and what was kept aside.
func (f *fanout) release(s *Socket, d *delivery) {
	h := &s.recovery.hold
	_ = s.connection.session.Send(d.message)
	h.skip = d.offset
	for _, k := range h.unknown() {
		_ = s.connection.session.Send(k.message)
	}
	h.kept, h.released = nil, true
	if h.skip == "" {
		f.unhold(s)
		return
	}
	h.deadline = time.Now().Add(skipPatience)
}

// unknown returns what was kept aside and is not known to the client. It clears
// skip when what is left out ends there.
func (h *hold) unknown() []kept {
	if h.skip == "" {
		return h.kept
	}
	var unknown []kept
	for _, k := range h.kept {
		switch {
		case h.skip == "" || k.offset == "":
			unknown = append(unknown, k)
		case k.offset == h.skip:
			h.skip = ""
		}
	}
	return unknown
}

// leaveOut passes over a broadcast that the client knows.
func (f *fanout) leaveOut(s *Socket, offset string) {
	h := &s.recovery.hold
	switch {
	case offset == h.skip:
		h.skip = ""
		f.unhold(s)
	case h.released && time.Now().After(h.deadline):
		s.connection.session.Close()
	}
}
