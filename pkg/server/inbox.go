package server

import (
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/roomcast/roomcast/pkg/packet"
)

// keptEvents is the largest inbox that is kept for reuse.
const keptEvents = 64

// inbox is what waits for a socket's handlers.
type inbox struct {
	packets []packet.Packet
}

var inboxes = sync.Pool{New: func() any { return new(inbox) }}

// put adds an event of the client. The socket's goroutine exists while its inbox
// has something, so that an idle socket costs none.
func (s *Socket) put(p packet.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbox == nil {
		s.inbox = inboxes.Get().(*inbox)
	}
	s.inbox.packets = append(s.inbox.packets, p)
	s.wake()
}

// wake sees to it that the socket's goroutine runs. mu is held.
func (s *Socket) wake() {
	if !s.running {
		s.running = true
		s.connection.server.tasks.Go(s.run)
	}
}

// run handles what arrives until nothing is left, and the disconnection as the
// last.
func (s *Socket) run() {
	for {
		s.mu.Lock()
		box := s.inbox
		s.inbox = nil
		last := box == nil && s.state.Load() == disconnected && !s.ended
		if last {
			s.ended = true
		}
		s.running = box != nil || last
		s.mu.Unlock()

		switch {
		case box != nil:
			s.handleAll(box)
		case last:
			s.farewell()
		default:
			return
		}
	}
}

func (s *Socket) handleAll(box *inbox) {
	for i := range box.packets {
		p := &box.packets[i]
		size := packetSize(p)
		// A client that asks faster than it reads the answers is slowed down.
		s.connection.session.AwaitSendQueue()
		s.guard("event", func() error {
			return s.namespace.handlers.current.Load().handle(s.Context(), s, p)
		})
		s.connection.release(size)
	}
	if cap(box.packets) <= keptEvents {
		clear(box.packets)
		box.packets = box.packets[:0]
		inboxes.Put(box)
	}
}

// farewell runs the handlers of OnDisconnect and gives up the rooms.
func (s *Socket) farewell() {
	s.mu.Lock()
	reason := s.reason
	s.mu.Unlock()
	for _, handle := range s.namespace.handlers.current.Load().disconnect {
		s.guard("disconnect", func() error {
			handle(s.connection.server.base, s, reason)
			return nil
		})
	}
	s.mu.Lock()
	s.rooms = nil
	s.mu.Unlock()
}

// guard runs a handler. Its error is logged; its panic ends the socket and nothing
// else. It says whether neither happened.
func (s *Socket) guard(kind string, f func() error) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			ok = false
			server := s.connection.server
			server.panics.Add(1)
			server.log.Error("handler panicked", "handler", kind, "namespace", clip(s.requested), "socket", s.id,
				"panic", clip(fmt.Sprint(v)), "stack", string(debug.Stack()))
			s.leave()
		}
	}()
	if err := f(); err != nil {
		s.connection.server.log.Warn("handler failed", "handler", kind, "namespace", clip(s.requested), "socket", s.id, "error", clip(err.Error()))
		return false
	}
	return true
}

// packetSize is what an event counts against the limit of those in flight.
func packetSize(p *packet.Packet) int64 {
	n := len(p.Data)
	for _, a := range p.Attachments {
		n += len(a)
	}
	return int64(n)
}
