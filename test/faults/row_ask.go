package main

import (
	"context"
	"fmt"
	"time"

	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/node"
)

// askLimit bounds the broadcast with acknowledgement.
const askLimit = 25 * time.Second

// askedNodeDies is row F12: the clients of one node do not acknowledge, and that
// node is killed while another waits for them.
func askedNodeDies(ctx context.Context, s *stage) error {
	if err := s.single(lasting...); err != nil {
		return err
	}
	if err := s.nodes(nil); err != nil {
		return err
	}
	if err := s.meet(ctx); err != nil { // a node that is not known is waited for by nobody
		return err
	}
	err := s.clients(ctx, func(i int, c *client.Config) { c.Silent = i%stageNodes == stageNodes-1 })
	if err != nil {
		return err
	}
	asking, victim := s.fleet.living()[0], s.fleet.living()[stageNodes-1]
	before, err := s.fleet.stillState(ctx, asking)
	if err != nil {
		return err
	}
	result := make(chan node.Asked, 1)
	failed := make(chan error, 1)
	start := time.Now()
	go func() { // the request ends with ctx
		var asked node.Asked
		failed <- s.fleet.order(ctx, asking, fmt.Sprintf("/ask?milliseconds=%d", askLimit.Milliseconds()), &asked)
		result <- asked
	}()
	if err := pause(ctx, s.scale.calm/2); err != nil {
		return err
	}
	killed := time.Now()
	s.fleet.kill(victim)
	if err := <-failed; err != nil {
		return err
	}
	asked := <-result
	s.judgeAsked(asked, start, killed)
	return s.judgeLeak(ctx, asking, before)
}

func (s *stage) judgeAsked(asked node.Asked, start, killed time.Time) {
	answering := s.scale.clients - s.scale.clients/stageNodes
	s.holds(asked.Error != "", "error %q", asked.Error)
	s.holds(asked.Answers == answering, "answers %d of %d", asked.Answers, answering)
	s.atMost("ended after the kill within", asked.Took-killed.Sub(start), s.scale.heartbeatTimeout+s.scale.late)
}

// leakLimit is how soon what a call had started is gone.
const leakLimit = 5 * time.Second

// judgeLeak waits until a node has no more goroutines than before, but for the
// connections of clients that came over from the dead node.
func (s *stage) judgeLeak(ctx context.Context, m *member, before node.State) error {
	after := before
	_, ok := within(ctx, leakLimit+joinLimit, func() bool {
		var err error
		after, err = s.fleet.stillState(ctx, m)
		return err == nil && after.Goroutines-int(after.Sessions) <= before.Goroutines-int(before.Sessions)
	})
	s.holds(ok, "goroutines besides sessions %d, before %d", after.Goroutines-int(after.Sessions), before.Goroutines-int(before.Sessions))
	return nil
}
