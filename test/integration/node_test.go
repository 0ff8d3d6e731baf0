//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

// node is one roomcast server with its listener and its own Redis client.
type node struct {
	*server.Server
	url string

	web  *httptest.Server
	work sync.WaitGroup // what a story has set going

	mu    sync.Mutex
	conns map[net.Conn]struct{} // all that are open, also those that became WebSockets
}

// startNodes starts a cluster of three nodes on a Redis of its own, with the
// stories' handlers. It ends with the test.
func startNodes(t testing.TB) (nodes []*node, redisAddr string) {
	t.Helper()
	redisAddr = redisserver.Addr(t)
	for range 3 {
		nodes = append(nodes, startNode(t, redisAddr, server.Options{}))
	}
	awaitMembers(t, nodes)
	return nodes, redisAddr
}

// startNode starts a node on the Redis at redisAddr. It ends with the test.
func startNode(t testing.TB, redisAddr string, options server.Options) *node {
	t.Helper()
	options.Adapter = overRedis(t, redisAddr, redis.Options{})
	return startNodeOn(t, options)
}

// kind is a kind of adapter, as node.mjs calls those for Redis.
type kind string

const (
	alone     kind = "" // no cluster
	inProcess kind = "memory"
	classic   kind = "classic"
	sharded   kind = "sharded"
	streams   kind = "streams"
)

// open makes an adapter of kind k.
func (k kind) open(client goredis.UniversalClient, options redis.Options) (adapter.Adapter, error) {
	switch k {
	case classic:
		return redis.New(client, options)
	case sharded:
		return redis.NewSharded(client, redis.ShardedOptions{Options: options})
	case streams:
		return redis.NewStreams(client, redis.StreamsOptions{Options: options})
	}
	return nil, fmt.Errorf("there is no adapter of the kind %q", k)
}

// overRedis makes an adapter for classic pub/sub.
func overRedis(t testing.TB, redisAddr string, options redis.Options) adapter.Adapter {
	t.Helper()
	return over(t, classic, redisAddr, options)
}

// over makes an adapter of kind k with a Redis client of its own, which is closed when
// the test ends.
func over(t testing.TB, k kind, redisAddr string, options redis.Options) adapter.Adapter {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: redisAddr})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close the Redis client: %v", err)
		}
	})
	options.Logger = errorLog(t.Output())
	bus, err := k.open(client, options)
	if err != nil {
		t.Fatal(err)
	}
	return bus
}

// startNodeOn starts a node whose adapter is among the options. It ends with the test.
func startNodeOn(t testing.TB, options server.Options) *node {
	t.Helper()
	options.Logger = errorLog(t.Output())
	n, err := newNode(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		n.work.Wait()
		n.web.Close()
	})
	return n
}

// newNode makes a node that listens and does what the stories ask.
func newNode(options server.Options) (*node, error) {
	s, err := server.New(options)
	if err != nil {
		return nil, err
	}
	n := &node{Server: s, web: httptest.NewUnstartedServer(s), conns: make(map[net.Conn]struct{})}
	serveStories(n)
	server.ConfigureHTTP(n.web.Config)
	n.web.Config.ConnState = n.track
	n.web.Start()
	n.url = n.web.URL
	return n, nil
}

func errorLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelError}))
}

func (n *node) track(c net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch state {
	case http.StateNew:
		n.conns[c] = struct{}{}
	case http.StateClosed:
		delete(n.conns, c)
	}
}

// die stops listening and resets every connection, as the end of a process does.
func (n *node) die() {
	_ = n.web.Listener.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// stop says a last word and shuts the node down.
func (n *node) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = errors.Join(n.Emit("last words"), n.Shutdown(ctx)) // clients see what went wrong
}

// awaitMembers waits until each node knows all others.
func awaitMembers(t testing.TB, nodes []*node) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, "all nodes to know each other", func() bool { return len(n.Health().Nodes) == len(nodes)-1 })
	}
}

// awaitBus waits until each node says that its bus is in that state, and returns
// how long that took.
func awaitBus(t testing.TB, state string, nodes ...*node) time.Duration {
	t.Helper()
	start := time.Now()
	for _, n := range nodes {
		eventually(t, "the bus to be "+state, func() bool { return n.Health().Bus == state })
	}
	return time.Since(start)
}

func urlsOf(nodes []*node) (urls []string) {
	for _, n := range nodes {
		urls = append(urls, n.url)
	}
	return urls
}
