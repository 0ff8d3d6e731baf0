package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// The adapters, by the names that the command line has for them.
const (
	adapterMemory  = "memory"
	adapterPubSub  = "pubsub"
	adapterSharded = "sharded"
	adapterStreams = "streams"
)

// minKeyBytes is what the library asks of a key.
const minKeyBytes = 16

// busFlags say what connects the nodes.
type busFlags struct {
	redisFlags `embed:""`

	Adapter string `placeholder:"memory|pubsub|sharded|streams" help:"How nodes are connected. memory: this node alone. pubsub: Redis publish/subscribe. sharded: that of Redis 7, which spreads over a Redis Cluster. streams: a Redis stream, in which nothing is lost while Redis is away and from which clients recover on any node. Default: pubsub with a Redis, else memory."`
	Prefix  string `default:"socket.io" help:"Prefix of the names used in Redis; the servers of one cluster share it."`
	NodeJS  bool   `name:"nodejs" help:"Node.js servers are members of the cluster: calls to all nodes wait for their answers too."`

	InterestRouting bool   `help:"A room's messages visit only the nodes that have the room. For pubsub and sharded, without Node.js servers; all nodes have it set."`
	RedisHMACKey    string `name:"redis-hmac-key" placeholder:"KEY" help:"Sign all messages in Redis and drop those of others, Node.js servers' too. 16 characters or more, the same on all nodes. Set it in the environment: a command line can be seen by other users."`
}

// kind is the adapter that was asked for.
func (f *busFlags) kind() string {
	if f.Adapter == "" && f.named() {
		return adapterPubSub
	}
	return cmp.Or(f.Adapter, adapterMemory)
}

// recovers says whether the adapter keeps what clients miss.
func (f *busFlags) recovers() bool { return f.kind() == adapterMemory || f.kind() == adapterStreams }

// Validate refuses combinations that cannot be carried out.
func (f *busFlags) Validate() error {
	switch kind := f.kind(); kind {
	case adapterPubSub, adapterSharded, adapterStreams:
		if !f.named() {
			return fmt.Errorf("--adapter %s needs --redis, --redis-cluster or --redis-sentinel", kind)
		}
	case adapterMemory:
		if f.named() {
			return errors.New("--adapter memory does not use a Redis; leave it out")
		}
	default:
		return fmt.Errorf("--adapter %q is unknown; there are memory, pubsub, sharded and streams", kind)
	}
	if err := f.validateOptions(); err != nil {
		return err
	}
	return f.redisFlags.Validate()
}

// validateOptions refuses options that the adapter does not have.
func (f *busFlags) validateOptions() error {
	switch {
	case f.NodeJS && !f.named():
		return errors.New("--nodejs needs a Redis")
	case f.InterestRouting && f.kind() != adapterPubSub && f.kind() != adapterSharded:
		return fmt.Errorf("--interest-routing is for the adapters pubsub and sharded, not for %s", f.kind())
	case f.InterestRouting && f.NodeJS:
		return errors.New("--interest-routing and --nodejs exclude each other: Node.js servers do not route by interest")
	case f.RedisHMACKey != "" && !f.named():
		return errors.New("--redis-hmac-key needs a Redis")
	case f.RedisHMACKey != "" && f.NodeJS:
		return errors.New("--redis-hmac-key and --nodejs exclude each other: Node.js servers do not sign")
	case f.RedisHMACKey != "" && len(f.RedisHMACKey) < minKeyBytes:
		return fmt.Errorf("--redis-hmac-key has fewer than %d characters", minKeyBytes)
	}
	return nil
}

// bus is one node's connection to the others.
type bus struct {
	adapter adapter.Adapter         // nil for a node alone
	client  goredis.UniversalClient // nil without Redis
	kind    string
	where   []any // describes the Redis in the log
}

// open makes the node's connection. It does not wait for Redis.
func (f *busFlags) open(log *slog.Logger) (*bus, error) {
	b := &bus{kind: f.kind()}
	if b.kind == adapterMemory {
		return b, nil
	}
	var err error
	if b.client, b.where, err = f.connect(); err != nil {
		return nil, err
	}
	goredis.SetLogger(clientLog{log})
	if b.adapter, err = f.newAdapter(b.client, log); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// newAdapter makes the adapter that was asked for.
func (f *busFlags) newAdapter(client goredis.UniversalClient, log *slog.Logger) (adapter.Adapter, error) {
	options := redis.Options{Prefix: f.Prefix, NodeJS: f.NodeJS, InterestRouting: f.InterestRouting, Logger: log}
	if f.RedisHMACKey != "" {
		options.HMACKey = []byte(f.RedisHMACKey)
	}
	switch f.kind() {
	case adapterSharded:
		return redis.NewSharded(client, redis.ShardedOptions{Options: options})
	case adapterStreams:
		return redis.NewStreams(client, redis.StreamsOptions{Options: options})
	}
	return redis.New(client, options)
}

// attributes describe the bus in the log, without its secrets.
func (b *bus) attributes() []any { return append([]any{"adapter", b.kind}, b.where...) }

// close ends the connection, after its node has stopped.
func (b *bus) close() error {
	if b.client == nil {
		return nil
	}
	return b.client.Close()
}
