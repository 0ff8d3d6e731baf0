package server

import (
	"context"
	"sync"
	"time"
)

// outageCheck is how often it is looked whether the backend is back, while somebody
// waits for that.
const outageCheck = 50 * time.Millisecond

// outage lets many wait for the adapter's backend.
type outage struct {
	mu   sync.Mutex
	over chan struct{} // closed when the backend is back; nil while nobody waits
}

// awaitBus returns when the adapter's backend is reached, after a moment in any case: what
// has failed may be known to the adapter only then. It says false when ctx has ended.
func (s *Server) awaitBus(ctx context.Context) bool {
	o := &s.outage
	o.mu.Lock()
	if o.over == nil {
		over := make(chan struct{})
		o.over = over
		s.tasks.Go(func() { o.watch(s, over) })
	}
	over := o.over
	o.mu.Unlock()
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}

// watch closes over when the backend is back, or when the server ends.
func (o *outage) watch(s *Server, over chan struct{}) {
	for s.pause(outageCheck) && s.busAway() {
	}
	o.mu.Lock()
	o.over = nil
	o.mu.Unlock()
	close(over)
}
