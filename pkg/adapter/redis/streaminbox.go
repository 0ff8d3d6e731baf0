package redis

import (
	"context"
	"sync"
	"time"
)

// maxStreamInboxBytes bounds what waits for one link whose deliver is slow. What comes
// from the stream then waits in Redis.
const maxStreamInboxBytes = 32 << 20

// streamInbox is the queue between the goroutines that read from Redis, one from the
// stream and one from pub/sub, and a link. Its own goroutine lives while something is
// in it, or is held by the link. It is safe for concurrent use.
type streamInbox struct {
	handle func(received)
	// expire lets go what was held for too long, and returns when to call it again, the
	// zero time if nothing is held. It is called by the goroutine that calls handle.
	expire func(now time.Time) time.Time
	drains sync.WaitGroup
	wake   chan struct{} // one token: something was put, or the inbox was closed

	mu     sync.Mutex
	space  sync.Cond
	queue  []received
	bytes  int
	idle   chan struct{} // closed when the drain ends; nil without one
	closed bool
}

func newStreamInbox(handle func(received), expire func(time.Time) time.Time) *streamInbox {
	b := &streamInbox{handle: handle, expire: expire, wake: make(chan struct{}, 1)}
	b.space.L = &b.mu
	return b
}

// put queues r and says whether there was room. It does not wait.
func (b *streamInbox) put(r received) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full(r) {
		return false
	}
	b.add(r)
	return true
}

// putWaiting queues r as soon as there is room.
func (b *streamInbox) putWaiting(r received) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.full(r) {
		b.space.Wait()
	}
	b.add(r)
}

// full says that r must wait. A closed inbox takes everything and handles nothing.
func (b *streamInbox) full(r received) bool {
	return !b.closed && b.bytes > 0 && b.bytes+r.size() > maxStreamInboxBytes
}

func (b *streamInbox) add(r received) {
	if b.closed {
		return
	}
	b.bytes += r.size()
	b.queue = append(b.queue, r)
	if b.idle == nil {
		b.idle = make(chan struct{})
		b.drains.Go(b.drain)
		return
	}
	b.wakeUp()
}

func (b *streamInbox) wakeUp() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *streamInbox) drain() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	handled := 0
	for {
		batch, open := b.take(handled)
		handled = 0
		for _, r := range batch {
			if b.isClosed() {
				break
			}
			b.handle(r)
			handled += r.size()
		}
		if !open {
			return
		}
		again := b.expire(time.Now())
		if len(batch) > 0 {
			continue
		}
		if again.IsZero() {
			if b.rest() {
				return
			}
			continue
		}
		timer.Reset(time.Until(again))
		select {
		case <-timer.C:
		case <-b.wake:
		}
	}
}

// take takes what was handled off the account and returns all that waits, and false
// when the inbox is closed, which ends the drain.
func (b *streamInbox) take(handled int) (batch []received, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= handled
	b.space.Broadcast()
	if b.closed {
		b.end()
		return nil, false
	}
	batch = b.queue
	b.queue = nil
	return batch, true
}

// rest ends the drain if nothing has come meanwhile.
func (b *streamInbox) rest() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) > 0 {
		return false
	}
	b.end()
	return true
}

// end says that the drain is over. The caller holds mu.
func (b *streamInbox) end() {
	close(b.idle)
	b.idle = nil
}

func (b *streamInbox) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// close ends the handling and waits for what is being handled, no longer than ctx,
// whose error it then returns.
func (b *streamInbox) close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	idle := b.idle
	b.space.Broadcast()
	b.mu.Unlock()
	b.wakeUp()
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
