package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/test/faults/node"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// primaryDies is row F3. With streams a replica is waited for, and there is still
// one when the other has been promoted.
func primaryDies(ctx context.Context, s *stage) error {
	_, promoted, v, err := s.failOver(ctx, 2, 1)
	if err != nil {
		return err
	}
	s.judgeOutage(v, promoted)
	return nil
}

// onlyReplicaIsPromoted is the part of row F3 in which there is one replica.
func onlyReplicaIsPromoted(ctx context.Context, s *stage) error {
	_, promoted, v, err := s.failOver(ctx, 1, 1)
	if err != nil {
		return err
	}
	s.judgeOutage(v, promoted)
	return nil
}

// primaryDiesUnwatched is the part of row F3 in which no replica is waited for:
// what the promoted one had not got yet is lost, and nothing else.
func primaryDiesUnwatched(ctx context.Context, s *stage) error {
	killed, promoted, v, err := s.failOver(ctx, 2, 0)
	if err != nil {
		return err
	}
	s.atMost("remote delivery back after", tally.Back(s.ledger.Accepted(), s.crowd.logs, promoted, time.Now()), backLimit)
	s.inOrderOnce(v)
	s.note("lost with the primary %d of %d due", len(v.Misses), v.Due)
	s.none("lost before", len(v.Lost(time.Time{}, killed.Add(-time.Second))))
	s.none("lost that was sent after the kill", len(v.Lost(killed, time.Now())))
	return nil
}

// failOver kills a primary under load and waits for the promotion of a replica.
// Streams wait for so many of the replicas.
func (s *stage) failOver(ctx context.Context, replicas, waitFor int) (killed, promoted time.Time, v *tally.Verdict, err error) {
	if err = s.watched(ctx, replicas); err != nil {
		return killed, promoted, nil, err
	}
	if err = s.nodes(func(_ int, c *node.Config) { c.WaitReplicas = waitFor }); err != nil {
		return killed, promoted, nil, err
	}
	if err = s.clients(ctx, nil); err != nil {
		return killed, promoted, nil, err
	}
	s.startLoad(ctx)
	if err = pause(ctx, s.scale.calm); err != nil {
		return killed, promoted, nil, err
	}
	s.arrive(ctx)
	killed = time.Now()
	old, err := s.sentinel.KillPrimary(ctx)
	if err != nil {
		return killed, promoted, nil, err
	}
	if _, err = s.sentinel.AwaitPrimary(ctx, old); err != nil {
		return killed, promoted, nil, err
	}
	promoted = time.Now()
	s.note("promoted after %s", round(promoted.Sub(killed)))
	if v, err = s.finish(ctx); err == nil {
		s.none("disconnected clients", s.crowd.disconnections())
	}
	return killed, promoted, v, err
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
	s.arrive(ctx)
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
	s.none("lost before", v.LostOf(s.before))
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
