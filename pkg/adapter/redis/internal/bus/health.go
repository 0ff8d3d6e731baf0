package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// phase is what is known of Redis. Before the first answer or failure nothing is.
type phase int

const (
	connecting phase = iota
	up
	down
)

// Health is the adapter's knowledge of its backend. It is safe for concurrent use.
type Health struct {
	logger  *slog.Logger
	dropped [reasons]atomic.Uint64

	mu            sync.Mutex
	phase         phase
	since         time.Time
	cause         error         // why it is down
	interruptions uint64        // how often it went from up to down
	changed       chan struct{} // closed and replaced with each change of phase
}

// NewHealth returns a Health that knows nothing yet, which is the state Degraded.
func NewHealth(logger *slog.Logger) *Health {
	return &Health{logger: logger, since: time.Now(), changed: make(chan struct{})}
}

// Status returns the present status; see adapter.Reporter.
func (h *Health) Status() adapter.Status {
	h.mu.Lock()
	s := adapter.Status{State: adapter.Degraded, Since: h.since, Interruptions: h.interruptions}
	if h.phase == up {
		s.State = adapter.Up
	}
	h.mu.Unlock()
	s.Dropped = make(map[string]uint64)
	for r := range reasons {
		if n := h.dropped[r].Load(); n > 0 {
			s.Dropped[reasonNames[r]] = n
		}
	}
	return s
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

// connecting forgets what was known.
func (h *Health) connecting() { h.enter(connecting, nil) }

// recovered says that a message has made the whole way.
func (h *Health) recovered() {
	if h.enter(up, nil) {
		h.logger.Info("redis: connected")
	}
}

// lost says that messages do not travel, and why.
func (h *Health) lost(cause error) {
	if h.enter(down, cause) {
		h.logger.Warn("redis: connection lost", slog.String("error", cause.Error()))
	}
}

// enter changes the phase and says whether it was another one.
func (h *Health) enter(next phase, cause error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cause = cause
	if h.phase == next {
		return false
	}
	if (h.phase == up) != (next == up) {
		h.since = time.Now()
	}
	if h.phase == up && next == down {
		h.interruptions++
	}
	h.phase = next
	close(h.changed)
	h.changed = make(chan struct{})
	return true
}

// errNotUp means that nothing is known yet.
var errNotUp = errors.New("redis: not connected yet")

// Check returns nil when Redis is up, an error that wraps ErrDegraded when it is
// down and another error otherwise, and a channel that is closed with the next change.
func (h *Health) Check() (changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.phase {
	case up:
		return h.changed, nil
	case down:
		return h.changed, fmt.Errorf("%w: %w", adapter.ErrDegraded, h.cause)
	}
	return h.changed, errNotUp
}
