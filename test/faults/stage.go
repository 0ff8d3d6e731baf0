package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/internal/testutil/redisproc"
	"github.com/roomcast/roomcast/internal/testutil/redissentinel"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/test/faults/node"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// stageNodes is how many nodes a row begins with.
const stageNodes = 3

// lasting are the options of a Redis that keeps what it has accepted.
var lasting = []string{"--appendonly", "yes", "--appendfsync", "always"}

// stage is one row for one adapter: its servers, nodes, clients and load, and the
// result to which it adds. Its methods are for one goroutine.
type stage struct {
	*result
	scale  scale
	fleet  *fleet
	ledger *tally.Ledger

	redis    *redisproc.Server
	cluster  *rediscluster.Cluster
	sentinel *redissentinel.Group
	crowd    *crowd
	load     *load
	before   []tally.Message // what had arrived before the fault
	closers  []func()
}

func newStage(adapter string, sc scale, r *result) *stage {
	return &stage{result: r, scale: sc, fleet: newFleet(), ledger: &tally.Ledger{}}
}

// close ends everything that the stage has started, clients first.
func (s *stage) close() {
	if s.load != nil {
		s.load.end()
	}
	if s.crowd != nil {
		s.crowd.disperse()
	}
	s.fleet.close()
	for _, closeOne := range s.closers {
		closeOne()
	}
}

// logged says whether the adapter keeps a log, from which clients recover.
func (s *stage) logged() bool { return s.adapter == "streams" }

// single starts one Redis. Memory has none.
func (s *stage) single(options ...string) error {
	if s.adapter == "memory" {
		return nil
	}
	var err error
	if s.redis, err = redisproc.Launch(redisproc.Options{Args: options}); err == nil {
		s.closers = append(s.closers, s.redis.Close)
	}
	return err
}

// clustered starts a Redis Cluster.
func (s *stage) clustered(ctx context.Context) error {
	var err error
	if s.cluster, err = rediscluster.Launch(ctx); err == nil {
		s.closers = append(s.closers, s.cluster.Close)
	}
	return err
}

// watched starts a Redis with replicas and sentinels.
func (s *stage) watched(ctx context.Context, replicas int) error {
	var err error
	if s.sentinel, err = redissentinel.Launch(ctx, replicas); err == nil {
		s.closers = append(s.closers, s.sentinel.Close)
	}
	return err
}

// proxied puts a proxy in front of a server.
func (s *stage) proxied(target string) (*tcpproxy.Proxy, error) {
	p, err := tcpproxy.Launch(target)
	if err == nil {
		s.closers = append(s.closers, p.Close)
	}
	return p, err
}

// place says where the nodes find Redis.
func (s *stage) place() node.Redis {
	switch {
	case s.cluster != nil:
		return node.Redis{Addrs: s.cluster.Addrs(), Cluster: true}
	case s.sentinel != nil:
		return node.Redis{Addrs: s.sentinel.Addrs(), Sentinel: redissentinel.MasterName}
	case s.redis != nil:
		return node.Redis{Addrs: []string{s.redis.Addr()}}
	default:
		return node.Redis{}
	}
}

// config is what all nodes of the stage have in common.
func (s *stage) config() node.Config {
	return node.Config{
		Adapter: s.adapter, Redis: s.place(), Recovery: s.logged(), InterestRouting: s.scale.interest && !s.logged(),
		Drain:             s.scale.drain,
		HeartbeatInterval: s.scale.heartbeat, HeartbeatTimeout: s.scale.heartbeatTimeout,
	}
}

// nodes starts the nodes. change may be nil.
func (s *stage) nodes(change func(i int, c *node.Config)) error {
	for i := range stageNodes {
		config := s.config()
		if change != nil {
			change(i, &config)
		}
		if _, err := s.fleet.start(config); err != nil {
			return err
		}
	}
	return nil
}

// meet waits until all nodes know each other.
func (s *stage) meet(ctx context.Context) error {
	_, ok := within(ctx, joinLimit, func() bool {
		states, err := s.states(ctx)
		return err == nil && !slices.ContainsFunc(states, func(one node.State) bool { return one.Others != len(states)-1 })
	})
	if !ok {
		return fmt.Errorf("faults: the nodes do not know each other")
	}
	return nil
}

// clients starts the clients and returns when all are connected.
func (s *stage) clients(ctx context.Context, changes config) error {
	var err error
	s.crowd, err = gather(ctx, s.fleet, s.scale.clients, s.scale.rooms, s.logged(), changes)
	return err
}

// begin starts nodes, clients and load, and lets the calm before the fault pass.
func (s *stage) begin(ctx context.Context) error {
	if err := s.nodes(nil); err != nil {
		return err
	}
	if err := s.clients(ctx, nil); err != nil {
		return err
	}
	s.startLoad(ctx)
	return pause(ctx, s.scale.calm)
}

// startLoad starts the load that most rows have.
func (s *stage) startLoad(ctx context.Context) {
	s.load = startLoad(ctx, s.fleet, s.ledger, s.scale.rate, s.scale.size, mixed(s.scale.rooms))
}

// arrive waits until all that was accepted so far has arrived, so that a fault which
// begins now cannot lose it.
func (s *stage) arrive(ctx context.Context) {
	s.before = s.ledger.Accepted()
	rules := s.rules()
	rules.Until = time.Now()
	within(ctx, quietLimit, func() bool { return len(tally.Judge(s.before, s.crowd.logs, rules).Misses) == 0 })
}

// finish lets the time after the fault pass, ends the load, waits until nothing
// arrives any more, and judges. Senders in dead have died.
func (s *stage) finish(ctx context.Context, dead ...int) (*tally.Verdict, error) {
	if err := pause(ctx, s.scale.after); err != nil {
		return nil, err
	}
	s.load.end()
	s.crowd.awaitQuiet(ctx)
	v := tally.Judge(s.ledger.Accepted(), s.crowd.logs, s.rules(), dead...)
	if v.Due == 0 {
		return nil, fmt.Errorf("faults: nothing was due to anybody")
	}
	return v, ctx.Err()
}

func (s *stage) rules() tally.Rules {
	return tally.Rules{
		From: s.load.begun, Until: s.load.ended,
		LocalOnly: s.adapter == "memory",
		// Channels of a Redis Cluster are in no order among each other.
		OrderPerSelection: s.adapter == "sharded" && s.cluster != nil,
		Leeway:            time.Second,
	}
}

// inOrderOnce adds the figures that hold in every row: nothing comes twice, and
// each sender's messages in their order.
func (s *stage) inOrderOnce(v *tally.Verdict) {
	s.none("duplicates", v.Duplicates)
	s.none("out of order", v.Reordered)
}

// states returns the states of all living nodes.
func (s *stage) states(ctx context.Context) ([]node.State, error) {
	var all []node.State
	for _, m := range s.fleet.living() {
		one, err := s.fleet.state(ctx, m)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// bus says whether all living nodes say that of their bus.
func (s *stage) bus(ctx context.Context, state string) bool {
	all, err := s.states(ctx)
	for _, one := range all {
		if one.Bus != state {
			return false
		}
	}
	return err == nil
}
