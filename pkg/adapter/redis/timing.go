package redis

import (
	"math/rand/v2"
	"time"
)

// timing is a set of durations that tests shorten.
type timing struct {
	backoff      backoffRange
	dial         time.Duration // for one attempt
	probe        time.Duration // between two probes
	silence      time.Duration // without a probe coming back, after which Redis is lost
	linger       time.Duration // for which an unused subscription stays
	publishAfter time.Duration // for which a message may wait while Redis is away
}

var defaultTiming = timing{
	backoff:      backoffRange{first: 100 * time.Millisecond, last: 2 * time.Second},
	dial:         2 * time.Second,
	probe:        time.Second,
	silence:      5 * time.Second,
	linger:       2 * time.Second,
	publishAfter: time.Second,
}

// backoffRange is how long a failed attempt keeps the next one waiting, first and
// at most.
type backoffRange struct{ first, last time.Duration }

// backoff counts failures. Its delays double, with jitter below: three quarters
// of the nominal delay at most, so that with the longest one Redis is still
// noticed well within that time.
type backoff struct {
	backoffRange
	failures int
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
