package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// subscriber keeps one connection subscribed to what is in its table, and passes
// what arrives to the links.
//
// It makes a goredis.PubSub for each connection and does not let it dial by
// itself: that would be without back-off, with all channels in one command, and
// would leave open which connection a confirmation came from.
type subscriber struct {
	client    goredis.UniversalClient
	timing    Timing
	health    *Health
	publisher *publisher
	table     *table
	probe     string // the channel of the adapter's own probes
}

func newSubscriber(c Config, p *publisher, probe string) *subscriber {
	return &subscriber{client: c.Client, timing: c.Timing, health: c.Health, publisher: p, table: newTable(c.Timing.Linger), probe: probe}
}

// run connects again and again until ctx ends.
func (s *subscriber) run(ctx context.Context) {
	wait := s.timing.backoff()
	for serial := uint64(1); ; serial++ {
		started := time.Now()
		c := &connection{subscriber: s, serial: serial, whole: wait.reset}
		err := c.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		s.health.lost(err)
		// The delay counts from the start of the attempt: one that has timed out
		// has waited already.
		timer := time.NewTimer(time.Until(started.Add(wait.next())))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// connection is one connection's life.
type connection struct {
	*subscriber
	serial uint64
	whole  func() // called when all is subscribed and the first probe has come back

	pubsub *goredis.PubSub
	// undialed is a context that has ended. It is given to all calls after the
	// first, so that go-redis, which does not look at it while there is a
	// connection, cannot dial another one.
	undialed context.Context
	echoed   atomic.Int64  // when the last probe came back, in Unix nanoseconds
	heard    atomic.Int64  // when anything was received
	complete chan struct{} // one token: Redis has confirmed something
}

// serve connects and stays until the connection fails, with its error, or ctx ends.
func (c *connection) serve(ctx context.Context) error {
	if err := c.dial(ctx); err != nil {
		_ = c.pubsub.Close()
		return err
	}
	c.table.restart()
	signal(c.publisher.retry)
	now := time.Now().UnixNano()
	c.echoed.Store(now)
	c.heard.Store(now)
	c.complete = make(chan struct{}, 1)

	living, cancel := context.WithCancel(ctx)
	defer cancel()
	kept := make(chan error, 1)
	var keeper sync.WaitGroup
	keeper.Go(func() {
		kept <- c.keep(living)
		_ = c.pubsub.Close() // which ends the read below
	})
	read := c.read()
	cancel()
	keeper.Wait()
	return firstCause(<-kept, read)
}

// firstCause returns the error that says most: either side ends because of the
// other, and a call that finds the connection gone only says so of its context.
func firstCause(kept, read error) error {
	if kept != nil && !errors.Is(kept, context.Canceled) {
		return kept
	}
	if !errors.Is(read, context.Canceled) {
		return read
	}
	return errors.New("redis: connection has ended")
}

// dial connects and subscribes to the probe channel.
func (c *connection) dial(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, c.timing.Dial)
	defer cancel()
	var end context.CancelFunc
	c.undialed, end = context.WithCancel(ctx)
	end()
	c.pubsub = c.client.Subscribe(dialing)
	return c.pubsub.Subscribe(dialing, c.probe)
}

// read passes on what arrives until the connection fails.
func (c *connection) read() error {
	for {
		received, err := c.pubsub.Receive(c.undialed)
		if err != nil {
			return err
		}
		c.heard.Store(time.Now().UnixNano())
		switch m := received.(type) {
		case *goredis.Message:
			c.message(m)
		case *goredis.Subscription:
			c.table.confirm(Channel{m.Channel, strings.HasPrefix(m.Kind, "p")})
			signal(c.complete)
		}
	}
}

func (c *connection) message(m *goredis.Message) {
	if m.Channel == c.probe && m.Pattern == "" {
		if m.Payload == c.probeText() {
			c.echo()
		}
		return
	}
	to := Channel{Name: m.Channel}
	if m.Pattern != "" {
		to = Channel{m.Pattern, true}
	}
	for _, r := range c.table.lookup(to) {
		r.To.Receive(Arrival{Kind: r.Kind, Pattern: m.Pattern, Channel: m.Channel, Payload: m.Payload})
	}
}

// echo notes that a probe has made the whole way.
func (c *connection) echo() {
	c.echoed.Store(time.Now().UnixNano())
	if c.table.whole() {
		c.whole()
		c.health.recovered()
	}
}

// probeText is what this connection's probes say; those of an earlier one prove
// nothing.
func (c *connection) probeText() string { return strconv.FormatUint(c.serial, 10) }

// keep sends commands and probes until ctx ends or Redis has fallen silent.
func (c *connection) keep(ctx context.Context) error {
	probes := time.NewTicker(c.timing.Probe)
	defer probes.Stop()
	lingering := time.NewTimer(0)
	defer lingering.Stop()
	greeted := false
	for {
		if !greeted && c.table.whole() {
			greeted = true
			c.sendProbe()
		}
		again, err := c.sendCommands()
		if err != nil {
			return err
		}
		if !again.IsZero() {
			lingering.Reset(time.Until(again))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.table.wake:
		case <-c.complete:
		case <-lingering.C:
		case <-probes.C:
			if err := c.silence(); err != nil {
				return err
			}
			c.sendProbe()
		}
	}
}

// sendCommands sends all that has changed in the table.
func (c *connection) sendCommands() (again time.Time, err error) {
	for more := true; more; {
		var next commands
		next, again, more = c.table.next(time.Now())
		for _, command := range []struct {
			send  func(context.Context, ...string) error
			names []string
		}{
			{c.pubsub.Subscribe, next.subscribe},
			{c.pubsub.PSubscribe, next.psubscribe},
			{c.pubsub.Unsubscribe, next.unsubscribe},
			{c.pubsub.PUnsubscribe, next.punsubscribe},
		} {
			if len(command.names) == 0 {
				continue
			}
			if err := command.send(c.undialed, command.names...); err != nil {
				return again, err
			}
		}
	}
	return again, nil
}

// sendProbe publishes a probe as any other message goes. That it may find the
// queue full is noticed by its silence.
func (c *connection) sendProbe() {
	o := c.publisher.message()
	o.Channel, o.probe = c.probe, true
	o.Body = append(o.Body, c.probeText()...)
	if c.publisher.enqueue(o) != nil {
		c.publisher.discard(o)
	}
}

// errSilent means that probes do not come back.
var errSilent = errors.New("redis: probes do not come back")

// silence says that no probe has come back for too long. A connection on which
// nothing else arrives either is given up; otherwise it is the way to Redis that
// is broken or far behind, and this connection is needed when it is back.
func (c *connection) silence() error {
	now := time.Now()
	silent := now.Sub(time.Unix(0, c.echoed.Load()))
	if silent < c.timing.Silence {
		return nil
	}
	err := fmt.Errorf("%w for %v", errSilent, silent.Round(time.Millisecond))
	if now.Sub(time.Unix(0, c.heard.Load())) >= c.timing.Silence {
		return err
	}
	c.health.lost(err)
	return nil
}
