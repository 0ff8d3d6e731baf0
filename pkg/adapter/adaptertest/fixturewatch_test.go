package adaptertest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var errUnplugged = errors.New("unplugged")

// fixtureAlert passes events to one function, on a goroutine while there are some.
type fixtureAlert struct {
	call  func(adapter.Event)
	calls sync.WaitGroup

	mu      sync.Mutex
	queue   []adapter.Event
	busy    bool
	stopped bool
}

func (f *fixture) Watch(call func(adapter.Event)) (stop func()) {
	if f.fault.watch != nil {
		return f.fault.watch(f.watch, call)
	}
	return f.watch(call)
}

func (f *fixture) watch(call func(adapter.Event)) (stop func()) {
	a := &fixtureAlert{call: call}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alerts = append(f.alerts, a)
	return a.stop
}

// lose takes the backend away, as heal gives it back.
func (f *fixture) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = time.Now()
	f.status.State = adapter.Degraded
	f.status.Interruptions++
	f.tell(adapter.Event{Status: f.status, Cause: errUnplugged})
}

func (f *fixture) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := adapter.Event{}
	f.status.State = adapter.Up
	if !f.lost.IsZero() {
		f.status.Gaps++
		e.Gap = &adapter.Gap{From: f.lost, To: time.Now()}
		for _, l := range f.links {
			e.Gap.Topics = append(e.Gap.Topics, l.topic)
		}
		slices.Sort(e.Gap.Topics)
	}
	e.Status = f.status
	f.tell(e)
}

// tell queues an event for all who watch. The caller holds mu.
func (f *fixture) tell(e adapter.Event) {
	for _, a := range f.alerts {
		a.tell(e)
	}
}

func (a *fixtureAlert) tell(e adapter.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	a.queue = append(a.queue, e)
	if !a.busy {
		a.busy = true
		a.calls.Go(a.pass)
	}
}

func (a *fixtureAlert) pass() {
	for {
		a.mu.Lock()
		a.busy = len(a.queue) > 0 && !a.stopped
		if !a.busy {
			a.mu.Unlock()
			return
		}
		e := a.queue[0]
		a.queue = a.queue[1:]
		a.mu.Unlock()
		a.call(e)
	}
}

func (a *fixtureAlert) stop() {
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.calls.Wait()
}
