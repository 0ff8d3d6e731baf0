package redis

import (
	"context"
	"sync"
)

// maxInboxBytes bounds what waits for one link whose deliver is slow.
const maxInboxBytes = 64 << 20

// arrival is a message as Redis has delivered it.
type arrival struct {
	route   routeKind
	pattern string // with routeIDs
	channel string
	payload string
}

// size is what a takes in memory, so that a queue of empty messages is bounded too.
func (a *arrival) size() int { return len(a.payload) + len(a.channel) + 128 }

// inbox is the queue between the subscriber, which must not wait, and a link. Its
// goroutine lives while there is something in it.
type inbox struct {
	handle func(arrival)
	drains sync.WaitGroup

	mu     sync.Mutex
	queue  []arrival
	bytes  int
	idle   chan struct{} // closed when the drain ends; nil without one
	closed bool
}

// put queues a and says whether there was room.
func (b *inbox) put(a arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return true
	}
	if b.bytes > 0 && b.bytes+a.size() > maxInboxBytes {
		return false
	}
	b.bytes += a.size()
	b.queue = append(b.queue, a)
	if b.idle == nil {
		b.idle = make(chan struct{})
		b.drains.Go(b.drain)
	}
	return true
}

func (b *inbox) drain() {
	for batch := b.take(0); len(batch) > 0; {
		bytes := 0
		for _, a := range batch {
			if b.isClosed() {
				break
			}
			b.handle(a)
			bytes += a.size()
		}
		batch = b.take(bytes)
	}
}

// take takes what was handled off the account and returns all that waits. When
// that is nothing, or the inbox is closed, the drain is over.
func (b *inbox) take(handled int) []arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= handled
	batch := b.queue
	b.queue = nil
	if b.closed || len(batch) == 0 {
		close(b.idle)
		b.idle = nil
		return nil
	}
	return batch
}

func (b *inbox) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// close ends the handling and waits for what is being handled, no longer than ctx.
func (b *inbox) close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	idle := b.idle
	b.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.drains.Wait()
	return nil
}
