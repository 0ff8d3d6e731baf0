package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// countingLink is a link to a namespace in which Node.js servers count. It hears every
// broadcast, and so it is no adapter.RoomObserver.
type countingLink struct{ *link }

var _ adapter.NodeCounter = (*countingLink)(nil)

// CountNodes returns how many connections to Redis listen to the namespace's
// requests; see adapter.NodeCounter.
func (l *countingLink) CountNodes(ctx context.Context) (int, error) {
	n, err := l.count(ctx)
	if err != nil {
		return 0, fmt.Errorf("redis: count nodes of %q: %w", l.topic, err)
	}
	return n, nil
}

// counted is Redis's answer.
type counted struct {
	nodes int
	err   error
}

// count asks in a goroutine of the bus's, because the client heeds a context only if
// its owner has told it to.
func (l *link) count(ctx context.Context) (int, error) {
	answer := make(chan counted, 1)
	for asked := false; ; {
		changed, err := l.adapter.health.check()
		if errors.Is(err, adapter.ErrDegraded) {
			return 0, err
		}
		if !asked {
			asked = true
			if err := l.ask(ctx, answer); err != nil {
				return 0, err
			}
		}
		select {
		case a := <-answer:
			return a.nodes, a.err
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (l *link) ask(ctx context.Context, answer chan<- counted) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.left {
		return adapter.ErrClosed
	}
	l.bus.counts.Go(func() {
		n, err := subscribers(ctx, l.adapter.client, l.requests)
		answer <- counted{n, err}
	})
	return nil
}

// subscribers returns how many connections are subscribed to channel. In a Redis
// Cluster each master knows its own.
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
