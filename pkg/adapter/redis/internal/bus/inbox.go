package bus

import (
	"context"
	"sync"
	"time"
)

// maxInboxBytes bounds what waits for one receiver that is slow.
const maxInboxBytes = 64 << 20

// promptly is how long the goroutine that reads from Redis may be used for handling.
const promptly = time.Millisecond

// Inbox is the queue between the goroutine that reads from Redis, which must not
// wait, and a receiver. While nothing waits and the receiver is quick and alone, it is called
// by the reading goroutine itself: waking another one would cost more than most messages do.
// Otherwise the Inbox has a goroutine of its own, which lives until nothing waits. It
// is safe for concurrent use.
type Inbox struct {
	handle func(Arrival)
	drains sync.WaitGroup

	mu     sync.Mutex
	queue  []Arrival
	bytes  int
	busy   bool          // something is being handled
	slow   bool          // the receiver was, when it was called last
	idle   chan struct{} // closed when it is not busy any more; nil unless Close waits
	closed bool
}

// NewInbox returns an Inbox that passes what is put into it to handle, in order, one
// call at a time.
func NewInbox(handle func(Arrival)) *Inbox { return &Inbox{handle: handle} }

// Put passes a to the receiver, or queues it, and says whether there was room. A
// closed Inbox takes everything and handles nothing.
func (b *Inbox) Put(a Arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return true
	case !b.busy && !b.slow && !a.Shared:
		b.passNow(a)
		return true
	case b.bytes > 0 && b.bytes+a.size() > maxInboxBytes:
		return false
	}
	b.bytes += a.size()
	b.queue = append(b.queue, a)
	if !b.busy {
		b.busy = true
		b.drains.Go(b.drain)
	}
	return true
}

// passNow handles a here. The caller holds mu, which is given back meanwhile.
func (b *Inbox) passNow(a Arrival) {
	b.busy = true
	b.mu.Unlock()
	slow := b.pass(a)
	b.mu.Lock()
	b.slow = slow
	if len(b.queue) > 0 && !b.closed {
		b.drains.Go(b.drain)
	} else {
		b.rest()
	}
}

// pass handles a and says whether that took long.
func (b *Inbox) pass(a Arrival) (slow bool) {
	begun := time.Now()
	b.handle(a)
	return time.Since(begun) > promptly
}

func (b *Inbox) drain() {
	for batch := b.take(0, true); len(batch) > 0; {
		bytes, slow := 0, false
		for _, a := range batch {
			if b.isClosed() {
				break
			}
			slow = b.pass(a)
			bytes += a.size()
		}
		batch = b.take(bytes, slow)
	}
}

// take takes what was handled off the account and returns all that waits. When
// that is nothing, or the inbox is closed, the drain is over.
func (b *Inbox) take(handled int, slow bool) []Arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= handled
	batch := b.queue
	b.queue, b.slow = nil, slow
	if b.closed || len(batch) == 0 {
		b.rest()
		return nil
	}
	return batch
}

// rest says that nothing is handled any more. The caller holds mu.
func (b *Inbox) rest() {
	b.busy = false
	if b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
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
	if b.busy && b.idle == nil {
		b.idle = make(chan struct{})
	}
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
