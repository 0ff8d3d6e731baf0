package stream

import (
	"context"
	"math/rand/v2"
	"time"
)

// Timing is a set of durations, which tests shorten. What is zero stands for what
// is right for production.
type Timing struct {
	// FirstBackoff and LastBackoff are how long a failed attempt keeps the next one
	// waiting, first and at most: 100 ms and 2 s.
	FirstBackoff, LastBackoff time.Duration
	// Dial bounds one attempt to connect, if the client has no shorter limit: 2 s.
	Dial time.Duration
	// Answer is how long Redis may take to answer, beyond what it was asked to wait: 3 s.
	Answer time.Duration
	// Check is how long the reader goes on without comparing the stream with its
	// position: 1 s.
	Check time.Duration
}

func (t Timing) withDefaults() Timing {
	for _, d := range []struct {
		of    *time.Duration
		value time.Duration
	}{
		{&t.FirstBackoff, 100 * time.Millisecond},
		{&t.LastBackoff, 2 * time.Second},
		{&t.Dial, 2 * time.Second},
		{&t.Answer, 3 * time.Second},
		{&t.Check, time.Second},
	} {
		if *d.of == 0 {
			*d.of = d.value
		}
	}
	return t
}

// backoff counts failures. Its delays double, with jitter below: three quarters of
// the nominal delay at most, so that with the longest one Redis is still noticed well
// within that time.
type backoff struct {
	first, last time.Duration
	failures    int
}

func (t Timing) backoff() backoff { return backoff{first: t.FirstBackoff, last: t.LastBackoff} }

func (b *backoff) reset() { b.failures = 0 }

// longest makes the next delays as long as they get.
func (b *backoff) longest() { b.failures = 16 }

func (b *backoff) next() time.Duration {
	delay := b.last
	if b.failures < 16 {
		delay = min(b.last, b.first<<b.failures)
	}
	b.failures++
	return delay/2 + rand.N(delay/4+1)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
