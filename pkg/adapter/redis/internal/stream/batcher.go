package stream

import (
	"context"
	"sync"
)

// maxTogether bounds how many calls share a round trip.
const maxTogether = 64

// batcher has many callers share round trips. On each way one is under way at a time;
// what is asked meanwhile goes with the next. So thousands of clients that come back at
// once keep one connection busy, where each call by itself would take one of its own for
// as long. It is safe for concurrent use.
type batcher[T any] struct {
	// start runs f in another goroutine, or fails.
	start func(f func()) error
	// send makes one round trip and leaves its results in the calls. ctx ends when no
	// caller waits for them any more.
	send func(ctx context.Context, calls []T)

	mu      sync.Mutex
	waiting map[string][]*turn[T] // by way: of each that has a goroutine, which makes its round trips
	resting []chan struct{}       // closed when there is no such goroutine
}

// turn is a call that waits.
type turn[T any] struct {
	ctx  context.Context
	call T
	done chan struct{}
}

func newBatcher[T any](start func(f func()) error, send func(ctx context.Context, calls []T)) *batcher[T] {
	return &batcher[T]{start: start, send: send, waiting: make(map[string][]*turn[T])}
}

// do returns when call was sent, with others maybe. It fails with the error of start, and
// with ctx's, after which call belongs to a round trip that may be under way.
func (b *batcher[T]) do(ctx context.Context, way string, call T) error {
	t := &turn[T]{ctx: ctx, call: call, done: make(chan struct{})}
	if err := b.enter(way, t); err != nil {
		return err
	}
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *batcher[T]) enter(way string, t *turn[T]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue, underWay := b.waiting[way]
	if !underWay {
		if err := b.start(func() { b.run(way) }); err != nil {
			return err
		}
	}
	b.waiting[way] = append(queue, t)
	return nil
}

// run makes round trips until nobody waits.
func (b *batcher[T]) run(way string) {
	for together := b.next(way); together != nil; together = b.next(way) {
		b.trip(together)
	}
}

// next takes those whose turn it is, without those who have given up.
func (b *batcher[T]) next(way string) (together []*turn[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue := b.waiting[way]
	for len(queue) > 0 && len(together) < maxTogether {
		if queue[0].ctx.Err() == nil {
			together = append(together, queue[0])
		}
		queue = queue[1:]
	}
	b.waiting[way] = queue
	if together == nil {
		delete(b.waiting, way)
		b.rests()
	}
	return together
}

// rest returns what is closed once nothing is under way.
func (b *batcher[T]) rest() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	resting := make(chan struct{})
	b.resting = append(b.resting, resting)
	b.rests()
	return resting
}

// rests tells those who wait for it when nothing is under way. The caller holds mu.
func (b *batcher[T]) rests() {
	if len(b.waiting) > 0 {
		return
	}
	for _, resting := range b.resting {
		close(resting)
	}
	b.resting = nil
}

// trip sends what was taken. No caller's context ends it for the others.
func (b *batcher[T]) trip(together []*turn[T]) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(together[0].ctx))
	var watching sync.WaitGroup
	watching.Go(func() {
		for _, t := range together {
			select {
			case <-t.ctx.Done():
			case <-ctx.Done():
				return
			}
		}
		cancel()
	})
	calls := make([]T, len(together))
	for i, t := range together {
		calls[i] = t.call
	}
	b.send(ctx, calls)
	for _, t := range together {
		close(t.done)
	}
	cancel()
	watching.Wait()
}
