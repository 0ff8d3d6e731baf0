package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/loglimit"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

// Options configures an Adapter. The zero value is a good choice.
type Options struct {
	// Prefix begins the name of every channel. Empty means "socket.io", which is
	// also the default of the Node.js adapter, where it is called key.
	Prefix string
	// MaxMessageBytes is how large a message may be in its wire form, in either
	// direction. Zero means 16 MiB; a negative value is an error.
	MaxMessageBytes int64
	// PublishQueueBytes bounds the messages that wait for Redis. Zero means
	// 16 MiB; a negative value is an error.
	PublishQueueBytes int64
	// NodeJS says that Node.js servers are in the cluster: calls that gather answers
	// then wait for theirs too, and the node hears every broadcast of its namespaces, as
	// those do, so that a room's broadcast arrives that follows a join of a Node.js server's
	// making. Each node needs an Adapter of its own, since Redis counts connections.
	// Without it Node.js servers get broadcasts, requests and answers, but are not
	// asked for any.
	NodeJS bool
	// PublishOnSpecificResponseChannel sends an answer to a Node.js server on a channel
	// that only this server hears, as the option of that name does in Node.js. The
	// answers to its events for servers go to all in any case.
	PublishOnSpecificResponseChannel bool
	// Logger gets a line when Redis is lost or back, and at most ten a second for
	// dropped messages. Nil means slog.Default().
	Logger *slog.Logger
}

const (
	defaultPrefix   = "socket.io"
	defaultMaxBytes = 16 << 20
	logsPerSecond   = 10
)

// withDefaults fills in what is zero and fails for what cannot be meant.
func (o Options) withDefaults() (Options, error) {
	if o.MaxMessageBytes < 0 {
		return o, errors.New("redis: option MaxMessageBytes is negative")
	}
	if o.PublishQueueBytes < 0 {
		return o, errors.New("redis: option PublishQueueBytes is negative")
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = defaultMaxBytes
	}
	if o.PublishQueueBytes == 0 {
		o.PublishQueueBytes = defaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = slog.New(loglimit.New(o.Logger.Handler(), logsPerSecond))
	return o, nil
}

// Adapter is an adapter.Adapter and an adapter.Reporter over Redis pub/sub. It is
// safe for concurrent use. It uses two connections, one to publish and one to
// subscribe, from the first Link to the last, and another one while nodes are counted.
type Adapter struct {
	client goredis.UniversalClient
	opts   Options
	health *bus.Health
	warned sync.Once // of Node.js servers

	mu    sync.Mutex
	bus   *bus.Bus // nil without links
	links int
}

var (
	_ adapter.Adapter  = (*Adapter)(nil)
	_ adapter.Reporter = (*Adapter)(nil)
)

// New returns an Adapter that uses client, which remains the caller's and must
// stay open until the last Link is closed. It does not use the network. It fails
// for a nil client, for a Ring, with NodeJS for a ClusterClient that reads from
// replicas, and for options that cannot be meant.
func New(client goredis.UniversalClient, opts Options) (*Adapter, error) {
	if client == nil {
		return nil, errors.New("redis: client is nil")
	}
	if _, ring := client.(*goredis.Ring); ring {
		return nil, errors.New("redis: a Ring cannot be used: its servers do not share their channels")
	}
	if c, cluster := client.(*goredis.ClusterClient); cluster && opts.NodeJS && c.Options().ReadOnly {
		return nil, errors.New("redis: option NodeJS cannot be used with a client that reads from replicas: subscribers are counted on masters")
	}
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Adapter{client: client, opts: opts, health: bus.NewHealth(opts.Logger)}, nil
}

// Status implements adapter.Reporter. Without links the state is Degraded, since
// there is no connection. A Redis that stops answering without closing its
// connections is noticed after about five seconds.
func (a *Adapter) Status() adapter.Status { return a.health.Status() }

// Join enters topic as self; see adapter.Adapter. It returns once Redis has
// confirmed the subscriptions and a probe has come back. A topic that begins with
// a slash is a namespace: its Link speaks the wire form of the Node.js adapter and is
// an adapter.RoomObserver, or with the option NodeJS, and a deliver, an
// adapter.NodeCounter.
//
// A Link of the node "emitter" with a nil deliver publishes what the Node.js package
// @socket.io/redis-emitter would.
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
	switch {
	case !l.namespace():
		return l
	case l.deliver == nil || !l.adapter.opts.NodeJS:
		return &roomLink{l}
	}
	return &countingLink{l}
}

// warnNodeJS says once that calls do not wait for some who are there.
func (a *Adapter) warnNodeJS() {
	a.warned.Do(func() {
		a.opts.Logger.Warn("redis: a Node.js server is in the cluster: set the option NodeJS, so that calls to all nodes wait for its answers")
	})
}

func (a *Adapter) acquireBus() *bus.Bus {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bus == nil {
		a.bus = bus.Start(bus.Config{
			Client: a.client, Prefix: a.opts.Prefix, PublishQueueBytes: a.opts.PublishQueueBytes, Health: a.health,
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
