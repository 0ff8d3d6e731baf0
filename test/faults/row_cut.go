package main

import (
	"context"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/test/faults/node"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// noticeLimit is how soon a node notices that it cannot reach Redis.
const noticeLimit = 10 * time.Second

// shortLog is the length of a stream that cannot hold what is written while a node
// is cut off.
const shortLog = 200

// nodeIsCutOff is row F5.
func nodeIsCutOff(ctx context.Context, s *stage) error {
	outage, err := s.cutOff(ctx, 0)
	if err == nil {
		s.judgeOutage(outage.verdict, outage.healed)
	}
	return err
}

// nodeMissesTheLog is the part of row F5 in which the stream is trimmed before the
// node has read it.
func nodeMissesTheLog(ctx context.Context, s *stage) error {
	outage, err := s.cutOff(ctx, shortLog)
	if err != nil {
		return err
	}
	state, err := s.fleet.state(ctx, outage.node)
	if err != nil {
		return err
	}
	v := outage.verdict
	s.holds(state.LogGaps == 1, "gaps noticed %d (1)", state.LogGaps)
	s.note("lost %d of %d due", len(v.Misses), v.Due)
	s.atMost("last lost sent", max(0, v.LastMiss().Sub(outage.healed)), backLimit)
	s.inOrderOnce(v)
	return nil
}

// outage is what happened to the node that was cut off.
type outage struct {
	node         *member
	from, healed time.Time
	verdict      *tally.Verdict
}

// cutOff lets the first node reach Redis through a proxy, which swallows everything
// for a while, and then lets through what it holds, as a network does that sends
// again. The stream holds maxLen entries, or as many as by default.
func (s *stage) cutOff(ctx context.Context, maxLen int64) (*outage, error) {
	proxy, err := s.behindProxy(ctx, maxLen)
	if err != nil {
		return nil, err
	}
	s.startLoad(ctx)
	if err := pause(ctx, s.scale.calm); err != nil {
		return nil, err
	}
	s.arrive(ctx)
	o := &outage{node: s.fleet.living()[0], from: time.Now()}
	proxy.Hold(tcpproxy.Both)
	noticed, _ := within(ctx, s.scale.cut, func() bool {
		state, err := s.fleet.state(ctx, o.node)
		return err == nil && state.Bus == "degraded"
	})
	s.atMost("noticed after", noticed, noticeLimit)
	if err := pause(ctx, max(0, s.scale.cut-time.Since(o.from))); err != nil {
		return nil, err
	}
	o.healed = time.Now()
	if err := proxy.Resume(); err != nil {
		return nil, err
	}
	if o.verdict, err = s.finish(ctx); err != nil {
		return nil, err
	}
	s.none("disconnected clients", s.crowd.disconnections())
	return o, nil
}

// behindProxy starts everything, with a proxy between the first node and Redis.
func (s *stage) behindProxy(ctx context.Context, maxLen int64) (*tcpproxy.Proxy, error) {
	if err := s.single(lasting...); err != nil {
		return nil, err
	}
	proxy, err := s.proxied(s.redis.Addr())
	if err != nil {
		return nil, err
	}
	err = s.nodes(func(i int, c *node.Config) {
		c.StreamMaxLen = maxLen
		if i == 0 {
			c.Redis.Addrs = []string{proxy.Addr()}
		}
	})
	if err != nil {
		return nil, err
	}
	return proxy, s.clients(ctx, nil)
}
