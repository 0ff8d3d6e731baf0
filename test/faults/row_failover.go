package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/test/faults/node"
)

// primaryDies is row F3. Streams run it with one replica waited for: then nothing
// may be lost that was accepted.
func primaryDies(ctx context.Context, s *stage) error {
	if err := s.watched(ctx); err != nil {
		return err
	}
	if err := s.nodes(func(_ int, c *node.Config) { c.WaitReplicas = 1 }); err != nil {
		return err
	}
	if err := s.clients(ctx, nil); err != nil {
		return err
	}
	s.startLoad(ctx)
	if err := pause(ctx, s.scale.calm); err != nil {
		return err
	}
	killed := time.Now()
	old, err := s.sentinel.KillPrimary(ctx)
	if err != nil {
		return err
	}
	if _, err := s.sentinel.AwaitPrimary(ctx, old); err != nil {
		return err
	}
	promoted := time.Now()
	s.note("promoted after %s", round(promoted.Sub(killed)))
	v, err := s.finish(ctx)
	if err != nil {
		return err
	}
	s.none("disconnected clients", s.crowd.disconnections())
	s.judgeOutage(v, killed, promoted)
	return nil
}

// moveLimit is how soon a channel is subscribed at its new owner.
const moveLimit = 5 * time.Second

// slotsMove is row F4.
func slotsMove(ctx context.Context, s *stage) error {
	if err := s.clustered(ctx); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	names, err := s.movable(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	for _, name := range names {
		if err := s.move(ctx, rediscluster.Slot(name)); err != nil {
			return err
		}
	}
	moved := time.Now()
	s.note("%d slots moved within %s", len(names), round(moved.Sub(start)))
	v, err := s.finish(ctx)
	if err != nil {
		return err
	}
	s.none("disconnected clients", s.crowd.disconnections())
	s.inOrderOnce(v)
	if s.adapter != "sharded" {
		s.none("lost", len(v.Misses))
		return nil
	}
	s.none("local lost", v.LocalLost())
	s.none("lost before", len(v.Lost(time.Time{}, start.Add(-inFlight))))
	s.note("lost %d of %d due", len(v.Misses), v.Due)
	s.atMost("last lost sent", max(0, v.LastMiss().Sub(moved)), moveLimit)
	return nil
}

// movable returns the names whose slots are to move: the stream, or channels, up
// to four, that of the namespace among them.
func (s *stage) movable(ctx context.Context) ([]string, error) {
	const common = "socket.io#/#"
	if s.logged() {
		return []string{"socket.io"}, nil
	}
	if s.adapter == "pubsub" {
		return []string{common}, nil
	}
	client := s.place().Client()
	defer client.Close()
	var channels []string
	err := eachServer(ctx, client, func(ctx context.Context, one *goredis.Client) error {
		found, err := one.PubSubShardChannels(ctx, "*").Result()
		channels = append(channels, found...)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(channels)
	if !slices.Contains(channels, common) {
		return nil, fmt.Errorf("faults: nobody is subscribed to %s; there are %q", common, channels)
	}
	others := slices.DeleteFunc(slices.Compact(channels), func(name string) bool { return name == common })
	return append([]string{common}, others[:min(3, len(others))]...), nil
}

// move moves a slot to the next master.
func (s *stage) move(ctx context.Context, slot int) error {
	owner, err := s.cluster.Owner(ctx, slot)
	if err != nil {
		return err
	}
	masters, err := s.cluster.Masters(ctx)
	if err != nil {
		return err
	}
	next := masters[(slices.Index(masters, owner)+1)%len(masters)]
	return s.cluster.MoveSlot(ctx, slot, next)
}

// noticeLimit is how soon a node notices that it cannot reach Redis.
const noticeLimit = 10 * time.Second

// shortLog is the length of a stream that cannot hold what is written while a node
// is cut off.
const shortLog = 200

// nodeIsCutOff is row F5: the first node reaches Redis through a proxy, which
// swallows everything for a while.
func nodeIsCutOff(ctx context.Context, s *stage) error {
	if err := s.single(lasting...); err != nil {
		return err
	}
	if err := s.cutOff(ctx, 0); err != nil || !s.logged() {
		return err
	}
	s.note("and with a stream of %d entries", shortLog)
	again := newStage(s.adapter, s.scale, s.result)
	defer again.close()
	if err := again.single(lasting...); err != nil {
		return err
	}
	return again.cutOff(ctx, shortLog)
}

// cutOff cuts the first node off. The stream holds maxLen entries, or as many as by
// default.
func (s *stage) cutOff(ctx context.Context, maxLen int64) error {
	proxy, err := s.proxied(s.redis.Addr())
	if err != nil {
		return err
	}
	err = s.nodes(func(i int, c *node.Config) {
		c.StreamMaxLen = maxLen
		if i == 0 {
			c.Redis.Addrs = []string{proxy.Addr()}
		}
	})
	if err != nil {
		return err
	}
	if err := s.clients(ctx, nil); err != nil {
		return err
	}
	s.startLoad(ctx)
	if err := pause(ctx, s.scale.calm); err != nil {
		return err
	}
	cut := s.fleet.living()[0]
	from := time.Now()
	proxy.Hold(tcpproxy.Both)
	noticed, _ := within(ctx, s.scale.cut, func() bool {
		state, err := s.fleet.state(ctx, cut)
		return err == nil && state.Bus == "degraded"
	})
	s.atMost("noticed after", noticed, noticeLimit)
	if err := pause(ctx, max(0, s.scale.cut-time.Since(from))); err != nil {
		return err
	}
	healed := time.Now()
	if err := proxy.Resume(); err != nil {
		return err
	}
	v, err := s.finish(ctx)
	if err != nil {
		return err
	}
	s.none("disconnected clients", s.crowd.disconnections())
	if maxLen == 0 {
		s.judgeOutage(v, from, healed)
		return nil
	}
	state, err := s.fleet.state(ctx, cut)
	if err != nil {
		return err
	}
	s.holds(state.LogGaps == 1, "gaps noticed %d (1)", state.LogGaps)
	s.none("lost after it", len(v.Lost(healed.Add(backLimit), time.Now())))
	s.inOrderOnce(v)
	return nil
}
