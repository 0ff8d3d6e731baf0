package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// redisTimeout bounds dialling, a read and a write each, unless the URL says
// otherwise: a Redis that hangs is noticed before the cluster's heartbeats expire.
const redisTimeout = 3 * time.Second

// busFlags say what connects the nodes.
type busFlags struct {
	Redis   string `placeholder:"URL" help:"Redis that connects the nodes, such as redis://user:password@host:6379/0 or rediss:// for TLS."`
	Adapter string `placeholder:"memory|pubsub" help:"How nodes are connected: memory is this node alone, pubsub is Redis publish/subscribe, which Node.js servers understand. Default: pubsub with --redis, else memory."`
	Prefix  string `default:"socket.io" help:"Prefix of the names used in Redis; the servers of one cluster share it."`
	NodeJS  bool   `name:"nodejs" help:"Node.js servers are members of the cluster: calls to all nodes wait for their answers too."`
}

// Validate refuses combinations that cannot be carried out.
func (f *busFlags) Validate() error {
	switch f.Adapter {
	case "sharded", "streams":
		return fmt.Errorf("--adapter %s is not there; there are memory and pubsub", f.Adapter)
	case "pubsub":
		if f.Redis == "" {
			return errors.New("--adapter pubsub needs --redis")
		}
	case "memory":
		if f.Redis != "" {
			return errors.New("--adapter memory does not use a Redis; leave --redis out")
		}
	case "":
	default:
		return fmt.Errorf("--adapter %q is unknown; there are memory and pubsub", f.Adapter)
	}
	if f.NodeJS && f.Redis == "" {
		return errors.New("--nodejs needs --redis")
	}
	if f.Redis != "" {
		if _, err := goredis.ParseURL(f.Redis); err != nil {
			return fmt.Errorf("--redis: %w", err)
		}
	}
	return nil
}

// bus is one node's connection to the others.
type bus struct {
	adapter adapter.Adapter // nil for a node alone
	client  *goredis.Client // nil without Redis
	kind    string
}

// open makes the node's connection. It does not wait for Redis.
func (f *busFlags) open(log *slog.Logger) (*bus, error) {
	if f.Redis == "" {
		return &bus{kind: "memory"}, nil
	}
	options, err := goredis.ParseURL(f.Redis)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	options.DialTimeout = cmp.Or(options.DialTimeout, redisTimeout)
	options.ReadTimeout = cmp.Or(options.ReadTimeout, redisTimeout)
	options.WriteTimeout = cmp.Or(options.WriteTimeout, redisTimeout)
	goredis.SetLogger(clientLog{log})
	client := goredis.NewClient(options)
	a, err := redis.New(client, redis.Options{Prefix: f.Prefix, NodeJS: f.NodeJS, Logger: log})
	if err != nil {
		_ = client.Close() // it has not been used
		return nil, err
	}
	return &bus{adapter: a, client: client, kind: "pubsub"}, nil
}

// clientLog takes what the Redis client says, to the whole process, at the debug
// level: what an operator should know of it the adapter logs, once for each change.
type clientLog struct{ log *slog.Logger }

// Printf implements the client's interface.
func (l clientLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, args...))
}

// attributes describe the bus in the log, without its password.
func (b *bus) attributes() []any {
	if b.client == nil {
		return []any{"adapter", b.kind}
	}
	o := b.client.Options()
	return []any{"adapter", b.kind, "redis", o.Addr, "database", o.DB}
}

// close ends the connection, after its node has stopped.
func (b *bus) close() error {
	if b.client == nil {
		return nil
	}
	return b.client.Close()
}
