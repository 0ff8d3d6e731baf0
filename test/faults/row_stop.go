package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/roomcast/roomcast/test/faults/node"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// The bounds of rows F7 and F8.
const (
	// stopExtra is how much longer than its drain a node may take to stop.
	stopExtra = 5 * time.Second
	// refusedLimit is how soon a node that is told to stop takes nobody any more.
	refusedLimit = time.Second
	// awayLimit is how long a client may be without a node.
	awayLimit = 3 * time.Second
	// knownLimit is what a call takes at most that does not wait for a node that has
	// left; less than any heartbeat's timeout.
	knownLimit = 500 * time.Millisecond
)

// nodeIsStopped is row F7.
func nodeIsStopped(ctx context.Context, s *stage) error {
	if err := s.single(lasting...); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if !await(ctx, func() bool { return !s.logged() || s.haveOffsets() }) {
		return context.Cause(ctx)
	}
	victim := s.fleet.living()[0]
	defer victim.process.Kill()
	told := time.Now()
	s.fleet.tell(victim)
	if err := s.judgeRefusal(ctx, victim, told); err != nil {
		return err
	}
	if err := s.judgeExit(ctx, victim, told); err != nil {
		return err
	}
	if err := s.judgeRegistry(ctx); err != nil {
		return err
	}
	took, ok := within(ctx, joinLimit, func() bool { return s.crowd.connected() == len(s.crowd.clients) })
	s.holds(ok, "all clients back after another %s", round(took))
	v, err := s.finish(ctx)
	if err != nil {
		return err
	}
	s.judgeSchedule(victim.config.Sender, told)
	s.judgeDeploy(v)
	return nil
}

// nodesAreReplaced is row F8: each node in turn is stopped, and another one started when
// it has ended.
func nodesAreReplaced(ctx context.Context, s *stage) error {
	if err := s.single(lasting...); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if !await(ctx, func() bool { return !s.logged() || s.haveOffsets() }) {
		return context.Cause(ctx)
	}
	for _, old := range s.fleet.living() {
		defer old.process.Kill()
		told := time.Now()
		s.fleet.tell(old)
		if err := s.judgeExit(ctx, old, told); err != nil {
			return err
		}
		if _, err := s.fleet.start(s.config()); err != nil {
			return err
		}
		if err := pause(ctx, s.scale.calm); err != nil {
			return err
		}
	}
	_, ok := within(ctx, joinLimit, func() bool { return s.crowd.connected() == len(s.crowd.clients) })
	s.holds(ok, "%d of %d clients connected", s.crowd.connected(), len(s.crowd.clients))
	v, err := s.finish(ctx)
	if err != nil {
		return err
	}
	most := mostAway(s.crowd.logs)
	s.holds(most < len(s.crowd.logs)/stageNodes, "%d of %d clients away at the same time", most, len(s.crowd.logs))
	s.judgeDeploy(v)
	return nil
}

// judgeRefusal adds how soon the node refuses sessions and says that it is not ready.
func (s *stage) judgeRefusal(ctx context.Context, m *member, told time.Time) error {
	for _, one := range []struct{ what, url string }{
		{"not ready", "http://" + m.at.Admin + "/readyz"},
		{"refuses sessions", "http://" + m.at.Web + "/socket.io/?EIO=4&transport=polling"},
	} {
		var err error
		ok := await(ctx, func() bool {
			var status int
			status, err = s.fleet.status(ctx, one.url)
			return err != nil || status == http.StatusServiceUnavailable
		})
		if !ok || err != nil {
			return fmt.Errorf("faults: a node that is told to stop: %w", err)
		}
		s.atMost(one.what+" after", time.Since(told), refusedLimit)
	}
	return nil
}

// status asks for a page and returns the status of the answer.
func (f *fleet) status(ctx context.Context, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("faults: %w", err)
	}
	response, err := f.web.Do(request)
	if err != nil {
		return 0, fmt.Errorf("faults: %w", err)
	}
	return response.StatusCode, response.Body.Close()
}

// judgeExit waits for the node's end, and adds how long that took. It fails when the node
// has left anything behind.
func (s *stage) judgeExit(ctx context.Context, m *member, told time.Time) error {
	if err := m.stopped(ctx, s.scale.drain+2*stopExtra); err != nil {
		return err
	}
	s.atMost("exit 0 after", time.Since(told), s.scale.drain+stopExtra)
	return nil
}

// judgeRegistry adds how long calls take that would wait for the node if it were known.
func (s *stage) judgeRegistry(ctx context.Context) error {
	if s.adapter == "memory" {
		return nil
	}
	var slowest time.Duration
	for _, m := range s.fleet.living() {
		var found node.Found
		begun := time.Now()
		if err := s.fleet.order(ctx, m, "/fetch?milliseconds=30000", &found); err != nil {
			return err
		}
		slowest = max(slowest, time.Since(begun))
		s.holds(found.Error == "", "node %d finds %d sockets %s", m.config.Sender, found.Sockets, found.Error)
	}
	s.atMost("fetchSockets afterwards", slowest, knownLimit)
	return nil
}

// judgeSchedule adds when the node's clients were let go, roughly: a quarter of them in
// each quarter of the window.
func (s *stage) judgeSchedule(sender int, told time.Time) {
	var quarters [4]int
	all, late := 0, 0
	for _, l := range s.crowd.logs {
		for _, at := range l.Sittings() {
			if at.Node != sender || at.To.IsZero() {
				continue
			}
			all++
			passed := at.To.Sub(told)
			if passed > s.scale.drain+refusedLimit {
				late++
			}
			quarters[min(3, int(4*passed/s.scale.drain))]++
		}
	}
	s.holds(all > 0 && late == 0, "%d clients let go, %d of them late", all, late)
	// The clock of the window is the node's, which began a moment later.
	even := !slices.ContainsFunc(quarters[:], func(n int) bool { return n < all/8 || n > all/2 })
	s.holds(even, "in the quarters of the window %v", quarters)
}

// judgeDeploy adds what clients saw of a deploy.
func (s *stage) judgeDeploy(v *tally.Verdict) {
	s.atMost("longest away", longestAway(s.crowd.logs), awayLimit)
	s.inOrderOnce(v)
	s.none("lost", len(v.Misses))
	recovered, afresh, _ := s.crowd.returns()
	if s.logged() {
		s.holds(afresh == 0 && recovered > 0, "recovered %d, afresh %d", recovered, afresh)
		return
	}
	s.holds(recovered == 0 && afresh > 0, "back afresh %d", afresh)
}

// longestAway returns the longest time that a client was between two nodes.
func longestAway(logs []*tally.Log) time.Duration {
	longest := time.Duration(0)
	for _, l := range logs {
		sittings := l.Sittings()
		for i := 1; i < len(sittings); i++ {
			longest = max(longest, sittings[i].From.Sub(sittings[i-1].To))
		}
	}
	return longest
}

// mostAway returns how many clients were between two nodes at the same time.
func mostAway(logs []*tally.Log) int {
	type step struct {
		at    time.Time
		delta int
	}
	var steps []step
	for _, l := range logs {
		sittings := l.Sittings()
		for i := 1; i < len(sittings); i++ {
			steps = append(steps, step{sittings[i-1].To, 1}, step{sittings[i].From, -1})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
	away, most := 0, 0
	for _, s := range steps {
		away += s.delta
		most = max(most, away)
	}
	return most
}
