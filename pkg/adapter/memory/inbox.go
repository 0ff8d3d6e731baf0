package memory

import (
	"context"
	"math"
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

// inbox is the queue before a link's deliver. One goroutine drains it while there
// is something in it: one of the inbox's own, or a publisher that waits for its
// broadcast to come back.
type inbox struct {
	deliver func(*adapter.Message)
	drains  sync.WaitGroup

	mu       sync.Mutex
	queue    []entry
	bytes    int                      // of the queue and of the message being delivered
	current  entry                    // being delivered
	taken    uint64                   // entries that have left the queue; the ticket of current
	watched  map[uint64]chan struct{} // by ticket; closed when the entry was passed on or dropped
	draining bool
	idle     chan struct{} // closed when draining ends; made by who waits for that
	closed   bool
}

func newInbox(deliver func(*adapter.Message)) *inbox {
	return &inbox{deliver: deliver}
}

// put queues m and says whether there was room. An empty inbox has room for a
// message of any size; a closed one, or one that nobody reads, swallows it.
func (b *inbox) put(m *adapter.Message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ticket, ok := b.push(m)
	if ticket > 0 && !b.draining {
		b.draining = true
		b.drains.Go(b.drain)
	}
	return ok
}

// place is put for a publisher that goes on to await the ticket, unless that is 0:
// it may have to drain the inbox itself.
func (b *inbox) place(m *adapter.Message) (ticket uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.push(m)
}

// push appends to the queue. The caller holds mu.
func (b *inbox) push(m *adapter.Message) (ticket uint64, ok bool) {
	if b.closed || b.deliver == nil {
		return 0, true
	}
	size := m.Size()
	if b.bytes > 0 && b.bytes+size > maxInboxBytes {
		return 0, false
	}
	b.bytes += size
	b.queue = append(b.queue, entry{message: m, size: size})
	return b.taken + uint64(len(b.queue)), true
}

// await returns when the message with ticket has been passed to deliver. If nobody
// drains the inbox, the caller does. It fails with ErrClosed when the message was
// dropped because the link closed, and with ctx's error.
func (b *inbox) await(ctx context.Context, ticket uint64) error {
	b.mu.Lock()
	switch {
	case ticket < b.taken || ticket == b.taken && b.current.message == nil:
		b.mu.Unlock()
		return nil
	case b.closed && ticket > b.taken:
		b.mu.Unlock()
		return adapter.ErrClosed
	case !b.draining:
		b.draining = true
		b.mu.Unlock()
		b.drainTo(ticket)
	default:
		passed := b.watch(ticket)
		b.mu.Unlock()
		if inDeliver() { // who is to pass it on may be the caller
			return nil
		}
		select {
		case <-passed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if ticket > b.taken {
		return adapter.ErrClosed
	}
	return nil
}

// watch returns what is closed when the entry with ticket has been passed to
// deliver or dropped. The caller holds mu.
func (b *inbox) watch(ticket uint64) <-chan struct{} {
	if b.watched == nil {
		b.watched = make(map[uint64]chan struct{})
	}
	passed := make(chan struct{})
	b.watched[ticket] = passed
	return passed
}

func (b *inbox) drain() { b.drainTo(math.MaxUint64) }

// drainTo passes entries to deliver until there are none, or until that with
// ticket has had its turn. inDeliver knows the function by its name.
//
//go:noinline
func (b *inbox) drainTo(ticket uint64) {
	for m := b.next(ticket); m != nil; m = b.next(ticket) {
		b.deliver(m)
	}
}

// next accounts for what was delivered and returns the next message. Without one,
// or once the inbox is closed, the drain is over. After ticket another goroutine
// goes on with it: a publisher does not work for those that came later.
func (b *inbox) next(ticket uint64) *adapter.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= b.current.size
	b.current = entry{}
	if passed := b.watched[b.taken]; passed != nil {
		close(passed)
		delete(b.watched, b.taken)
	}
	switch {
	case len(b.queue) == 0:
		b.rest()
		return nil
	case b.taken >= ticket:
		b.drains.Go(b.drain)
		return nil
	}
	b.current = b.queue[0]
	b.queue[0] = entry{}
	b.queue = b.queue[1:]
	b.taken++
	return b.current.message
}

// rest ends a drain. The caller holds mu.
func (b *inbox) rest() {
	b.queue = nil
	b.draining = false
	if b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

// close stops delivery and waits for a running deliver, no longer than ctx.
func (b *inbox) close(ctx context.Context) error {
	if idle := b.shut(); idle != nil {
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.drains.Wait()
	return nil
}

// shut drops what waits and returns what is closed when no deliver is running, or
// nil if none is.
func (b *inbox) shut() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for ticket, passed := range b.watched {
		if ticket > b.taken {
			close(passed)
			delete(b.watched, ticket)
		}
	}
	b.queue = nil
	if b.draining && b.idle == nil {
		b.idle = make(chan struct{})
	}
	return b.idle
}
