package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// connection is one life of a lane's subscribed connection: it keeps subscribed what
// is in the lane's table, and passes on what arrives.
//
// It makes a goredis.PubSub for itself and does not let it dial again: that would be
// without back-off, with all channels in one command, and would leave open which
// connection a confirmation came from.
type connection struct {
	*lane
	pubsub *goredis.PubSub
	// undialed is a context that has ended. It is given to all calls after the
	// first, so that go-redis, which does not look at it while there is a
	// connection, cannot dial another one.
	undialed  context.Context
	heard     atomic.Int64  // when anything was received, in Unix nanoseconds
	passing   atomic.Int64  // when the message came that is being passed on; 0 if none is
	confirmed chan struct{} // one token: Redis has confirmed something
	failed    chan error    // one: why nothing can be read any more
}

// serve connects and stays until the connection fails, with its error, or ctx ends.
func (c *connection) serve(ctx context.Context) error {
	if err := c.dial(ctx); err != nil {
		return err
	}
	signal(c.publisher.retry)
	c.pulse.begin()
	c.heard.Store(time.Now().UnixNano())
	c.confirmed, c.failed = make(chan struct{}, 1), make(chan error, 1)

	living, cancel := context.WithCancel(ctx)
	defer cancel()
	kept := make(chan error, 1)
	var keeper sync.WaitGroup
	keeper.Go(func() {
		kept <- c.keep(living)
		_ = c.pubsub.Close() // which ends the read below
	})
	c.spawn(c.read)
	read := <-c.failed
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

// dial connects to where the lane publishes, and subscribes to the probe's channel. In a
// Redis Cluster others would do, but they have messages at other times: who changes
// from one to another would hear some twice.
func (c *connection) dial(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, c.timing.Dial)
	defer cancel()
	server, err := c.target(dialing)
	if err != nil {
		return err
	}
	var end context.CancelFunc
	c.undialed, end = context.WithCancel(ctx)
	end()
	c.pubsub = server.Subscribe(dialing)
	if err = c.send(dialing, c.table.restart(c.pulse.provenAt())); err != nil {
		_ = c.pubsub.Close()
	}
	return err
}

// read passes on what arrives until the connection fails, or another goroutine was put
// in this one's place.
func (c *connection) read() {
	for {
		received, err := c.pubsub.Receive(c.undialed)
		if c.table.slotted && isMoved(err) {
			if c.table.refuse() {
				c.topology.ask()
			}
			continue
		}
		if err != nil {
			c.failed <- err
			return
		}
		now := time.Now().UnixNano()
		c.heard.Store(now)
		switch m := received.(type) {
		case *goredis.Message:
			c.passing.Store(now)
			c.message(m)
			if !c.passing.CompareAndSwap(now, 0) {
				return
			}
		case *goredis.Subscription:
			if c.table.confirm(m.Kind, m.Channel) && c.topology != nil {
				c.topology.ask()
			}
			signal(c.confirmed)
		}
	}
}

// relieve puts another goroutine in the place of the one that reads, if a receiver keeps
// that from it: one that is slow must not hold up the others.
func (c *connection) relieve() {
	began := c.passing.Load()
	if began != 0 && time.Since(time.Unix(0, began)) > c.timing.Probe/2 && c.passing.CompareAndSwap(began, 0) {
		c.spawn(c.read)
	}
}

func (c *connection) message(m *goredis.Message) {
	to := Channel{Name: m.Channel}
	if m.Pattern != "" {
		to = Channel{m.Pattern, true}
	}
	routes := c.table.lookup(to)
	for _, r := range routes {
		r.To.Receive(Arrival{Kind: r.Kind, Pattern: m.Pattern, Channel: m.Channel, Payload: m.Payload, Shared: len(routes) > 1})
	}
}

// keep sends commands and probes until ctx ends or Redis has fallen silent.
func (c *connection) keep(ctx context.Context) error {
	probes := time.NewTicker(c.timing.Probe)
	defer probes.Stop()
	lingering := time.NewTimer(0)
	defer lingering.Stop()
	for wasWhole := false; ; {
		whole := c.table.whole()
		if whole && !wasWhole {
			c.sendProbe()
		}
		wasWhole = whole
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
		case <-c.confirmed:
		case <-lingering.C:
		case <-c.doubted:
			c.sendProbe()
		case <-probes.C:
			c.relieve()
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
		var list []command
		list, again, more = c.table.next(time.Now())
		for _, next := range list {
			if err := c.send(c.undialed, next); err != nil {
				return again, err
			}
		}
	}
	return again, nil
}

// send sends one command, which go-redis has a method for.
func (c *connection) send(ctx context.Context, next command) error {
	method := map[string]func(context.Context, ...string) error{
		"subscribe": c.pubsub.Subscribe, "unsubscribe": c.pubsub.Unsubscribe,
		"psubscribe": c.pubsub.PSubscribe, "punsubscribe": c.pubsub.PUnsubscribe,
		"ssubscribe": c.pubsub.SSubscribe, "sunsubscribe": c.pubsub.SUnsubscribe,
	}[next.kind]
	return method(ctx, next.names...)
}

// errSilent means that probes do not come back.
var errSilent = errors.New("redis: probes do not come back")

// maxUnanswered is how many probes Redis may take without sending them here.
const maxUnanswered = 2

// silence says that no probe has come back for too long. The connection is given up
// when nothing else arrives on it either, and when Redis has taken probes: then it is
// connected to another server than the publisher, or to one that has been cut off.
// Otherwise it is the way to Redis that is broken or far behind, and this connection
// is needed when it is back.
func (c *connection) silence() error {
	silent, taken := c.pulse.silence()
	if silent < c.timing.Silence {
		return nil
	}
	err := fmt.Errorf("%w for %v", errSilent, silent.Round(time.Millisecond))
	if taken >= maxUnanswered || time.Since(time.Unix(0, c.heard.Load())) >= c.timing.Silence {
		return err
	}
	c.lost(err)
	return nil
}
