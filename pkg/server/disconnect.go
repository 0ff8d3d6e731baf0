package server

import (
	"context"

	"github.com/roomcast/roomcast/pkg/packet"
)

// DisconnectError is the cause of a socket's context when the socket has
// disconnected. It wraps ErrDisconnected.
type DisconnectError struct {
	// Reason is the disconnection's reason.
	Reason DisconnectReason
}

// Error returns the reason as a text.
func (e *DisconnectError) Error() string { return "server: socket disconnected: " + string(e.Reason) }

// Unwrap returns ErrDisconnected.
func (e *DisconnectError) Unwrap() error { return ErrDisconnected }

// Disconnect takes the client out of the namespace; it does not come back by
// itself. With close, it does so in all of the client's namespaces and closes the
// connection. Events that arrive afterwards are ignored. The handlers of
// OnDisconnect run in the socket's own order, with ServerDisconnect. With an adapter
// whose log orders everything (adapter.TotalOrder) this happens when what was emitted
// before has come back from the log, which Disconnect does not wait for, or after 1 s.
func (s *Socket) Disconnect(close bool) {
	s.namespace.behind(func() { s.expel(close) })
}

// expel is Disconnect at once.
func (s *Socket) expel(close bool) {
	if close {
		s.connection.disconnect(s)
		return
	}
	s.leave()
}

// leave ends s, and tells the client that it is out.
func (s *Socket) leave() {
	if s.end(ServerDisconnect) {
		m, err := s.connection.server.encode(&packet.Packet{Type: packet.Disconnect, Namespace: s.namespace.name}, false)
		if err == nil {
			_ = s.write(delivery{one: s, message: m, last: true})
		}
	}
}

// end disconnects s for good and says whether it was connected. Its rooms stay
// readable until the handlers of OnDisconnect have run.
func (s *Socket) end(reason DisconnectReason) bool {
	s.mu.Lock()
	before, namespace := s.state.Load(), s.namespace
	if before == disconnected {
		s.mu.Unlock()
		return false
	}
	s.state.Store(disconnected)
	s.reason = reason
	if before == connected {
		s.unregister()
		s.connection.server.counters.countDisconnection(reason)
	}
	rooms := s.announced()
	record := s.record(before)
	acks, cancel := s.acks, s.cancel
	var abandon context.CancelCauseFunc
	if s.recovery != nil {
		abandon = s.recovery.abandon
	}
	s.acks = nil
	s.mu.Unlock()

	for _, cancel := range []context.CancelCauseFunc{cancel, abandon} {
		if cancel != nil {
			cancel(&DisconnectError{Reason: reason})
		}
	}
	for _, w := range acks {
		w.gone()
		s.connection.awaited(w, -1)
	}
	s.connection.drop(s, false)
	s.save(before, record)
	if before != connecting {
		s.conclude()
	}
	if namespace != nil {
		for _, room := range rooms {
			namespace.interest.release(room)
		}
		namespace.release()
	}
	return before != connecting
}

// conclude has the program hear of the disconnection, which may count on the record: also when
// a handler was running before it was saved.
func (s *Socket) conclude() {
	s.mu.Lock()
	s.recorded = true
	start := s.wake()
	s.mu.Unlock()
	if start {
		s.start()
	}
}
