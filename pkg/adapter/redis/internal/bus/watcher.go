package bus

import (
	"slices"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// maxEvents bounds what waits for a watcher that does not return. Beyond it the
// oldest are forgotten; what they counted is in the status of those that follow.
const maxEvents = 256

// watcher passes events on to one function, in a goroutine of its own: whoever has
// something to report holds locks, or reads from Redis, and cannot wait.
type watcher struct {
	f    func(adapter.Event)
	wake chan struct{} // one token: there are events
	done chan struct{}

	mu     sync.Mutex
	events []adapter.Event
}

// Watch calls f for each event from now on; see adapter.Watcher.
func (h *Health) Watch(f func(adapter.Event)) (stop func()) {
	w := &watcher{f: f, wake: make(chan struct{}, 1), done: make(chan struct{})}
	var run sync.WaitGroup
	run.Go(w.run)
	h.mu.Lock()
	h.watchers = append(h.watchers, w)
	h.mu.Unlock()
	end := sync.OnceFunc(func() {
		h.mu.Lock()
		h.watchers = slices.DeleteFunc(h.watchers, func(other *watcher) bool { return other == w })
		h.mu.Unlock()
		close(w.done)
	})
	return func() {
		end()
		run.Wait()
	}
}

func (w *watcher) put(e adapter.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) == maxEvents {
		w.events = slices.Delete(w.events, 0, 1)
	}
	w.events = append(w.events, e)
	signal(w.wake)
}

func (w *watcher) take() []adapter.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

func (w *watcher) run() {
	for {
		select {
		case <-w.done:
			return
		case <-w.wake:
		}
		for _, e := range w.take() {
			select {
			case <-w.done:
				return
			default:
				w.f(e)
			}
		}
	}
}
