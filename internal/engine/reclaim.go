package engine

import (
	"runtime/debug"
	"sync"
	"time"
)

const (
	// burst is the least number of sessions, come or gone, whose memory is given
	// back.
	burst = 1000
	// burstShare is the least such number as a share of the open sessions: a
	// collection costs as much as these hold.
	burstShare = 8
)

// reclaim gives memory back to the system some time after many sessions have come
// or gone. The runtime by itself keeps it for the next burst: it collects when
// the heap has doubled, which an idle node's never does, or every two minutes,
// and even then holds on to most of it.
type reclaim struct {
	after time.Duration // not above 0: never

	mu      sync.Mutex // guards what follows
	changes int        // sessions that came or went
	timer   *time.Timer
	armed   bool
	stopped bool
	running sync.WaitGroup // timer functions
	done    func()         // told after each time; nil but in tests
}

// count counts a session that has come or gone while open are there.
func (r *reclaim) count(open int64) {
	if r.after <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	if r.armed || r.stopped || r.changes < burst || int64(r.changes) < open/burstShare {
		return
	}
	r.armed = true
	r.running.Add(1)
	if r.timer == nil {
		r.timer = time.AfterFunc(r.after, r.run)
		return
	}
	r.timer.Reset(r.after)
}

// run is the timer function.
func (r *reclaim) run() {
	defer r.running.Done()
	r.mu.Lock()
	r.armed, r.changes = false, 0
	r.mu.Unlock()
	debug.FreeOSMemory()
	if r.done != nil {
		r.done()
	}
}

// stop waits for what is running and keeps it from running again.
func (r *reclaim) stop() {
	r.mu.Lock()
	r.stopped = true
	if r.armed && r.timer.Stop() {
		r.armed = false
		r.running.Done()
	}
	r.mu.Unlock()
	r.running.Wait()
}
