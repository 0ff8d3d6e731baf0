package server

import (
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Observer is told of what happens to a node, for logs, metrics and alarms. Each
// function may be nil. It returns promptly, does not call Shutdown, and whoever calls
// it is not concerned by its panic, which is logged and counted.
type Observer struct {
	// Bus is called when the state of the adapter's backend changes and when messages of
	// other nodes may have been missed, one call at a time and in order. It needs an Adapter
	// that is an adapter.Watcher.
	Bus func(adapter.Event)
}

// observe begins to tell the observer of events, and returns what ends that.
func (s *Server) observe() (stop func()) {
	watcher, ok := s.options.Adapter.(adapter.Watcher)
	if o := s.options.Observer; !ok || o == nil || o.Bus == nil {
		return func() {}
	}
	return sync.OnceFunc(watcher.Watch(func(e adapter.Event) {
		s.tell("bus observer", func() { s.options.Observer.Bus(e) })
	}))
}

// tell runs a function of the observer's. It may end its goroutine, which is therefore
// not the adapter's.
func (s *Server) tell(kind string, f func()) {
	s.tasks.await(func() {
		returned := false
		defer func() {
			if v := recover(); !returned {
				s.panicked(kind, v)
			}
		}()
		f()
		returned = true
	})
}
