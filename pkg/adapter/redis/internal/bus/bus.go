package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Config says what a Bus works with.
type Config struct {
	// Client is the caller's, who closes it after Stop.
	Client goredis.UniversalClient
	// Sharded uses Redis' sharded pub/sub. Patterns cannot be subscribed to then.
	Sharded bool
	// Prefix begins the names of the channels of probes. In a Redis Cluster, what is
	// not sharded is published through the master that owns it.
	Prefix string
	// PublishQueueBytes bounds the messages that wait for Redis.
	PublishQueueBytes int64
	// Health is told how Redis is. It may serve several buses, one after the other.
	Health *Health
	// Timing is for tests; the zero value is right otherwise.
	Timing Timing
	// Key signs the probes; nil leaves them unsigned.
	Key []byte
}

// Bus is what an adapter's links share: the connections to publish and to
// subscribe, and the goroutines that run them. It is safe for concurrent use.
type Bus struct {
	config     Config
	publisher  *publisher
	subscriber *subscriber

	cancel context.CancelFunc
	owner  sync.WaitGroup
	ended  chan struct{} // closed when the goroutines have ended

	mu      sync.Mutex
	stopped bool
	counts  sync.WaitGroup // questions that are being asked; none begins once stopped
}

// New returns a Bus without goroutines, which takes subscriptions and messages
// and leaves them where they are.
func New(c Config) *Bus {
	if c.Timing == (Timing{}) {
		c.Timing = DefaultTiming()
	}
	p := newPublisher(c)
	return &Bus{
		config: c, publisher: p,
		subscriber: newSubscriber(c, p, c.Prefix+"-roomcast#probe#"+rand.Text()+"#"),
		ended:      make(chan struct{}),
	}
}

// Start returns a Bus that connects to Redis by itself. Its context is the root of
// its life: it must outlive the call of Join that happens to be the first one.
func Start(c Config) *Bus {
	b := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	c.Health.connecting()
	b.owner.Go(func() {
		defer close(b.ended)
		defer c.Health.connecting()
		var both sync.WaitGroup
		both.Go(func() { b.publisher.run(ctx) })
		both.Go(func() { b.subscriber.run(ctx) })
		both.Wait()
		b.counts.Wait()
	})
	return b
}

// Stop ends the goroutines of a started Bus and waits for them, no longer than
// ctx, whose error it then returns. What is queued is dropped and counted.
func (b *Bus) Stop(ctx context.Context) error {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.cancel()
	select {
	case <-b.ended:
		b.owner.Wait()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Subscribe makes r hear what arrives on c. It does not wait; see Await. It is
// undone by one call of Unsubscribe.
func (b *Bus) Subscribe(c Channel, r Route) { b.subscriber.table.add(c, r) }

// Unsubscribe ends r's interest in c; without one it does nothing. With linger the
// last one leaves the subscription in place for two seconds, so that a room that
// empties and fills again costs nothing.
func (b *Bus) Unsubscribe(c Channel, r Route, linger bool) {
	b.subscriber.table.remove(c, r, linger)
}

// Await waits until Redis is up and has confirmed the subscriptions to all of cs;
// one that nobody has counts as confirmed. It fails with an error that wraps
// adapter.ErrDegraded as soon as Redis is known to be away, and with ctx's error.
func (b *Bus) Await(ctx context.Context, cs ...Channel) error {
	for {
		changed, err := b.config.Health.Check()
		if errors.Is(err, adapter.ErrDegraded) {
			return err
		}
		var ready <-chan struct{}
		if err == nil {
			for len(cs) > 0 {
				if ready = b.subscriber.table.ready(cs[0]); ready != nil {
					break
				}
				cs = cs[1:]
			}
			if len(cs) == 0 {
				return nil
			}
		}
		select {
		case <-ready:
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Message returns an empty Outgoing, to be passed to Enqueue or Discard.
func (b *Bus) Message() *Outgoing { return b.publisher.message() }

// Discard takes back an Outgoing that is not sent.
func (b *Bus) Discard(o *Outgoing) { b.publisher.discard(o) }

// Enqueue queues o, which is the Bus's from then on unless it fails. It does not
// wait. Messages queued by one goroutine are sent in that order. It fails with
// adapter.ErrQueueFull and, after Stop, with adapter.ErrClosed.
func (b *Bus) Enqueue(o *Outgoing) error { return b.publisher.enqueue(o) }

// Waiting returns how many messages have been queued and neither sent nor dropped.
func (b *Bus) Waiting() int { return b.publisher.waiting() }

// Flush waits until what is queued has been sent or dropped, or Redis is known to be
// away, or ctx ends, whose error it returns.
func (b *Bus) Flush(ctx context.Context) error { return b.publisher.flush(ctx) }
