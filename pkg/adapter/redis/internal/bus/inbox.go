package bus

import (
	"context"
	"sync"
)

// maxInboxBytes bounds what waits for one receiver that is slow.
const maxInboxBytes = 64 << 20

// Inbox is the queue between the goroutine that reads from Redis, which must not
// wait, and a receiver. Its own goroutine lives while there is something in it. It is
// safe for concurrent use.
type Inbox struct {
	handle func(Arrival)
	drains sync.WaitGroup

	mu     sync.Mutex
	queue  []Arrival
	bytes  int
	idle   chan struct{} // closed when the drain ends; nil without one
	closed bool
}

// NewInbox returns an Inbox that passes what is put into it to handle, in order, one
// call at a time.
func NewInbox(handle func(Arrival)) *Inbox { return &Inbox{handle: handle} }

// Put queues a and says whether there was room. It does not wait. A closed Inbox
// takes everything and handles nothing.
func (b *Inbox) Put(a Arrival) bool {
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

func (b *Inbox) drain() {
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
func (b *Inbox) take(handled int) []Arrival {
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

func (b *Inbox) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// Close ends the handling and waits for what is being handled, no longer than ctx,
// whose error it then returns. Closing twice is harmless.
func (b *Inbox) Close(ctx context.Context) error {
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
