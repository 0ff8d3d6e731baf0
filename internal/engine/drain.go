package engine

import "time"

// hurriedCloseTimeout bounds CloseTimeout while the engine drains: the process
// waits for it.
const hurriedCloseTimeout = 3 * time.Second

// Drain refuses handshakes with status 503 from now on. Sessions go on as before:
// they poll, post and upgrade until they are closed.
func (e *Engine) Drain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.draining = true
}

// Sessions returns the sessions that are open. After Drain no other will be.
func (e *Engine) Sessions() []*Session {
	open := e.snapshot()
	n := 0
	for _, s := range open {
		if !s.ended.Load() { // one that has ended is known until its client has heard of it
			open[n] = s
			n++
		}
	}
	return open[:n]
}

// Lingers says whether any session is known: one that is open, or one that polls and has
// not yet fetched its close packet.
func (e *Engine) Lingers() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.sessions) > 0
}

// closeTimeout bounds what a closed session still does.
func (e *Engine) closeTimeout() time.Duration {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.draining {
		return min(e.options.CloseTimeout, hurriedCloseTimeout)
	}
	return e.options.CloseTimeout
}
