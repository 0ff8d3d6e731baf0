package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

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

// busFlags say what connects the nodes.
type busFlags struct {
	Cluster busOptions  `embed:"" group:"Cluster"`
	Redis   redisFlags  `embed:"" group:"Redis"`
	Wire    wireFlags   `embed:"" group:"Redis"`
	Stream  streamFlags `embed:"" prefix:"stream-" group:"Streams"`
}

// busOptions are what all nodes of a cluster have in common.
type busOptions struct {
	Adapter         string `placeholder:"memory|pubsub|sharded|streams" allowed:"memory,pubsub,sharded,streams" help:"How nodes are connected. memory: this node alone. pubsub: Redis publish/subscribe. sharded: that of Redis 7, which spreads over a Redis Cluster. streams: a Redis stream, in which nothing is lost while Redis is away and from which clients recover on any node. Default: pubsub with a Redis, else memory."`
	Prefix          string `default:"socket.io" help:"Prefix of the names used in Redis; the servers of one cluster share it."`
	NodeJS          bool   `name:"nodejs" for:"pubsub,sharded,streams" help:"Node.js servers are members of the cluster: calls to all nodes wait for their answers too."`
	InterestRouting bool   `for:"pubsub,sharded" help:"A room's messages visit only the nodes that have the room. Without Node.js servers; all nodes have it set."`
}

// wireFlags say how messages travel through Redis.
type wireFlags struct {
	HMACKey                          string `name:"redis-hmac-key" placeholder:"KEY" form:"key" secret:"all" for:"pubsub,sharded,streams" help:"Sign all messages in Redis and drop those of others, Node.js servers' too. 16 characters or more, the same on all nodes. Set it in the environment: a command line can be seen by other users."`
	MaxMessageBytes                  int64  `name:"redis-max-message-bytes" default:"16777216" min:"1" for:"pubsub,sharded,streams" help:"Largest message between nodes, in bytes."`
	PublishQueueBytes                int64  `name:"redis-publish-queue-bytes" default:"16777216" min:"1" for:"pubsub,sharded,streams" help:"Most bytes of messages that wait for Redis."`
	PublishOnSpecificResponseChannel bool   `for:"pubsub" help:"Answer Node.js servers on channels of their own, as the option of that name does in Node.js."`
	SubscriptionMode                 string `default:"dynamic" placeholder:"dynamic|static|dynamic-private" allowed:"dynamic,static,dynamic-private" for:"sharded" help:"Which rooms have channels of their own: those that are no socket's, none, or all. The same on all servers, of Node.js too."`
}

// streamFlags say how streams are used.
type streamFlags struct {
	Name             string        `placeholder:"NAME" for:"streams" help:"Name of the stream. Default: the prefix."`
	Count            int           `default:"1" min:"1" for:"streams" help:"Number of streams, over which the namespaces are spread."`
	ShardedPubSub    bool          `name:"sharded-pubsub" for:"streams" help:"Send calls and answers over the sharded publish/subscribe of Redis 7."`
	MaxLen           int64         `default:"10000" min:"1" for:"streams" help:"About how many messages a stream keeps."`
	MaxAge           time.Duration `default:"0s" min:"0s" for:"streams" help:"Age from which messages are removed; 0 keeps them. More than --recovery."`
	ReadCount        int64         `default:"100" min:"1" for:"streams" help:"How many messages are read at a time."`
	Block            time.Duration `default:"5s" min:"1ms" for:"streams" help:"How long one read waits for messages."`
	WaitReplicas     int           `default:"0" min:"0" for:"streams" help:"How many replicas have a message before its node forgets it."`
	SessionKeyPrefix string        `placeholder:"PREFIX" for:"streams" help:"Prefix of the keys of recovery records. Default: sio:session:, or the prefix and :session: if that is another."`
}

// kind is the adapter that was asked for.
func (f *busFlags) kind() string {
	if f.Cluster.Adapter == "" && f.Redis.named() {
		return adapterPubSub
	}
	return cmp.Or(f.Cluster.Adapter, adapterMemory)
}

// check refuses combinations that cannot be carried out.
func (f *busFlags) check(s settings) error {
	return cmp.Or(
		s.excludes("redis", "redis-cluster", ""),
		s.excludes("redis", "redis-sentinel", ""),
		s.excludes("redis-cluster", "redis-sentinel", ""),
		f.checkAdapter(s),
		s.checkAdapter(f.kind()),
		f.Redis.check(s),
		s.excludes("interest-routing", "nodejs", ": Node.js servers do not route by interest"),
		s.excludes("redis-hmac-key", "nodejs", ": Node.js servers do not sign"),
		f.checkRouting(s),
	)
}

// checkAdapter refuses an adapter without its Redis, or a Redis without an adapter.
func (f *busFlags) checkAdapter(s settings) error {
	adapter := s.find("adapter")
	switch kind := f.kind(); {
	case kind != adapterMemory && !f.Redis.named():
		return fmt.Errorf("%s needs --redis, --redis-cluster or --redis-sentinel", s.written(adapter))
	case kind == adapterMemory && f.Redis.named():
		return fmt.Errorf("%s does not use a Redis; leave it out", s.written(adapter))
	}
	return nil
}

func (f *busFlags) checkRouting(s settings) error {
	mode := s.find("subscription-mode")
	if f.Cluster.InterestRouting && s.given(mode) && f.Wire.SubscriptionMode != "dynamic" {
		return fmt.Errorf("%s needs the subscription mode dynamic: %s leaves it nothing to decide", s.name(s.find("interest-routing")), s.written(mode))
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
	if b.client, b.where, err = f.Redis.connect(); err != nil {
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
	switch f.kind() {
	case adapterSharded:
		return redis.NewSharded(client, f.sharded(log))
	case adapterStreams:
		return redis.NewStreams(client, f.streams(log))
	}
	return redis.New(client, f.pubSub(log))
}

func (f *busFlags) pubSub(log *slog.Logger) redis.Options {
	o := redis.Options{
		Prefix: f.Cluster.Prefix, NodeJS: f.Cluster.NodeJS, InterestRouting: f.Cluster.InterestRouting,
		MaxMessageBytes: f.Wire.MaxMessageBytes, PublishQueueBytes: f.Wire.PublishQueueBytes,
		PublishOnSpecificResponseChannel: f.Wire.PublishOnSpecificResponseChannel, Logger: log,
	}
	if f.Wire.HMACKey != "" {
		o.HMACKey = []byte(f.Wire.HMACKey)
	}
	return o
}

func (f *busFlags) sharded(log *slog.Logger) redis.ShardedOptions {
	modes := map[string]redis.SubscriptionMode{"static": redis.Static, "dynamic-private": redis.DynamicPrivate}
	return redis.ShardedOptions{Options: f.pubSub(log), SubscriptionMode: modes[f.Wire.SubscriptionMode]}
}

func (f *busFlags) streams(log *slog.Logger) redis.StreamsOptions {
	return redis.StreamsOptions{
		Options: f.pubSub(log), StreamName: f.Stream.Name, StreamCount: f.Stream.Count, ShardedPubSub: f.Stream.ShardedPubSub,
		MaxLen: f.Stream.MaxLen, MaxAge: f.Stream.MaxAge, ReadCount: f.Stream.ReadCount, Block: f.Stream.Block,
		WaitReplicas: f.Stream.WaitReplicas, SessionKeyPrefix: f.Stream.SessionKeyPrefix,
	}
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
