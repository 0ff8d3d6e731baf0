package bus

import (
	"context"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// lane is a publisher and a subscribed connection for one Redis server. Its probes
// travel from the one to the other.
type lane struct {
	client   goredis.UniversalClient // of the server
	prefix   string
	sharded  bool
	timing   Timing
	health   *Health
	part     *Part
	topology *topology // nil when there is one lane
	mute     *sync.Once

	publisher *publisher
	table     *table
	pulse     pulse
	backoff   backoff       // of the subscribed connection; used by its goroutine only
	doubted   chan struct{} // one token: a probe is wanted now
	cancel    context.CancelFunc
	living    sync.WaitGroup  // its goroutines
	running   *sync.WaitGroup // those of the bus, which are these too
}

// newLane returns a lane that is not running.
func (b *Bus) newLane(name string, client goredis.UniversalClient) *lane {
	c := b.config
	l := &lane{
		client: client, prefix: c.Prefix, sharded: c.Sharded, timing: c.Timing, health: c.Health, mute: &b.mute,
		part: c.Health.Part(name, nil), topology: b.topology, table: newTable(c), pulse: pulse{key: c.Key},
		backoff: c.Timing.backoff(), doubted: make(chan struct{}, 1),
	}
	l.part.prove = func() { signal(l.doubted) }
	l.publisher = newPublisher(b.outbox, l)
	return l
}

// target is where pipelines go. In a Redis Cluster, what is not sharded goes to the
// one master that owns the prefix, since messages to several would overtake each other.
func (l *lane) target(ctx context.Context) (goredis.UniversalClient, error) {
	if cluster, ok := l.client.(*goredis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, l.prefix)
	}
	return l.client, nil
}

// start runs the lane until end, or until ctx ends, in goroutines of running.
func (l *lane) start(ctx context.Context, running *sync.WaitGroup) {
	ctx, l.cancel = context.WithCancel(ctx)
	l.running = running
	l.spawn(func() { l.publisher.run(ctx) })
	l.spawn(func() { l.listen(ctx) })
}

// spawn runs f in a goroutine of the lane.
func (l *lane) spawn(f func()) {
	l.living.Add(1)
	l.running.Go(func() {
		defer l.living.Done()
		f()
	})
}

// end ends a lane that was started, and does not wait for it.
func (l *lane) end() {
	l.part.Remove()
	l.cancel()
}

// lost says that messages do not travel, and why. They may be another lane's by now.
func (l *lane) lost(err error) {
	l.part.Lost(err)
	if l.topology != nil {
		l.topology.ask()
	}
}

// awaitTopology returns when the slots' owners have been read anew.
func (l *lane) awaitTopology(ctx context.Context) {
	select {
	case <-l.topology.ask():
	case <-ctx.Done():
	}
}

// listen connects again and again until ctx ends.
func (l *lane) listen(ctx context.Context) {
	for {
		started := time.Now()
		c := &connection{lane: l}
		err := c.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		l.lost(err)
		// The delay counts from the start of the attempt: one that has timed out
		// has waited already.
		timer := time.NewTimer(time.Until(started.Add(l.backoff.next())))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Receive takes what arrives on the probe's channel.
func (l *lane) Receive(a Arrival) {
	if l.table.passed(a.Payload) {
		return
	}
	genuine, proof := l.pulse.echo(a.Channel, a.Payload)
	switch {
	case !genuine && l.pulse.key != nil:
		l.health.Drop(Unsigned, 1)
		return
	case !genuine:
		l.health.Drop(Malformed, 1)
		return
	case !proof:
		return
	}
	l.health.RoundTrip(l.pulse.roundTrip())
	if !l.table.whole() {
		return
	}
	l.backoff.reset()
	if topics, since := l.table.healed(); len(topics) > 0 {
		l.part.Gap(adapter.Gap{Topics: topics, From: since, To: time.Now()})
	}
	l.part.Recovered()
}

// Topic is empty: nobody misses a probe.
func (l *lane) Topic() string { return "" }

// setProbe makes name the channel of the lane's probes.
func (l *lane) setProbe(name string) { l.table.setProbe(name, Route{To: l}) }

// sendProbe publishes a probe as any other message goes. That it may find the
// queue full is noticed by its silence.
func (l *lane) sendProbe() {
	o := l.publisher.message()
	o.Channel, o.probe = l.table.probeName(), true
	o.Body = l.pulse.append(o.Body, o.Channel)
	if l.publisher.add(o, l.publisher) != nil {
		l.publisher.discard(o)
	}
}
