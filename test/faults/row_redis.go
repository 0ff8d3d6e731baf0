package main

import (
	"context"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/test/faults/tally"
)

// backLimit is how soon messages cross between nodes again once Redis can be
// reached.
const backLimit = 2 * time.Second

// redisRestarts is row F1.
func redisRestarts(ctx context.Context, s *stage) error {
	if err := s.single(lasting...); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	subscribed, err := s.subscriptions(ctx)
	if err != nil {
		return err
	}
	s.arrive(ctx)
	killed := time.Now()
	s.redis.Kill()
	if err := pause(ctx, s.scale.outage); err != nil {
		return err
	}
	if err := s.redis.Restart(); err != nil {
		return err
	}
	accepts := time.Now()
	s.awaitSubscriptions(ctx, subscribed)
	v, err := s.finish(ctx)
	if err != nil {
		return err
	}
	s.none("disconnected clients", s.crowd.disconnections())
	s.judgeOutage(v, accepts)
	if !s.logged() {
		s.judgeLocalTimes(killed, accepts)
	}
	return nil
}

// judgeOutage adds what was lost by an outage, and when messages crossed again.
func (s *stage) judgeOutage(v *tally.Verdict, accepts time.Time) {
	messages := s.ledger.Accepted()
	s.atMost("remote delivery back after", tally.Back(messages, s.crowd.logs, accepts, time.Now()), backLimit)
	s.inOrderOnce(v)
	if s.logged() {
		s.none("lost", len(v.Misses))
		s.note("refused %d", s.ledger.Refused())
		return
	}
	s.none("local lost", v.LocalLost())
	s.none("lost before", v.LostOf(s.before))
	s.note("lost in the outage %d of %d due", len(v.Misses), v.Due)
	s.atMost("last lost sent", max(0, v.LastMiss().Sub(accepts)), backLimit)
}

// judgeLocalTimes compares local deliveries in an outage with those before.
func (s *stage) judgeLocalTimes(from, until time.Time) {
	messages := s.ledger.Accepted()
	normal := tally.Measure(messages, s.crowd.logs, tally.Local, s.load.begun, from).Quantile(0.99)
	outage := tally.Measure(messages, s.crowd.logs, tally.Local, from, until).Quantile(0.99)
	s.note("local p99 before %s", round(normal))
	if s.scale.ratios {
		s.below("local p99 in the outage", outage, 2*normal)
	} else {
		s.note("local p99 in the outage %s", round(outage))
	}
}

// subscriptions counts the subscriptions of all clients of Redis, by channel. The
// streams adapter reads.
func (s *stage) subscriptions(ctx context.Context) (map[string]int64, error) {
	if s.logged() {
		return nil, nil
	}
	client := s.place().Client()
	defer client.Close()
	counts := map[string]int64{}
	err := eachServer(ctx, client, func(ctx context.Context, one *goredis.Client) error {
		numbers, err := countSubscribers(ctx, one, s.adapter == "sharded")
		for channel, n := range numbers {
			counts[channel] += n
		}
		return err
	})
	return counts, err
}

// eachServer calls f for each master, one after the other.
func eachServer(ctx context.Context, client goredis.UniversalClient, f func(context.Context, *goredis.Client) error) error {
	switch c := client.(type) {
	case *goredis.ClusterClient:
		serial := make(chan struct{}, 1)
		return c.ForEachMaster(ctx, func(ctx context.Context, one *goredis.Client) error {
			serial <- struct{}{}
			defer func() { <-serial }()
			return f(ctx, one)
		})
	case *goredis.Client:
		return f(ctx, c)
	default:
		return nil
	}
}

func countSubscribers(ctx context.Context, one *goredis.Client, sharded bool) (map[string]int64, error) {
	if sharded {
		channels, err := one.PubSubShardChannels(ctx, "*").Result()
		if err != nil || len(channels) == 0 {
			return nil, err
		}
		return one.PubSubShardNumSub(ctx, channels...).Result()
	}
	channels, err := one.PubSubChannels(ctx, "*").Result()
	if err != nil {
		return nil, err
	}
	counts, err := one.PubSubNumSub(ctx, channels...).Result()
	if err != nil {
		return nil, err
	}
	counts["patterns"], err = one.PubSubNumPat(ctx).Result()
	return counts, err
}

// awaitSubscriptions waits until all that was subscribed is so again.
func (s *stage) awaitSubscriptions(ctx context.Context, want map[string]int64) {
	if len(want) == 0 {
		return
	}
	took, ok := within(ctx, 10*time.Second, func() bool {
		got, err := s.subscriptions(ctx)
		if err != nil {
			return false
		}
		for channel, n := range want {
			if got[channel] < n {
				return false
			}
		}
		return true
	})
	s.holds(ok && took <= backLimit, "all %d channels subscribed after %s (≤ %s)", len(want), round(took), round(backLimit))
}

// redisComesLater is row F2.
func redisComesLater(ctx context.Context, s *stage) error {
	if err := s.single(lasting...); err != nil {
		return err
	}
	s.redis.Kill()
	start := time.Now()
	if err := s.nodes(nil); err != nil {
		return err
	}
	s.note("%d nodes serve after %s without Redis", stageNodes, round(time.Since(start)))
	if err := s.clients(ctx, nil); err != nil {
		return err
	}
	degraded := s.bus(ctx, "degraded")
	s.holds(degraded, "all ready with the bus degraded: %v", degraded)
	s.startLoad(ctx)
	if err := s.echoes(ctx); err != nil {
		return err
	}
	if err := pause(ctx, s.scale.outage); err != nil {
		return err
	}
	if err := s.redis.Restart(); err != nil {
		return err
	}
	accepts := time.Now()
	took, ok := within(ctx, 10*time.Second, func() bool { return s.bus(ctx, "up") })
	s.holds(ok, "bus up after %s", round(took))
	v, err := s.finish(ctx)
	if err != nil {
		return err
	}
	s.none("disconnected clients", s.crowd.disconnections())
	s.judgeOutage(v, accepts)
	return nil
}

// echoes proves that each node serves its own clients.
func (s *stage) echoes(ctx context.Context) error {
	var times []time.Duration
	for _, c := range s.crowd.clients[:stageNodes] {
		start := time.Now()
		var text string
		if err := c.Call(ctx, "echo", "hello", &text); err != nil {
			return err
		}
		times = append(times, time.Since(start))
	}
	s.note("an echo takes %s", round(slices.Max(times)))
	return nil
}
