package server

import (
	"context"
	"slices"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Observer is told of what happens to a node, for logs, metrics, traces and alarms. Each
// function may be nil. It returns promptly, does not call Shutdown, is called concurrently
// but for Bus, and whoever calls it is not concerned by its panic, which is logged and
// counted.
type Observer struct {
	// Bus is called when the state of the adapter's backend changes and when messages of
	// other nodes may have been missed, one call at a time and in order. It needs an Adapter
	// that is an adapter.Watcher.
	Bus func(adapter.Event)
	// Begin is called when an operation begins, in the goroutine that carries it out, and
	// returns ctx or a context derived from it, which handlers get. It must not end its
	// goroutine.
	Begin func(ctx context.Context, o *Operation) context.Context
	// End is called once for each operation, when it is over, with the context that Begin has
	// returned. It may be called in another goroutine than Begin. It must not end its goroutine.
	End func(ctx context.Context, o *Operation)
}

// JoinObservers returns an Observer that tells all of observers, in their order, and in
// Begin each with the context of the one before; End is told in the reverse order. Nil ones
// are left out.
func JoinObservers(observers ...*Observer) *Observer {
	all := slices.DeleteFunc(slices.Clone(observers), func(o *Observer) bool { return o == nil })
	joined := &Observer{}
	for _, o := range all {
		joined.Bus = inOrder(joined.Bus, o.Bus)
		joined.Begin = nested(joined.Begin, o.Begin)
		joined.End = enclosed(joined.End, o.End)
	}
	return joined
}

func inOrder(first, second func(adapter.Event)) func(adapter.Event) {
	if first == nil || second == nil {
		return either(first, second, first == nil)
	}
	return func(e adapter.Event) {
		first(e)
		second(e)
	}
}

func nested(outer, inner func(context.Context, *Operation) context.Context) func(context.Context, *Operation) context.Context {
	if outer == nil || inner == nil {
		return either(outer, inner, outer == nil)
	}
	return func(ctx context.Context, o *Operation) context.Context { return inner(outer(ctx, o), o) }
}

func enclosed(outer, inner func(context.Context, *Operation)) func(context.Context, *Operation) {
	if outer == nil || inner == nil {
		return either(outer, inner, outer == nil)
	}
	return func(ctx context.Context, o *Operation) {
		inner(ctx, o)
		outer(ctx, o)
	}
}

// either returns second if so, and first otherwise.
func either[F any](first, second F, so bool) F {
	if so {
		return second
	}
	return first
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
