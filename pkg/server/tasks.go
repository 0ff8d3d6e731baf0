package server

import (
	"context"
	"sync"
	"sync/atomic"
)

// keptWorkers is how many goroutines without work are kept. A handler grows its
// goroutine's stack, which costs more than most handlers: so the next one gets a
// goroutine that has it already. More would be memory that a crowd leaves behind.
const keptWorkers = 64

// tasks runs functions in goroutines of its own, which end with dismiss.
type tasks struct {
	jobs    chan func()   // to workers that wait
	quit    chan struct{} // closed by dismiss
	once    sync.Once     // closes quit
	running activity      // functions
	workers activity      // goroutines
	waiting atomic.Int64  // goroutines that wait for a function
}

func newTasks() *tasks {
	return &tasks{jobs: make(chan func()), quit: make(chan struct{})}
}

// Go runs f in a goroutine.
func (t *tasks) Go(f func()) {
	t.running.begin()
	select {
	case t.jobs <- f:
	default:
		t.workers.begin()
		go t.work(f)
	}
}

// await runs f in a goroutine and returns when that has ended, which f may do with
// runtime.Goexit.
func (t *tasks) await(f func()) {
	done := make(chan struct{})
	t.Go(func() {
		defer close(done)
		f()
	})
	<-done
}

func (t *tasks) work(f func()) {
	defer t.workers.end()
	for f != nil {
		t.do(f)
		f = t.next()
	}
}

func (t *tasks) do(f func()) {
	defer t.running.end()
	f()
}

// next waits for another function; nil ends the worker.
func (t *tasks) next() func() {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > keptWorkers {
		return nil
	}
	select {
	case f := <-t.jobs:
		return f
	case <-t.quit:
		return nil
	}
}

// wait returns when no function runs, or with ctx's error.
func (t *tasks) wait(ctx context.Context) error { return t.running.wait(ctx) }

// dismiss ends the goroutines that have no work and waits for them, and for the
// others when they are done, no longer than ctx.
func (t *tasks) dismiss(ctx context.Context) error {
	t.once.Do(func() { close(t.quit) })
	return t.workers.wait(ctx)
}

// activity counts what is going on, and lets others wait until nothing is.
type activity struct {
	count atomic.Int64

	mu   sync.Mutex
	idle chan struct{} // closed when count is zero; nil while nobody waits
}

func (a *activity) begin() { a.count.Add(1) }

func (a *activity) end() {
	if a.count.Add(-1) > 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.idle != nil && a.count.Load() == 0 {
		close(a.idle)
		a.idle = nil
	}
}

func (a *activity) wait(ctx context.Context) error {
	a.mu.Lock()
	if a.count.Load() == 0 {
		a.mu.Unlock()
		return nil
	}
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	idle := a.idle
	a.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
