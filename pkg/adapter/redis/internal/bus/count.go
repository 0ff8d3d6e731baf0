package bus

import (
	"context"
	"errors"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// counted is Redis's answer.
type counted struct {
	subscribers int
	err         error
}

// Subscribers returns how many connections are subscribed to the channel, by its
// name. It fails with an error that wraps adapter.ErrDegraded as soon as Redis is
// known to be away, with adapter.ErrClosed after Stop, and with ctx's error.
func (b *Bus) Subscribers(ctx context.Context, channel string) (int, error) {
	answer := make(chan counted, 1)
	for asked := false; ; {
		changed, err := b.config.Health.Check()
		if errors.Is(err, adapter.ErrDegraded) {
			return 0, err
		}
		if !asked {
			asked = true
			if !b.ask(ctx, channel, answer) {
				return 0, adapter.ErrClosed
			}
		}
		select {
		case a := <-answer:
			return a.subscribers, a.err
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// ask asks in a goroutine, because the client heeds a context only if its owner has
// told it to. It says whether the bus is still there.
func (b *Bus) ask(ctx context.Context, channel string, answer chan<- counted) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return false
	}
	b.counts.Go(func() {
		n, err := subscribers(ctx, b.config.Client, channel)
		answer <- counted{n, err}
	})
	return true
}

// subscribers asks Redis. In a Redis Cluster each master knows its own.
func subscribers(ctx context.Context, client goredis.UniversalClient, channel string) (int, error) {
	cluster, ok := client.(*goredis.ClusterClient)
	if !ok {
		found, err := client.PubSubNumSub(ctx, channel).Result()
		return int(found[channel]), err
	}
	var sum atomic.Int64
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		found, err := master.PubSubNumSub(ctx, channel).Result()
		sum.Add(found[channel])
		return err
	})
	return int(sum.Load()), err
}
