package server

import (
	"context"
	"sync"
	"sync/atomic"
)

// tasks are goroutines that somebody waits for in the end.
type tasks struct {
	running atomic.Int64

	mu   sync.Mutex
	idle chan struct{} // closed when none runs; nil while nobody waits
}

// Go runs f in a goroutine.
func (t *tasks) Go(f func()) {
	t.running.Add(1)
	go func() {
		defer t.finished()
		f()
	}()
}

func (t *tasks) finished() {
	if t.running.Add(-1) > 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle != nil && t.running.Load() == 0 {
		close(t.idle)
		t.idle = nil
	}
}

// wait returns when no task runs, or with ctx's error.
func (t *tasks) wait(ctx context.Context) error {
	t.mu.Lock()
	if t.running.Load() == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
