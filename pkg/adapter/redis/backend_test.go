package redis_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/adaptertest"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// dialer opens a connection to a server; nil is the client's own.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// backend makes clients of a Redis that belongs to a test, however that is run.
type backend func(t testing.TB, d dialer) goredis.UniversalClient

// standalone is one server.
func standalone(addr string) backend {
	return func(t testing.TB, d dialer) goredis.UniversalClient {
		client := goredis.NewClient(&goredis.Options{Addr: addr, Dialer: d})
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
}

// inCluster is a Redis Cluster of the test's own.
func inCluster(t *testing.T) backend {
	t.Helper()
	c := rediscluster.Start(t)
	return func(t testing.TB, d dialer) goredis.UniversalClient {
		opts := c.Options()
		opts.Dialer = d
		client := goredis.NewClusterClient(opts)
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
}

// maker makes an adapter of a test's own.
type maker func(t testing.TB, client goredis.UniversalClient) reporting

// classic makes adapters by New.
func classic(opts redis.Options) maker {
	return func(t testing.TB, client goredis.UniversalClient) reporting {
		return newAdapterWith(t, client, opts)
	}
}

// sharded makes adapters by NewSharded.
func sharded(opts redis.ShardedOptions) maker {
	return func(t testing.TB, client goredis.UniversalClient) reporting {
		t.Helper()
		if opts.Logger == nil {
			opts.Logger = slog.New(slog.DiscardHandler)
		}
		a, err := redis.NewSharded(client, opts)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

// streams makes adapters by NewStreams.
func streams(opts redis.StreamsOptions) maker {
	return func(t testing.TB, client goredis.UniversalClient) reporting {
		t.Helper()
		if opts.Logger == nil {
			opts.Logger = slog.New(slog.DiscardHandler)
		}
		a, err := redis.NewStreams(client, opts)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

// road is a way to all servers of a backend that can be made long, or taken away.
type road struct {
	t     testing.TB
	setup func(*tcpproxy.Proxy) // of each proxy from its beginning

	mu      sync.Mutex
	proxies map[string]*tcpproxy.Proxy // by the address of the server
}

func newRoad(t testing.TB, setup func(*tcpproxy.Proxy)) *road {
	return &road{t: t, setup: setup, proxies: make(map[string]*tcpproxy.Proxy)}
}

func (r *road) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, r.proxy(addr).Addr())
}

func (r *road) proxy(addr string) *tcpproxy.Proxy {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.proxies[addr]
	if p == nil {
		p = tcpproxy.Start(r.t, addr)
		r.setup(p)
		r.proxies[addr] = p
	}
	return p
}

// change does something to all proxies, and to those that follow.
func (r *road) change(what func(*tcpproxy.Proxy)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setup = what
	for _, p := range r.proxies {
		what(p)
	}
}

func free(*tcpproxy.Proxy) {}

func refuse(p *tcpproxy.Proxy) { p.Refuse() }

// smallLog is an adapter whose log is as small as it gets.
var smallLog = streams(redis.StreamsOptions{Options: redis.Options{Prefix: "small"}, MaxLen: 20})

// kit is how the conformance kit reaches adapters of a backend.
func kit(redis backend, make maker) adaptertest.Config {
	return adaptertest.Config{
		Small: func(t testing.TB) adapter.Adapter { return smallLog(t, redis(t, nil)) },
		New:   func(t testing.TB) adapter.Adapter { return make(t, redis(t, nil)) },
		Delayed: func(t testing.TB, delay time.Duration) adapter.Adapter {
			return make(t, redis(t, newRoad(t, func(p *tcpproxy.Proxy) { p.Delay(delay) }).dial))
		},
		Cut: func(t testing.TB) (adapter.Adapter, func()) {
			r := newRoad(t, refuse)
			return make(t, redis(t, r.dial)), func() { r.change(func(p *tcpproxy.Proxy) { resume(t, p) }) }
		},
		Lose: func(t testing.TB) (a adapter.Adapter, lose, heal func()) {
			r := newRoad(t, free)
			return make(t, redis(t, r.dial)), func() { r.change(refuse) }, func() { r.change(func(p *tcpproxy.Proxy) { resume(t, p) }) }
		},
	}
}
