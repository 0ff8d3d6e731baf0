package server

import (
	"sync"

	"github.com/roomcast/roomcast/pkg/packet"
)

// keptEvents is the largest inbox that is kept for reuse.
const keptEvents = 64

// inbox is what waits for a socket's handlers.
type inbox struct {
	packets []packet.Packet
	handled int // of packets
}

var inboxes = sync.Pool{New: func() any { return new(inbox) }}

// put adds an event of the client. The socket's goroutine exists while its inbox
// has something, so that an idle socket costs none. An event that waited for room
// until the handlers of OnDisconnect have run comes too late.
func (s *Socket) put(p packet.Packet) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		s.connection.release(packetSize(&p))
		return
	}
	if s.inbox == nil {
		s.inbox = inboxes.Get().(*inbox)
	}
	s.inbox.packets = append(s.inbox.packets, p)
	start := s.wake()
	s.mu.Unlock()
	if start {
		s.start()
	}
}

// wake says whether the caller must start the socket's goroutine, after it has
// released mu, which it holds: the goroutine wants it first of all.
func (s *Socket) wake() (start bool) {
	start = !s.running
	s.running = true
	return start
}

func (s *Socket) start() { s.connection.server.tasks.Go(s.run) }

// run handles what arrives until nothing is left, and the disconnection as the
// last.
func (s *Socket) run() {
	var box *inbox
	finished := false
	defer func() {
		if !finished {
			s.resume(box)
		}
	}()
	for {
		s.mu.Lock()
		box = s.inbox
		s.inbox = nil
		last := box == nil && s.recorded && !s.ended
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
			finished = true
			return
		}
	}
}

// resume goes on in another goroutine after a handler has ended this one with
// runtime.Goexit, as a test's Fatal does. What is left of box comes first.
func (s *Socket) resume(box *inbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if box != nil {
		if s.inbox != nil {
			box.packets = append(box.packets, s.inbox.packets...)
		}
		s.inbox = box
	}
	s.start()
}

func (s *Socket) handleAll(box *inbox) {
	for box.handled < len(box.packets) {
		p := &box.packets[box.handled]
		box.handled++
		s.handle(p)
	}
	if cap(box.packets) <= keptEvents {
		box.packets, box.handled = box.packets[:0], 0
		inboxes.Put(box)
	}
}

// handle runs the handlers of one event and then forgets it: its memory counts as
// free from then on.
func (s *Socket) handle(p *packet.Packet) {
	defer func() {
		size := packetSize(p)
		*p = packet.Packet{}
		s.connection.release(size)
	}()
	if s.refused {
		return
	}
	if s.Connected() { // a client that asks faster than it reads the answers is slowed down
		s.connection.session.AwaitSendQueue()
	}
	if s.connection.server.observer != nil {
		s.handleObserved(p)
		return
	}
	s.guard(kindEvent, func() error {
		return s.namespace.handlers.current.Load().handle(s.Context(), s, p)
	})
}

// handleObserved is what handle does with an observer.
func (s *Socket) handleObserved(p *packet.Packet) {
	ctx, r := s.namespace.begin(s.Context(), Operation{Kind: OperationEvent, Event: eventName(p), Socket: s})
	r.Panicked = true
	var err error
	defer func() { r.end(err) }() // also when the handler has ended the goroutine
	s.guard(kindEvent, func() error {
		err = s.namespace.handlers.current.Load().handle(ctx, s, p)
		r.Panicked = false
		return err
	})
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

// packetSize is what an event counts against the limit of those in flight.
func packetSize(p *packet.Packet) int64 {
	n := len(p.Data)
	for _, a := range p.Attachments {
		n += len(a)
	}
	return int64(n)
}
