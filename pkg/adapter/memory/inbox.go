package memory

import (
	"context"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// maxInboxBytes bounds what waits for one slow receiver.
const maxInboxBytes = 64 << 20

// entry is a message with its size, since the receiver may change the message.
type entry struct {
	message *adapter.Message
	size    int
}

// inbox is the queue before a link's deliver. Its goroutine lives while there is
// something in it.
type inbox struct {
	deliver func(*adapter.Message)
	drains  sync.WaitGroup

	mu     sync.Mutex
	queue  []entry
	bytes  int           // of the queue and of the message being delivered
	idle   chan struct{} // closed when the drain goroutine ends; nil without one
	closed bool
}

func newInbox(deliver func(*adapter.Message)) *inbox {
	return &inbox{deliver: deliver}
}

// put queues m and says whether there was room. An empty inbox has room for a
// message of any size; a closed one, or one that nobody reads, swallows it.
func (b *inbox) put(m *adapter.Message) bool {
	if b.deliver == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return true
	}
	size := m.Size()
	if b.bytes > 0 && b.bytes+size > maxInboxBytes {
		return false
	}
	b.bytes += size
	b.queue = append(b.queue, entry{m, size})
	if b.idle == nil {
		b.idle = make(chan struct{})
		b.drains.Go(b.drain)
	}
	return true
}

func (b *inbox) drain() {
	for e, ok := b.next(0); ok; e, ok = b.next(e.size) {
		b.deliver(e.message)
	}
}

// next takes the size of what was delivered off the account and returns the next
// entry. Without one, or once the inbox is closed, the drain is over.
func (b *inbox) next(delivered int) (entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= delivered
	if b.closed || len(b.queue) == 0 {
		b.queue = nil
		close(b.idle)
		b.idle = nil
		return entry{}, false
	}
	e := b.queue[0]
	b.queue[0] = entry{}
	b.queue = b.queue[1:]
	return e, true
}

// close stops delivery and waits for a running deliver, no longer than ctx.
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
