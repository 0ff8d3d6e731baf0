package server

import (
	"fmt"
	"runtime/debug"
)

// kindEvent is the kind of the handlers of clients' events.
const kindEvent = "event"

// guard runs a handler. Its error is logged; its panic ends the socket and nothing
// else, and so does the end of its goroutine by runtime.Goexit. It says whether
// none of these happened.
func (s *Socket) guard(kind string, f func() error) (ok bool) {
	returned := false
	defer func() {
		if v := recover(); !returned {
			ok = false
			s.connection.server.panicked(kind, v, "namespace", clip(s.requested), "socket", s.id)
			s.leave()
		}
	}()
	err := f()
	returned = true
	if err != nil {
		s.connection.server.log.Warn("handler failed", "handler", kind, "namespace", clip(s.requested), "socket", s.id, "error", clip(err.Error()))
		return false
	}
	return true
}

// guard runs what the application registered and concerns no socket. It says
// whether f returned without an error, which is logged like a panic.
func (n *Namespace) guard(kind string, f func() error) (ok bool) {
	returned := false
	defer func() {
		if v := recover(); !returned {
			ok = false
			n.server.panicked(kind, v, "namespace", clip(n.name))
		}
	}()
	err := f()
	returned = true
	if err != nil {
		n.server.log.Warn("handler failed", "handler", kind, "namespace", clip(n.name), "error", clip(err.Error()))
		return false
	}
	return true
}

// panicked counts and logs a handler's panic, or its runtime.Goexit, for which v is nil.
func (s *Server) panicked(kind string, v any, where ...any) {
	if v == nil {
		v = "runtime.Goexit was called"
	}
	if kind == kindEvent {
		s.counters.eventPanics.Add(1)
	} else {
		s.counters.panics.Add(1)
	}
	s.log.Error("handler panicked", append([]any{
		"handler", kind, "panic", clip(fmt.Sprint(v)), "stack", string(debug.Stack()),
	}, where...)...)
}
