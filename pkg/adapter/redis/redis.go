package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

// Adapter is an adapter.Adapter, an adapter.Reporter and an adapter.Watcher over Redis
// pub/sub. It is safe for concurrent use. It uses two connections, one to publish and one
// to subscribe, from the first Link to the last, and another one while nodes are counted;
// over sharded pub/sub in a Redis Cluster two for each master.
type Adapter struct {
	client  goredis.UniversalClient
	opts    Options
	sharded bool
	// newForm returns the form in which a namespace's link speaks.
	newForm func(*link) form
	health  *bus.Health
	warned  sync.Once // that calls do not wait for Node.js servers

	mu    sync.Mutex
	bus   *bus.Bus // nil without links
	links int
	mixed mixed
}

var (
	_ adapter.Adapter  = (*Adapter)(nil)
	_ adapter.Reporter = (*Adapter)(nil)
	_ adapter.Watcher  = (*Adapter)(nil)
)

// New returns an Adapter over classic pub/sub, as the Node.js function createAdapter of
// @socket.io/redis-adapter. The client remains the caller's and must stay open until the
// last Link is closed. New does not use the network. It fails for a nil client, for a
// Ring, with NodeJS for a ClusterClient that reads from replicas, and for options that
// cannot be meant.
func New(client goredis.UniversalClient, opts Options) (*Adapter, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkClient(client); err != nil {
		return nil, err
	}
	if opts.NodeJS && readsReplicas(client) {
		return nil, errors.New("redis: option NodeJS cannot be used with a client that reads from replicas: subscribers are counted on masters")
	}
	return newAdapter(client, opts, newClassic), nil
}

func newAdapter(client goredis.UniversalClient, opts Options, newForm func(*link) form) *Adapter {
	return &Adapter{client: client, opts: opts, newForm: newForm, health: bus.NewHealth(opts.Logger)}
}

// Status implements adapter.Reporter. Without links the state is Degraded, since
// there is no connection. A Redis that stops answering without closing its
// connections is noticed after about five seconds.
func (a *Adapter) Status() adapter.Status { return a.health.Status() }

// Subscriptions implements adapter.SubscriptionCounter.
func (a *Adapter) Subscriptions() map[string]int {
	a.mu.Lock()
	b := a.bus
	a.mu.Unlock()
	if b == nil {
		return nil
	}
	channels, patterns := b.Subscriptions()
	return map[string]int{"channel": channels, "pattern": patterns}
}

// Watch implements adapter.Watcher. A gap is reported when the connection that was lost, or
// each of them, is whole again; its topics are those that listen there.
func (a *Adapter) Watch(f func(adapter.Event)) (stop func()) { return a.health.Watch(f) }

// Join enters topic as self; see adapter.Adapter. It returns once Redis has
// confirmed the subscriptions and a probe has come back. A topic that begins with
// a slash is a namespace: its Link speaks the wire form of the Node.js adapter. With a
// deliver it is an adapter.NodeCounter if the option NodeJS is set, and an
// adapter.RoomObserver if rooms have channels that are subscribed to: with
// InterestRouting, and over sharded pub/sub unless its mode is Static.
//
// A Link of the node "emitter" with a nil deliver publishes what an emitter of Node.js
// would.
func (a *Adapter) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("redis: join %q: %w", topic, err)
	}
	l := newLink(a, a.acquireBus(), topic, self, deliver)
	err := l.subscribe(ctx)
	if err != nil && !errors.Is(err, adapter.ErrDegraded) { // ctx has ended
		if errors.Is(err, context.Canceled) {
			_ = l.Close(ctx) // its caller has gone; what this does not wait for ends by itself
			return nil, fmt.Errorf("redis: join %q: %w", topic, err)
		}
		err = fmt.Errorf("%w: %w", adapter.ErrDegraded, err)
	}
	if err != nil {
		err = fmt.Errorf("redis: join %q: %w", topic, err)
	}
	return l.typed(), err
}

// typed returns l with the abilities of its topic.
func (l *link) typed() adapter.Link {
	listens := l.form != nil && l.deliver != nil
	rooms, counts := listens && l.routing.selective, listens && l.adapter.opts.NodeJS
	switch {
	case rooms && counts:
		return &countingRoomLink{l, occupancy{l}, counter{l}}
	case rooms:
		return &roomLink{l, occupancy{l}}
	case counts:
		return &countingLink{l, counter{l}}
	}
	return l
}

func (a *Adapter) acquireBus() *bus.Bus {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bus == nil {
		a.bus = bus.Start(bus.Config{
			Client: a.client, Sharded: a.sharded, Prefix: a.opts.Prefix,
			PublishQueueBytes: a.opts.PublishQueueBytes, Health: a.health, Key: a.opts.HMACKey,
		})
	}
	a.links++
	return a.bus
}

// releaseBus gives back what acquireBus gave and stops the bus after the last one.
func (a *Adapter) releaseBus(ctx context.Context) error {
	a.mu.Lock()
	a.links--
	var last *bus.Bus
	if a.links == 0 {
		last, a.bus = a.bus, nil
	}
	a.mu.Unlock()
	if last == nil {
		return nil
	}
	return last.Stop(ctx)
}
