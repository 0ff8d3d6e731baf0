package bus

import (
	"context"
	"errors"
	"fmt"
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
		_, changed, err := b.ready(Channel{Name: channel})
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
			return a.subscribers, b.away(a.err)
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Subscriptions returns to how many channels and patterns this node is subscribed, those
// of its probes included. It visits each, and does not use the network.
func (b *Bus) Subscriptions() (channels, patterns int) {
	for _, l := range b.outbox.present().lanes {
		l.table.count(&channels, &patterns)
	}
	return channels, patterns
}

// away returns why a question was not answered: when Redis did not say so itself, it
// could not be reached, which may be known before the connections notice.
func (b *Bus) away(err error) error {
	if _, refusal := errors.AsType[goredis.Error](err); err == nil || refusal || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", adapter.ErrDegraded, err)
}

// ask asks in a goroutine, because the client heeds a context only if its owner has
// told it to. It says whether the bus is still there.
func (b *Bus) ask(ctx context.Context, channel string, answer chan<- counted) bool {
	b.questions.Lock()
	defer b.questions.Unlock()
	if b.stopped {
		return false
	}
	b.counts.Go(func() {
		n, err := b.subscribers(ctx, channel)
		answer <- counted{n, err}
	})
	return true
}

// subscribers asks Redis. In a Redis Cluster each master knows its own, or only the
// one that owns the channel.
func (b *Bus) subscribers(ctx context.Context, channel string) (int, error) {
	cluster, ok := b.config.Client.(*goredis.ClusterClient)
	switch {
	case ok && b.config.Sharded:
		master, err := cluster.MasterForKey(ctx, channel)
		if err != nil {
			return 0, err
		}
		return numsub(master.PubSubShardNumSub(ctx, channel), channel)
	case b.config.Sharded:
		return numsub(b.config.Client.PubSubShardNumSub(ctx, channel), channel)
	case !ok:
		return numsub(b.config.Client.PubSubNumSub(ctx, channel), channel)
	}
	var sum atomic.Int64
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		n, err := numsub(master.PubSubNumSub(ctx, channel), channel)
		sum.Add(int64(n))
		return err
	})
	return int(sum.Load()), err
}

func numsub(answer *goredis.MapStringIntCmd, channel string) (int, error) {
	found, err := answer.Result()
	return int(found[channel]), err
}
