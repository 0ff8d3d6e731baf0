package admin

import (
	"sync"
	"time"
)

// recentAge is how long what was found stays good.
const recentAge = 500 * time.Millisecond

// recent keeps what is costly to find, so that all who ask at about the same time get one
// answer. It is safe for concurrent use.
type recent[T any] struct {
	mu    sync.Mutex
	found time.Time
	value T
}

// get returns what find returns or has returned a moment ago. Callers wait for each other;
// find must not wait for anything.
func (r *recent[T]) get(find func() T) T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.found) > recentAge {
		r.value, r.found = find(), time.Now()
	}
	return r.value
}
