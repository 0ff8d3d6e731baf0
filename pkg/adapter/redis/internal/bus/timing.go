package bus

import (
	"math/rand/v2"
	"time"
)

// Timing is a set of durations, which tests shorten. The zero Timing stands for
// DefaultTiming().
type Timing struct {
	FirstBackoff time.Duration // for which a failed attempt keeps the next one waiting,
	LastBackoff  time.Duration // and the same after many
	Dial         time.Duration // for one attempt
	Probe        time.Duration // between two probes
	Silence      time.Duration // without a probe coming back, after which Redis is lost
	Linger       time.Duration // for which an unused subscription stays
	PublishAfter time.Duration // for which a message may wait while Redis is away
}

// DefaultTiming returns what is right for production.
func DefaultTiming() Timing {
	return Timing{
		FirstBackoff: 100 * time.Millisecond,
		LastBackoff:  2 * time.Second,
		Dial:         2 * time.Second,
		Probe:        time.Second,
		Silence:      5 * time.Second,
		Linger:       2 * time.Second,
		PublishAfter: time.Second,
	}
}

func (t Timing) backoff() backoff { return backoff{first: t.FirstBackoff, last: t.LastBackoff} }

// backoff counts failures. Its delays double, with jitter below: three quarters
// of the nominal delay at most, so that with the longest one Redis is still
// noticed well within that time.
type backoff struct {
	first, last time.Duration
	failures    int
}

func (b *backoff) reset() { b.failures = 0 }

func (b *backoff) next() time.Duration {
	delay := b.last
	if b.failures < 16 {
		delay = min(b.last, b.first<<b.failures)
	}
	b.failures++
	return delay/2 + rand.N(delay/4+1)
}
