package bus

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Limits of one pipeline. They keep its round trip well below a write timeout.
const (
	maxBatch      = 1024
	maxBatchBytes = 1 << 20
)

// publisher hands messages to Redis: one goroutine, one pipeline at a time, with
// all that waits in it. So it keeps the order, and a message that finds it idle
// is on the wire at once.
type publisher struct {
	client   goredis.UniversalClient
	prefix   string
	maxBytes int64
	timing   Timing
	health   *Health
	spare    sync.Pool     // of *Outgoing
	wake     chan struct{} // one token: the queue has something
	retry    chan struct{} // one token: Redis may be back

	mu       sync.Mutex
	queue    []*Outgoing
	bytes    int64
	queued   uint64        // messages ever queued
	settled  uint64        // of them, those sent or dropped
	progress chan struct{} // closed when settled grows; nil while nobody waits
	closed   bool
}

func newPublisher(c Config) *publisher {
	command := "publish"
	if c.Sharded {
		command = "spublish"
	}
	return &publisher{
		client: c.Client, prefix: c.Prefix, maxBytes: c.PublishQueueBytes, timing: c.Timing, health: c.Health,
		spare: sync.Pool{New: func() any { return newOutgoing(command) }},
		wake:  make(chan struct{}, 1), retry: make(chan struct{}, 1),
	}
}

// message returns an empty Outgoing, to be passed to enqueue or discard.
func (p *publisher) message() *Outgoing {
	return p.spare.Get().(*Outgoing)
}

// maxSpareBytes keeps the memory of rare large messages from staying in the pool.
const maxSpareBytes = 64 << 10

func (p *publisher) discard(o *Outgoing) {
	if cap(o.Body) > maxSpareBytes {
		return
	}
	o.Channel, o.Body, o.probe = "", o.Body[:0], false
	p.spare.Put(o)
}

// enqueue queues o, which is the publisher's from then on.
func (p *publisher) enqueue(o *Outgoing) error {
	o.queued = time.Now()
	size := o.size()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return adapter.ErrClosed
	}
	if p.bytes+size > p.maxBytes {
		p.health.Drop(QueueFull, countMessages([]*Outgoing{o}))
		return adapter.ErrQueueFull
	}
	p.bytes += size
	p.queued++
	p.queue = append(p.queue, o)
	signal(p.wake)
	return nil
}

// signal puts a token into a channel that has room for one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// run sends what is queued until ctx ends.
func (p *publisher) run(ctx context.Context) {
	defer p.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for batch := p.take(); len(batch) > 0; batch = p.take() {
			err := p.send(ctx, batch)
			if err == nil {
				p.settle(batch)
				continue
			}
			p.giveUp(batch, err)
			if ctx.Err() != nil {
				return
			}
			p.health.lost(err)
			p.awaitRedis(ctx)
		}
	}
}

// take removes the next batch from the queue. Its bytes count until settle.
func (p *publisher) take() []*Outgoing {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, bytes := 0, int64(0)
	for n < len(p.queue) && n < maxBatch && bytes < maxBatchBytes {
		bytes += p.queue[n].size()
		n++
	}
	batch := p.queue[:n:n]
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	return batch
}

// settle takes batch off the account and gives its memory back.
func (p *publisher) settle(batch []*Outgoing) {
	p.mu.Lock()
	p.settled += uint64(len(batch))
	for _, o := range batch {
		p.bytes -= o.size()
	}
	if p.progress != nil {
		close(p.progress)
		p.progress = nil
	}
	p.mu.Unlock()
	for _, o := range batch {
		p.discard(o)
	}
}

// send publishes batch in one round trip. An error means that Redis has not
// confirmed all of it.
func (p *publisher) send(ctx context.Context, batch []*Outgoing) error {
	target, err := p.target(ctx)
	if err != nil {
		return err
	}
	commands := make([]goredis.Cmder, len(batch))
	for i, o := range batch {
		o.SetErr(nil)
		commands[i] = o
	}
	pipe := target.Pipeline()
	_ = pipe.BatchProcess(ctx, commands...)
	_, err = pipe.Exec(ctx)
	return err
}

// giveUp drops what send could not confirm, rather than sending it again: Redis
// may have passed it on before the connection broke. Only what cannot have been
// sent, since there was no connection, goes back to the head of the queue.
func (p *publisher) giveUp(batch []*Outgoing, err error) {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.queue = append(batch, p.queue...)
		return
	}
	lost := slices.DeleteFunc(slices.Clone(batch), func(o *Outgoing) bool { return o.Err() == nil })
	p.health.Drop(Expired, countMessages(lost))
	p.settle(batch)
}

// target is where pipelines go. In a Redis Cluster that is the one master that
// owns the prefix, since messages to several masters would overtake each other.
func (p *publisher) target(ctx context.Context) (goredis.Cmdable, error) {
	if cluster, ok := p.client.(*goredis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, p.prefix)
	}
	return p.client, nil
}

// awaitRedis returns when Redis answers, or ctx has ended. Meanwhile messages
// grow too old to be sent.
func (p *publisher) awaitRedis(ctx context.Context) {
	wait := p.timing.backoff()
	for p.ping(ctx) != nil && ctx.Err() == nil {
		p.expire()
		timer := time.NewTimer(wait.next())
		select {
		case <-timer.C:
		case <-p.retry:
			wait.reset()
		case <-ctx.Done():
		}
		timer.Stop()
	}
	p.expire()
}

func (p *publisher) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.timing.Dial)
	defer cancel()
	target, err := p.target(ctx)
	if err != nil {
		return err
	}
	err = target.Ping(ctx).Err()
	if _, refusal := errors.AsType[goredis.Error](err); refusal {
		return nil // Redis is there; whether it takes messages is for PUBLISH to say
	}
	return err
}

// expire drops the messages that have waited too long.
func (p *publisher) expire() {
	limit := time.Now().Add(-p.timing.PublishAfter)
	p.mu.Lock()
	n := 0
	for n < len(p.queue) && p.queue[n].queued.Before(limit) {
		n++
	}
	old := p.queue[:n:n]
	p.queue = p.queue[n:]
	p.mu.Unlock()
	p.health.Drop(Expired, countMessages(old))
	p.settle(old)
}

// flush waits until what is queued has been sent or dropped, Redis is known to be
// away, or ctx ends, whose error it returns.
func (p *publisher) flush(ctx context.Context) error {
	p.mu.Lock()
	target := p.queued
	for p.settled < target {
		if p.progress == nil {
			p.progress = make(chan struct{})
		}
		progress := p.progress
		p.mu.Unlock()
		changed, err := p.health.Check()
		if errors.Is(err, adapter.ErrDegraded) {
			return nil
		}
		select {
		case <-progress:
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		p.mu.Lock()
	}
	p.mu.Unlock()
	return nil
}

func (p *publisher) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.queued - p.settled)
}

// close drops what is queued and refuses what follows.
func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	left := p.queue
	p.queue = nil
	p.mu.Unlock()
	p.health.Drop(Expired, countMessages(left))
	p.settle(left)
}
