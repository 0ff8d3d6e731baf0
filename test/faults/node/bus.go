package node

import (
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// redisTimeout bounds dialling, a read and a write each.
const redisTimeout = 3 * time.Second

// Client returns a client of the Redis that r describes.
func (r Redis) Client() goredis.UniversalClient {
	switch {
	case r.Cluster:
		return goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: r.Addrs, DialTimeout: redisTimeout, ReadTimeout: redisTimeout, WriteTimeout: redisTimeout,
		})
	case r.Sentinel != "":
		return goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: r.Sentinel, SentinelAddrs: r.Addrs,
			DialTimeout: redisTimeout, ReadTimeout: redisTimeout, WriteTimeout: redisTimeout,
		})
	default:
		return goredis.NewClient(&goredis.Options{
			Addr: r.Addrs[0], DialTimeout: redisTimeout, ReadTimeout: redisTimeout, WriteTimeout: redisTimeout,
		})
	}
}

// open returns the node's adapter and what closes its client.
func (c Config) open() (adapter.Adapter, func(), error) {
	if c.Adapter == "memory" {
		return memory.New(), func() {}, nil
	}
	client := c.Redis.Client()
	shut := func() { _ = client.Close() }
	bus, err := c.adapter(client)
	if err != nil {
		shut()
		return nil, nil, fmt.Errorf("node: %w", err)
	}
	return bus, shut, nil
}

func (c Config) adapter(client goredis.UniversalClient) (adapter.Adapter, error) {
	options := redis.Options{InterestRouting: c.InterestRouting}
	switch c.Adapter {
	case "pubsub":
		return redis.New(client, options)
	case "sharded":
		return redis.NewSharded(client, redis.ShardedOptions{Options: options})
	case "streams":
		return redis.NewStreams(client, redis.StreamsOptions{Options: options, MaxLen: c.StreamMaxLen, WaitReplicas: c.WaitReplicas})
	default:
		return nil, fmt.Errorf("there is no adapter %q", c.Adapter)
	}
}
