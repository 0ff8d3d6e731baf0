package stream

import (
	"context"
	"slices"
	"sync"
)

// maxTogether bounds how many calls share a round trip.
const maxTogether = 64

// batcher has many callers share round trips. One is under way at a time; what is asked
// meanwhile goes with the next. So thousands of clients that come back at once keep one
// connection busy, where each call by itself would take one of its own for as long. It
// is safe for concurrent use.
type batcher[T any] struct {
	// send makes one round trip, in the goroutine of one of the callers, whose context ctx
	// is. It leaves its results in the calls.
	send func(ctx context.Context, calls []T)

	mu       sync.Mutex
	waiting  []*turn[T]
	underWay bool
}

// turn is a call that waits.
type turn[T any] struct {
	call  T
	leads bool
	ready chan struct{} // closed when call is done, or when its caller must send what waits
}

// do returns when call was sent, and is its turn to be, with others maybe. It fails only
// with ctx's error, and has not sent call then: how long a round trip takes is for
// send's own limits to say.
func (b *batcher[T]) do(ctx context.Context, call T) error {
	t := b.enter(call)
	select {
	case <-t.ready:
	case <-ctx.Done():
		if b.leave(t) {
			return ctx.Err()
		}
		<-t.ready
	}
	if t.leads {
		b.lead(ctx)
	}
	return nil
}

// enter queues a call, which leads if nothing is under way.
func (b *batcher[T]) enter(call T) *turn[T] {
	t := &turn[T]{call: call, ready: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, t)
	if !b.underWay {
		b.underWay = true
		b.appoint()
	}
	return t
}

// appoint has the caller who waits longest send. The caller holds mu.
func (b *batcher[T]) appoint() {
	b.waiting[0].leads = true
	close(b.waiting[0].ready)
}

// leave takes t out of the queue, unless it is under way or its caller has to send.
func (b *batcher[T]) leave(t *turn[T]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, t)
	if i < 0 || t.leads {
		return false
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	return true
}

// lead sends what waits, of which the first is the caller's own.
func (b *batcher[T]) lead(ctx context.Context) {
	b.mu.Lock()
	n := min(len(b.waiting), maxTogether)
	together := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	b.mu.Unlock()
	defer b.arrive(together)
	calls := make([]T, n)
	for i, t := range together {
		calls[i] = t.call
	}
	b.send(ctx, calls)
}

// arrive ends a round trip.
func (b *batcher[T]) arrive(together []*turn[T]) {
	b.mu.Lock()
	if len(b.waiting) > 0 {
		b.appoint()
	} else {
		b.underWay, b.waiting = false, nil
	}
	b.mu.Unlock()
	for _, t := range together[1:] {
		close(t.ready)
	}
}
