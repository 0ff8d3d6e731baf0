package bus

import (
	"context"
	"errors"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Limits of one pipeline. They keep its round trip well below a write timeout.
const (
	maxBatch      = 1024
	maxBatchBytes = 1 << 20
)

// publisher hands a lane's messages to Redis: one goroutine, one pipeline at a time,
// with all that waits in it. So it keeps the order, and a message that finds it idle
// is on the wire at once.
type publisher struct {
	*outbox
	lane  *lane
	wake  chan struct{} // one token: the queue has something
	retry chan struct{} // one token: Redis may be back

	// The rest is guarded by the outbox's mutex.
	queue  []*Outgoing       // in the order of their numbers, probes aside
	batch  []*Outgoing       // what is on its way
	flight chan struct{}     // closed when that has been answered; nil without it
	after  []<-chan struct{} // other lanes' flights, which come first
	closed bool
}

func newPublisher(b *outbox, l *lane) *publisher {
	return &publisher{outbox: b, lane: l, wake: make(chan struct{}, 1), retry: make(chan struct{}, 1)}
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
		for p.wait(ctx) {
			batch := p.take()
			if len(batch) == 0 {
				break
			}
			refused, err := p.answered(batch, p.send(ctx, batch))
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				p.lane.lost(err)
				p.awaitRedis(ctx)
			case refused:
				p.lane.awaitTopology(ctx)
				p.expire()
			}
		}
	}
}

// wait waits until no other lane has something on its way that comes before what is
// queued here. It says whether ctx goes on.
func (p *publisher) wait(ctx context.Context) bool {
	p.mu.Lock()
	after := p.after
	p.mu.Unlock()
	for _, landed := range after {
		select {
		case <-landed:
		case <-ctx.Done():
			return false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = p.after[len(after):]
	return ctx.Err() == nil
}

// take removes the next batch from the queue; it must be answered. There is none while
// another lane's comes first, for which wait is called again.
func (p *publisher) take() []*Outgoing {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.after) > 0 {
		signal(p.wake)
		return nil
	}
	n, bytes := 0, int64(0)
	for n < len(p.queue) && n < maxBatch && bytes < maxBatchBytes {
		bytes += p.queue[n].size()
		n++
	}
	if n == 0 {
		return nil
	}
	p.batch = p.queue[:n:n]
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	if p.slotted {
		p.flight = make(chan struct{})
	}
	return p.batch
}

// oldest returns the number of the first message that is not settled. The caller
// holds the outbox's mutex.
func (p *publisher) oldest() (uint64, bool) {
	for _, list := range [][]*Outgoing{p.batch, p.queue} {
		if len(list) > 0 {
			return list[0].number, true
		}
	}
	return 0, false
}

// send publishes batch in one round trip, and asks for the server's role if there is
// a probe in it. An error means that Redis has not confirmed all of it.
func (p *publisher) send(ctx context.Context, batch []*Outgoing) error {
	target, err := p.lane.target(ctx)
	commands := make([]goredis.Cmder, len(batch), len(batch)+1)
	var role *goredis.SliceCmd
	for i, o := range batch {
		o.SetErr(err)
		commands[i] = o
		if o.probe && role == nil {
			role = goredis.NewSliceCmd(ctx, "role")
		}
	}
	if err != nil {
		return err
	}
	if role != nil {
		commands = append(commands, role)
	}
	pipe := target.Pipeline()
	_ = pipe.BatchProcess(ctx, commands...)
	_, err = pipe.Exec(ctx)
	if role == nil || isDial(err) {
		return err
	}
	for _, o := range batch {
		if o.Err() != nil {
			return o.Err()
		}
	}
	return p.lane.checkRole(role)
}

// isDial says that there was no connection, so that nothing was sent.
func isDial(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return ok && dial.Op == "dial"
}

// isMoved says that a server does not take what belongs to a slot, at the moment or
// for good.
func isMoved(err error) bool {
	return goredis.HasErrorPrefix(err, "MOVED ") || goredis.HasErrorPrefix(err, "CLUSTERDOWN ")
}

// answered settles batch, which send has sent with the result err. What Redis has not
// confirmed is dropped rather than sent again: Redis may have passed it on before the
// connection broke. Two things go back into a queue: what cannot have been sent, since
// there was no connection, and what another server is to be sent. Refused says that
// this server is not known. Failed is why messages do not travel.
func (p *publisher) answered(batch []*Outgoing, err error) (refused bool, failed error) {
	defer p.land()
	if err == nil || errors.Is(err, errReplica) {
		p.taken(batch)
		return false, err
	}
	failed = err
	var taken, lost, back []*Outgoing
	for _, o := range batch {
		moved := p.slotted && isMoved(o.Err())
		refused = refused || moved
		if o.Err() != nil && !moved {
			failed = o.Err()
		}
		switch {
		case o.Err() == nil && !isDial(err):
			taken = append(taken, o)
		case !o.probe && (moved || isDial(err)):
			back = append(back, o)
		default: // of probes, the next one is as good
			lost = append(lost, o)
		}
	}
	if refused && isMoved(failed) {
		failed = nil
	}
	p.taken(taken)
	p.drop(lost)
	elsewhere := p.forward(p, back)
	return refused && !elsewhere, failed
}

// taken settles what Redis has confirmed.
func (p *publisher) taken(list []*Outgoing) {
	for _, o := range list {
		if o.probe {
			p.lane.pulse.taken()
		}
	}
	p.settle(list)
}

// land lets those go on that wait for the batch.
func (p *publisher) land() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flight != nil {
		close(p.flight)
	}
	p.batch, p.flight = nil, nil
	p.progressLocked() // who has looked since its messages were settled has found it here
}

// awaitRedis returns when Redis answers, or ctx has ended. Meanwhile messages
// grow too old to be sent.
func (p *publisher) awaitRedis(ctx context.Context) {
	wait := p.lane.timing.backoff()
	for {
		err := p.lane.answers(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
		p.lane.lost(err)
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

// expire drops the messages that have waited too long.
func (p *publisher) expire() {
	limit := time.Now().Add(-p.lane.timing.PublishAfter)
	p.mu.Lock()
	n := 0
	for n < len(p.queue) && p.queue[n].queued.Before(limit) {
		n++
	}
	old := p.queue[:n:n]
	p.queue = p.queue[n:]
	p.mu.Unlock()
	p.drop(old)
}

// close drops what is queued and refuses what follows.
func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	left := p.queue
	p.queue = nil
	p.mu.Unlock()
	p.drop(left)
}
