package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Config says what a Bus works with.
type Config struct {
	// Client is the caller's, who closes it after Stop.
	Client goredis.UniversalClient
	// Sharded uses Redis' sharded pub/sub, which has no patterns. In a Redis Cluster
	// each master then has a lane.
	Sharded bool
	// Prefix begins the names of the channels of probes. In a Redis Cluster, what is
	// not sharded is published through the master that owns it.
	Prefix string
	// PublishQueueBytes bounds the messages that wait for Redis, of all lanes together.
	PublishQueueBytes int64
	// Health is told how Redis is. It may serve several buses, one after the other. Nil
	// means one of the Bus's own, that logs nothing.
	Health *Health
	// Timing is for tests; the zero value is right otherwise.
	Timing Timing
	// Key signs the probes; nil leaves them unsigned.
	Key []byte
}

// slotted says that channels belong to servers by their slots.
func (c Config) slotted() bool {
	_, cluster := c.Client.(*goredis.ClusterClient)
	return cluster && c.Sharded
}

// Bus is what an adapter's links share: the connections to publish and to
// subscribe, and the goroutines that run them. It is safe for concurrent use.
type Bus struct {
	config   Config
	probe    string // begins the names of the channels of the probes
	topology *topology
	mute     sync.Once
	outbox   *outbox

	cancel  context.CancelFunc
	owner   sync.WaitGroup
	running sync.WaitGroup // the lanes, and the topology
	ended   chan struct{}  // closed when the goroutines have ended
	whole   atomic.Bool    // all of Redis has been up once

	// mu keeps subscriptions in the table of the lane that they belong to: it is locked
	// while they change hands.
	mu sync.RWMutex

	questions sync.Mutex
	stopped   bool
	counts    sync.WaitGroup // questions that are being asked; none begins once stopped
}

// New returns a Bus without goroutines, which takes subscriptions and messages
// and leaves them where they are.
func New(c Config) *Bus {
	if c.Timing == (Timing{}) {
		c.Timing = DefaultTiming()
	}
	if c.Health == nil {
		c.Health = NewHealth(slog.New(slog.DiscardHandler))
	}
	b := &Bus{config: c, probe: c.Prefix + "-roomcast#probe#" + rand.Text() + "#", ended: make(chan struct{})}
	only := &routes{}
	b.outbox = newOutbox(c, only)
	only.lanes = []*lane{b.newLane(nameOf(c.Client), c.Client)}
	only.lanes[0].setProbe(b.probe)
	if c.slotted() {
		b.topology = &topology{bus: b, cluster: c.Client.(*goredis.ClusterClient), asked: make(chan struct{}, 1)}
	}
	return b
}

// nameOf returns what a client is called in the log.
func nameOf(client goredis.UniversalClient) string {
	switch c := client.(type) {
	case *goredis.Client:
		return c.Options().Addr
	case *goredis.ClusterClient:
		return "cluster"
	}
	return "redis"
}

// Start returns a Bus that connects to Redis by itself. Its context is the root of
// its life: it must outlive the call of Join that happens to be the first one.
func Start(c Config) *Bus {
	b := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	if b.topology != nil {
		b.running.Go(func() { b.topology.run(ctx) })
	} else {
		b.outbox.routes.lanes[0].start(ctx, &b.running)
	}
	b.owner.Go(func() {
		defer close(b.ended)
		<-ctx.Done()
		b.running.Wait()
		b.counts.Wait()
		for _, l := range b.outbox.routes.lanes {
			l.publisher.close()
			l.part.Remove()
		}
	})
	return b
}

// Stop ends the goroutines of a started Bus and waits for them, no longer than
// ctx, whose error it then returns. What is queued is dropped and counted.
func (b *Bus) Stop(ctx context.Context) error {
	b.questions.Lock()
	b.stopped = true
	b.questions.Unlock()
	b.outbox.stop()
	b.cancel()
	select {
	case <-b.ended:
		b.owner.Wait()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lane returns the lane of a channel. The caller holds mu.
func (b *Bus) lane(name string) *lane { return b.outbox.present().of(name) }

// Subscribe makes r hear what arrives on c. It does not wait; see Await. It is
// undone by one call of Unsubscribe.
func (b *Bus) Subscribe(c Channel, r Route) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	b.lane(c.Name).table.add(c, r)
}

// Unsubscribe ends r's interest in c; without one it does nothing. With linger the
// last one leaves the subscription in place for two seconds, so that a room that
// empties and fills again costs nothing.
func (b *Bus) Unsubscribe(c Channel, r Route, linger bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	b.lane(c.Name).table.remove(c, r, linger)
}

// Await waits until the subscriptions to all of cs are confirmed and their servers
// are up; without any, and until that was so once, for all of Redis. A subscription
// that nobody has counts as confirmed. It fails with an error that wraps
// adapter.ErrDegraded as soon as such a server is known to be away, and with ctx's
// error.
func (b *Bus) Await(ctx context.Context, cs ...Channel) error {
	for all := len(cs) == 0 || !b.whole.Load(); ; {
		var ready, changed <-chan struct{}
		var err error
		if all {
			changed, err = b.config.Health.Check()
			b.whole.CompareAndSwap(false, err == nil)
		}
		for err == nil && len(cs) > 0 {
			if ready, changed, err = b.ready(cs[0]); ready != nil {
				break
			}
			if err == nil {
				cs = cs[1:]
			}
		}
		switch {
		case errors.Is(err, adapter.ErrDegraded):
			return err
		case err == nil && ready == nil:
			return nil
		}
		select {
		case <-ready:
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ready says how far the subscription to c is; see table.ready and Health.Check.
func (b *Bus) ready(c Channel) (ready, changed <-chan struct{}, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	l := b.lane(c.Name)
	if changed, err = l.part.check(); err == nil {
		ready = l.table.ready(c)
	}
	return ready, changed, err
}

// Away says that some of the servers are not up, as far as the Bus's own lanes know.
func (b *Bus) Away() bool {
	for _, l := range b.outbox.present().lanes {
		if _, err := l.part.check(); err != nil {
			return true
		}
	}
	return false
}

// Message returns an empty Outgoing, to be passed to Enqueue or Discard.
func (b *Bus) Message() *Outgoing { return b.outbox.message() }

// Discard takes back an Outgoing that is not sent.
func (b *Bus) Discard(o *Outgoing) { b.outbox.discard(o) }

// Enqueue queues o, which is the Bus's from then on unless it fails. It does not
// wait. Messages to one channel that are queued by one goroutine are sent in that
// order; without lanes, those to all channels. It fails with adapter.ErrQueueFull and,
// after Stop, with adapter.ErrClosed.
func (b *Bus) Enqueue(o *Outgoing) error { return b.outbox.enqueue(o) }

// Waiting returns how many messages have been queued and neither sent nor dropped.
func (b *Bus) Waiting() int { return b.outbox.count() }

// Flush waits until what is queued has been sent or dropped, or ctx ends, whose error
// it returns. It does not wait for servers that are known to be away.
func (b *Bus) Flush(ctx context.Context) error {
	for last := b.outbox.last(); ; {
		changed, _ := b.config.Health.Check()
		progress, waits := b.outbox.unsent(last)
		if !waits {
			return nil
		}
		select {
		case <-progress:
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
