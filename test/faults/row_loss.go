package main

import (
	"context"
	"time"
)

// redisForgets is the part of row F1 in which Redis comes back without its data.
func redisForgets(ctx context.Context, s *stage) error {
	return s.lose(ctx, 1, func(context.Context) error {
		s.redis.Kill()
		return s.redis.Restart()
	})
}

// redisRollsBack is the part in which Redis comes back as it was a while before. The
// stream is the same one then.
func redisRollsBack(ctx context.Context, s *stage) error {
	return s.lose(ctx, 0, func(ctx context.Context) error {
		client := s.place().Client()
		defer client.Close()
		if err := client.Save(ctx).Err(); err != nil {
			return err
		}
		if err := pause(ctx, s.scale.outage); err != nil {
			return err
		}
		s.redis.Kill()
		return s.redis.Restart()
	})
}

// redisIsFlushed is the part in which somebody deletes everything.
func redisIsFlushed(ctx context.Context, s *stage) error {
	return s.lose(ctx, 1, func(ctx context.Context) error {
		client := s.place().Client()
		defer client.Close()
		return client.FlushAll(ctx).Err()
	})
}

// lose has a stream lose entries. What was in it may be lost with it; afterwards
// nothing is, nothing comes twice, and each node has noticed so many resets.
func (s *stage) lose(ctx context.Context, resets uint64, loss func(context.Context) error) error {
	if err := s.single(); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := loss(ctx); err != nil {
		return err
	}
	done := time.Now()
	v, err := s.finish(ctx)
	if err != nil {
		return err
	}
	states, err := s.states(ctx)
	if err != nil {
		return err
	}
	noticed := 0
	for _, state := range states {
		if state.LogResets == resets {
			noticed++
		}
	}
	s.holds(noticed == len(states), "%d resets noticed by %d of %d nodes", resets, noticed, len(states))
	s.none("disconnected clients", s.crowd.disconnections())
	s.note("lost with the stream %d of %d due", len(v.Misses), v.Due)
	s.atMost("last lost sent", max(0, v.LastMiss().Sub(done)), backLimit)
	s.inOrderOnce(v)
	return nil
}
