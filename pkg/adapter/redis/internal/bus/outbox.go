package bus

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// outbox is what the lanes' publishers have in common: the account of what waits, and
// who sends what. One lock guards it and all queues, so that a message is in one
// queue, its owner's, also while owners change.
type outbox struct {
	health  *Health
	maximum int64
	slotted bool
	spare   sync.Pool // of *Outgoing

	mu       sync.Mutex
	routes   *routes
	bytes    int64
	waiting  int
	number   uint64        // of the last message
	progress chan struct{} // closed when something is settled; nil while nobody waits
	stopped  bool
}

func newOutbox(c Config, r *routes) *outbox {
	command := "publish"
	if c.Sharded {
		command = "spublish"
	}
	return &outbox{
		health: c.Health, maximum: c.PublishQueueBytes, slotted: c.slotted(), routes: r,
		spare: sync.Pool{New: func() any { return newOutgoing(command) }},
	}
}

func (b *outbox) message() *Outgoing { return b.spare.Get().(*Outgoing) }

// maxSpareBytes keeps the memory of rare large messages from staying in the pool.
const maxSpareBytes = 64 << 10

func (b *outbox) discard(o *Outgoing) {
	if cap(o.Body) > maxSpareBytes {
		return
	}
	o.Channel, o.Body, o.probe = "", o.Body[:0], false
	b.spare.Put(o)
}

// enqueue queues o with the lane that its channel belongs to.
func (b *outbox) enqueue(o *Outgoing) error {
	if b.slotted {
		o.slot = slotOf(o.Channel)
	}
	err := b.add(o, nil)
	if err == adapter.ErrQueueFull {
		b.health.Drop(QueueFull, 1)
	}
	return err
}

// add queues o with p, or with its owner when p is nil.
func (b *outbox) add(o *Outgoing, p *publisher) error {
	o.queued = time.Now()
	size := o.size()
	b.mu.Lock()
	defer b.mu.Unlock()
	if p == nil {
		p = b.routes.at(o.slot).publisher
	}
	switch {
	case b.stopped || p.closed:
		return adapter.ErrClosed
	case b.bytes+size > b.maximum:
		return adapter.ErrQueueFull
	}
	b.bytes += size
	b.waiting++
	b.number++
	o.number = b.number
	p.queue = append(p.queue, o)
	signal(p.wake)
	return nil
}

// settle takes list off the account and gives its memory back.
func (b *outbox) settle(list []*Outgoing) {
	if len(list) == 0 {
		return
	}
	b.mu.Lock()
	b.waiting -= len(list)
	for _, o := range list {
		b.bytes -= o.size()
	}
	b.progressLocked()
	b.mu.Unlock()
	for _, o := range list {
		b.discard(o)
	}
}

func (b *outbox) progressLocked() {
	if b.progress != nil {
		close(b.progress)
		b.progress = nil
	}
}

// drop gives list up.
func (b *outbox) drop(list []*Outgoing) {
	b.health.Drop(Expired, countMessages(list))
	b.settle(list)
}

// forward queues list, which Redis has not taken from p, with its owners. It may be
// p itself. It says whether all of it has another one.
func (b *outbox) forward(p *publisher, list []*Outgoing) (elsewhere bool) {
	if len(list) == 0 {
		return false
	}
	var late []*Outgoing
	elsewhere = true
	b.mu.Lock()
	for owner, part := range b.routes.split(list) {
		if owner.publisher.closed {
			late = append(late, part...)
			continue
		}
		owner.publisher.insert(part)
		elsewhere = elsewhere && owner.publisher != p
	}
	b.progressLocked()
	b.mu.Unlock()
	b.drop(late)
	return elsewhere
}

// insert queues list where its numbers belong. The caller holds the outbox's mutex.
func (p *publisher) insert(list []*Outgoing) {
	p.queue = append(list, p.queue...)
	if len(p.queue) > len(list) && list[len(list)-1].number > p.queue[len(list)].number {
		slices.SortFunc(p.queue, func(a, b *Outgoing) int { return cmp.Compare(a.number, b.number) })
	}
	signal(p.wake)
}

// reroute makes r the routes. What waits goes to the lanes that it belongs to then,
// which hold back until what is on its way from the earlier ones has been answered:
// if that was refused, it goes first. They also wait for the handovers to them.
func (b *outbox) reroute(r *routes, handovers map[*lane]*handover) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.routes
	b.routes = r
	after := make(map[*lane][]<-chan struct{})
	for _, from := range old.lanes {
		p := from.publisher
		var stay, leave []*Outgoing
		for _, o := range p.queue {
			if o.probe || r.at(o.slot) == from {
				stay = append(stay, o)
			} else {
				leave = append(leave, o)
			}
		}
		p.queue = stay
		for owner, part := range r.split(leave) {
			owner.publisher.insert(part)
		}
		first := p.after
		if p.flight != nil {
			first = append(slices.Clip(first), p.flight)
		}
		if len(first) == 0 {
			continue
		}
		for to := range old.heirs(from, r) {
			after[to] = append(after[to], first...)
		}
	}
	for to, h := range handovers {
		after[to] = append(after[to], h.done)
	}
	for to, first := range after {
		to.publisher.after = append(to.publisher.after, first...)
	}
}

// unsent returns whether a message up to that number waits in a lane that works, and a
// channel that is closed when that may have changed.
func (b *outbox) unsent(number uint64) (progress <-chan struct{}, waits bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.progress == nil {
		b.progress = make(chan struct{})
	}
	for _, l := range b.routes.lanes {
		if oldest, ok := l.publisher.oldest(); ok && oldest <= number && !l.part.isDown() {
			return b.progress, true
		}
	}
	return b.progress, false
}

func (b *outbox) last() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.number
}

func (b *outbox) present() *routes {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.routes
}

// count returns how many messages wait, probes included.
func (b *outbox) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// stop refuses what follows.
func (b *outbox) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
}
