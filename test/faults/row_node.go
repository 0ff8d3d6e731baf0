package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/node"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// normalLimit is what a call to all nodes takes at most when nothing is wrong:
// far less than the timeout of a node that does not answer.
const normalLimit = time.Second

// quick is what a call takes at most that waited for nobody who is dead.
const quick = 100 * time.Millisecond

// latecomers connect just before their node is killed, so that some of their
// records have never been stored.
const latecomers = 20

// recordDelay is more than the time within which a change of rooms is in a record.
const recordDelay = 300 * time.Millisecond

// ownRoom is the name of a room that a client joins by request. Middlewares do not
// put it there again, so who has it after a return has it from the record.
func ownRoom(i int) string { return fmt.Sprintf("own%d", i) }

// nodeDies is row F6.
func nodeDies(ctx context.Context, s *stage) error {
	if err := s.single(lasting...); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	for i, c := range s.crowd.clients {
		if err := c.Call(ctx, "join", ownRoom(i), nil); err != nil {
			return err
		}
	}
	if !await(ctx, func() bool { return !s.logged() || s.haveOffsets() }) {
		return context.Cause(ctx)
	}
	if err := pause(ctx, recordDelay); err != nil {
		return err
	}
	victim := s.fleet.living()[0]
	late, err := s.latecomers(ctx, victim)
	defer late.disperse()
	if err != nil {
		return err
	}
	killed := time.Now()
	s.fleet.kill(victim)
	fetches := s.fetchWhile(ctx, killed.Add(s.scale.heartbeatTimeout+s.scale.after))
	took, ok := within(ctx, joinLimit, func() bool { return s.crowd.connected() == len(s.crowd.clients) })
	s.holds(ok, "all clients back after %s", round(took))
	v, err := s.finish(ctx, victim.config.Sender)
	if err != nil {
		return err
	}
	s.judgeFetches(fetches, killed)
	s.judgeSurvivors(v, killed)
	s.judgeReturns()
	return s.judgeRooms(ctx, late)
}

func (s *stage) haveOffsets() bool {
	return !slices.ContainsFunc(s.crowd.clients, func(c *client.Client) bool { return !c.HasOffset() })
}

// latecomers connects clients to the node that is about to die.
func (s *stage) latecomers(ctx context.Context, victim *member) (*crowd, error) {
	first := make([]bool, latecomers)
	return gather(ctx, s.fleet, latecomers, 0, false, func(i int, c *client.Config) {
		anywhere := c.Place
		c.Uncounted = true
		c.Place = func() (client.Place, bool) {
			if !first[i] {
				first[i] = true
				return victim.place(), true
			}
			return anywhere()
		}
	})
}

// fetch is a call to all nodes for their sockets.
type fetch struct {
	begun, ended time.Time
	err          string
}

// fetchWhile has every living node fetch all sockets again and again, and returns
// the calls when that time has come.
func (s *stage) fetchWhile(ctx context.Context, until time.Time) <-chan []fetch {
	all := make(chan []fetch, 1)
	var calling sync.WaitGroup
	var mu sync.Mutex
	var calls []fetch
	for _, m := range s.fleet.living() {
		calling.Go(func() {
			for time.Now().Before(until) && ctx.Err() == nil {
				var found node.Found
				one := fetch{begun: time.Now()}
				err := s.fleet.order(ctx, m, "/fetch?milliseconds=30000", &found)
				one.ended = time.Now()
				if one.err = found.Error; err != nil {
					one.err = err.Error()
				}
				mu.Lock()
				calls = append(calls, one)
				mu.Unlock()
				_ = pause(ctx, 20*time.Millisecond)
			}
		})
	}
	go func() { // calling ends with until, or with ctx
		calling.Wait()
		all <- calls
	}()
	return all
}

// judgeFetches adds how long calls took that had to wait for the dead node, and
// those after it was given up. Alone, a node waits for nobody.
func (s *stage) judgeFetches(fetches <-chan []fetch, killed time.Time) {
	calls := <-fetches
	if s.adapter == "memory" {
		return
	}
	evicted := killed.Add(s.scale.heartbeatTimeout + s.scale.late)
	var last, slowest time.Duration
	for _, one := range calls {
		took := one.ended.Sub(one.begun)
		switch {
		case !one.begun.Before(evicted):
			slowest = max(slowest, took)
		case took > quick:
			last = max(last, one.ended.Sub(killed))
		}
	}
	s.atMost("fetchSockets answered after the kill within", last, s.scale.heartbeatTimeout+s.scale.late)
	s.atMost("slowest afterwards", slowest, normalLimit)
}

// judgeSurvivors adds what was lost by clients whose node lived.
func (s *stage) judgeSurvivors(v *tally.Verdict, killed time.Time) {
	s.inOrderOnce(v)
	if s.logged() {
		s.none("lost", len(v.Misses))
		s.note("%d died with their sender", v.Unheard)
		return
	}
	s.none("lost before", len(v.Lost(time.Time{}, killed.Add(-time.Second))))
	s.none("lost afterwards", len(v.Lost(killed.Add(time.Second), time.Now())))
	s.note("lost around the kill %d of %d due", len(v.Misses), v.Due)
}

// judgeReturns adds how the dead node's clients came back.
func (s *stage) judgeReturns() {
	recovered, afresh, _ := s.crowd.returns()
	switch {
	case s.logged():
		s.holds(afresh == 0 && recovered > 0, "recovered %d, afresh %d", recovered, afresh)
	default:
		s.holds(recovered == 0 && afresh > 0, "back afresh %d", afresh)
	}
}

// judgeRooms compares the rooms of all who came back with how they did: all that
// they had, or nothing but what a fresh client has.
func (s *stage) judgeRooms(ctx context.Context, late *crowd) error {
	half := 0
	for i, c := range s.crowd.clients {
		ok, err := consistent(ctx, c, s.crowd.logs[i], ownRoom(i))
		if err != nil {
			return err
		}
		if !ok {
			half++
		}
	}
	recovered, afresh, _ := late.returns()
	s.note("of %d who had just come %d recovered, %d came back afresh", latecomers, recovered, afresh)
	s.none("half restored", half)
	return nil
}

// consistent says whether a client has its own room exactly if it was never away or
// has recovered.
func consistent(ctx context.Context, c *client.Client, l *tally.Log, own string) (bool, error) {
	var rooms []string
	if err := c.Call(ctx, "rooms", "", &rooms); err != nil {
		return false, err
	}
	sittings := l.Sittings()
	want := true
	for _, s := range sittings[1:] {
		want = want && s.Recovered
	}
	return slices.Contains(rooms, own) == want, nil
}
