package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Reason says why a message did not travel.
type Reason int

// The reasons, in the words of adapter.Status.
const (
	QueueFull Reason = iota // "queue_full"
	Expired                 // "expired": Redis was away for too long, or may not have taken it
	TooLarge                // "too_large"
	Malformed               // "malformed"
	Foreign                 // "foreign": it is somebody else's, on a channel of ours
	Unsigned                // "unsigned"
	reasons
)

var reasonNames = [reasons]string{"queue_full", "expired", "too_large", "malformed", "foreign", "unsigned"}

// phase is what is known of a part, and of all. Before the first answer or failure
// nothing is.
type phase int

const (
	connecting phase = iota
	up
	down
)

// Health is an adapter's knowledge of its backend, which is made of parts: it is up
// when there are some and all of them are. It is safe for concurrent use, and none of
// its methods waits.
type Health struct {
	logger   *slog.Logger
	dropped  [reasons]atomic.Uint64
	repeated atomic.Uint64

	mu       sync.Mutex
	parts    []*Part
	phase    phase
	cause    error // why it is down
	status   adapter.Status
	changed  chan struct{} // closed and replaced with each change of a part
	gap      *adapter.Gap  // is told when all parts are up again; nil without one
	watchers []*watcher
}

// NewHealth returns a Health that knows nothing yet, which is the state Degraded.
func NewHealth(logger *slog.Logger) *Health {
	return &Health{
		logger: logger, changed: make(chan struct{}),
		status: adapter.Status{State: adapter.Degraded, Since: time.Now()},
	}
}

// Status returns the present status; see adapter.Reporter.
func (h *Health) Status() adapter.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.statusLocked()
}

func (h *Health) statusLocked() adapter.Status {
	s := h.status
	s.Repeated = h.repeated.Load()
	s.Dropped = make(map[string]uint64)
	for r := range reasons {
		if n := h.dropped[r].Load(); n > 0 {
			s.Dropped[reasonNames[r]] = n
		}
	}
	return s
}

// RoundTrip notes how long a probe took.
func (h *Health) RoundTrip(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.RoundTrips.Add(d)
}

// Drop counts n messages that did not travel, and logs them with attrs.
func (h *Health) Drop(why Reason, n int, attrs ...slog.Attr) {
	if n == 0 {
		return
	}
	h.dropped[why].Add(uint64(n))
	attrs = append(attrs, slog.String("reason", reasonNames[why]), slog.Int("messages", n))
	h.logger.LogAttrs(context.Background(), slog.LevelWarn, "redis: messages dropped", attrs...)
}

// errNotUp means that nothing is known yet.
var errNotUp = errors.New("redis: not connected yet")

// Check returns nil when Redis is up, an error that wraps adapter.ErrDegraded when it
// is down and another error otherwise, and a channel that is closed with the next
// change.
func (h *Health) Check() (changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed, h.phase.err(h.cause)
}

func (p phase) err(cause error) error {
	switch p {
	case up:
		return nil
	case down:
		return fmt.Errorf("%w: %w", adapter.ErrDegraded, cause)
	}
	return errNotUp
}

// Part adds a part, of which nothing is known yet. Its name is for the log. Topics says
// which topics a gap concerns that does not say it itself; it may be nil.
func (h *Health) Part(name string, topics func() []string) *Part {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &Part{health: h, name: name, topics: topics}
	h.parts = append(h.parts, p)
	h.changedLocked(false)
	return p
}

// changedLocked takes note of a change in the parts. Lost says that one that was up is
// down. It returns the gap that has ended with that, if there is one, to be logged.
func (h *Health) changedLocked(lost bool) (ended *adapter.Gap) {
	was, next := h.phase, connecting
	h.cause = h.causeLocked()
	switch {
	case h.cause != nil:
		next = down
	case len(h.parts) > 0 && !slices.ContainsFunc(h.parts, func(p *Part) bool { return p.phase != up }):
		next = up
	}
	h.phase = next
	close(h.changed)
	h.changed = make(chan struct{})
	if (was == up) != (next == up) {
		h.status.Since, h.status.State = time.Now(), adapter.Degraded
		if next == up {
			h.status.State = adapter.Up
		}
	}
	if lost && was != down {
		h.status.Interruptions++
	}
	// That a connection is being made, or that the last link has gone, is no loss.
	if was != next && next != connecting {
		h.tellLocked(adapter.Event{Cause: h.cause})
	}
	if next == up {
		ended, h.gap = h.gap, nil
	}
	if ended != nil {
		h.status.Gaps++
		h.tellLocked(adapter.Event{Gap: ended})
	}
	return ended
}

// causeLocked returns why the first part that is down is so, nil when none is and the
// outage is over.
func (h *Health) causeLocked() error {
	for _, p := range h.parts {
		if p.phase == down {
			return p.cause
		}
	}
	if slices.ContainsFunc(h.parts, func(p *Part) bool { return p.doubted }) {
		return h.cause
	}
	return nil
}

// doubtLocked asks those that are up whether they still are, since one is back: they may
// have been lost together with it, and be about to notice. That is the same outage.
func (h *Health) doubtLocked(back *Part) {
	for _, p := range h.parts {
		if p != back && p.phase == up && p.prove != nil {
			p.doubted = true
			p.prove()
		}
	}
}

// tellLocked passes e on to those who watch.
func (h *Health) tellLocked(e adapter.Event) {
	e.Status = h.statusLocked()
	for _, w := range h.watchers {
		w.put(e)
	}
}
