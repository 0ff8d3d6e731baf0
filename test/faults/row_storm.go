package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/node"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// The bounds of row F9.
const (
	stormLimit     = 60 * time.Second
	handshakeLimit = 10 * time.Second
	residentLimit  = 500 * time.Millisecond
	memoryShare    = 0.15
)

// emptyRoom is a room that nobody is in.
const emptyRoom = 1001

// spareFiles are descriptors for everything but the storm's connections.
const spareFiles = 2000

// settleTime lets what is not in use any more be given up before memory is read.
const settleTime = 3 * time.Second

// clientsStorm is row F9: clients of one node come back at once to the two that are
// left, where others are already. The memory of these is compared with what they
// had when as many clients had come calmly.
func clientsStorm(ctx context.Context, s *stage) error {
	if err := s.single(lasting...); err != nil {
		return err
	}
	if err := s.nodes(nil); err != nil {
		return err
	}
	victim, left := s.fleet.living()[0], s.fleet.living()[1:]
	size := min(s.scale.storm, openFiles()-spareFiles)
	s.note("%d clients", size)
	if err := s.clients(ctx, func(i int, c *client.Config) { c.Place = preferring(s.fleet, left[i%2]) }); err != nil {
		return err
	}
	// Only rooms, which those who come back are not in: a message to ten thousand
	// clients a hundred times a second is another test.
	s.load = startLoad(ctx, s.fleet, s.ledger, s.scale.rate, s.scale.size, func() int { return rand.N(s.scale.rooms) })
	if err := s.fillLog(ctx, left[0]); err != nil {
		return err
	}
	before, err := s.calmMemory(ctx, size, left)
	if err != nil {
		return err
	}
	storm, err := gather(ctx, s.fleet, size, 0, s.logged(), s.paced(ctx, func(int) *member { return victim }))
	defer storm.disperse()
	if err != nil {
		return err
	}
	if err := s.announce(ctx, left[0], storm); err != nil {
		return err
	}
	if err := pause(ctx, recordDelay); err != nil {
		return err
	}
	return s.rage(ctx, storm, victim, left, before)
}

// rage kills the node and judges how its clients come back.
func (s *stage) rage(ctx context.Context, storm *crowd, victim *member, left []*member, before int64) error {
	reads, err := s.commands(ctx, "xrange")
	if err != nil {
		return err
	}
	killed := time.Now()
	s.fleet.kill(victim)
	if err := s.announce(ctx, left[0], nil); err != nil {
		return err
	}
	_, ok := within(ctx, 2*stormLimit, func() bool { return storm.connected() == len(storm.clients) })
	back := time.Now()
	took := back.Sub(killed)
	s.holds(ok && took <= stormLimit, "%d back after %s (≤ %s)", storm.connected(), round(took), round(stormLimit))
	v, err := s.finish(ctx, victim.config.Sender)
	if err != nil {
		return err
	}
	s.inOrderOnce(v)
	states, err := s.states(ctx)
	if err != nil {
		return err
	}
	s.judgeStorm(storm, states, killed, back)
	if s.logged() {
		again, err := s.commands(ctx, "xrange")
		if err != nil {
			return err
		}
		s.note("%.1f XRANGE per client", float64(again-reads)/float64(len(storm.clients)))
		returned := tally.Judge(s.ledger.Accepted(), storm.logs, s.rules(), victim.config.Sender)
		s.none("lost by them", len(returned.Misses))
		s.inOrderOnce(returned)
	}
	after, err := s.memory(ctx, left)
	if err != nil {
		return err
	}
	change := float64(after-before) / float64(before)
	s.holds(!s.scale.ratios || -memoryShare <= change && change <= memoryShare, "memory %+.0f %% of %d MiB (± 15 %%)", 100*change, before>>20)
	return nil
}

// judgeStorm adds what the clients that came back, and those that were there, saw.
func (s *stage) judgeStorm(storm *crowd, states []node.State, killed, back time.Time) {
	var times tally.Latencies
	for _, c := range storm.clients {
		all := c.Handshakes()
		times = append(times, all[min(1, len(all)):]...) // the first was before
	}
	slices.Sort(times)
	s.atMost("handshake p99", times.Quantile(0.99), handshakeLimit)
	recovered, afresh, refused := storm.returns()
	s.holds(!s.logged() || afresh == 0, "recovered %d, afresh %d, refused attempts %d", recovered, afresh, refused)
	if s.logged() && afresh > 0 {
		s.note("recoveries by their end %v", recoveries(states))
	}
	s.none("disconnected residents", s.crowd.disconnections())
	residents := tally.Measure(s.ledger.Accepted(), s.crowd.logs, tally.Both, killed, back)
	s.below("residents' p99", residents.Quantile(0.99), residentLimit)
}

// recoveries adds up what the nodes say of those who wanted to recover.
func recoveries(states []node.State) map[string]uint64 {
	sum := map[string]uint64{}
	for _, state := range states {
		for end, n := range state.Recoveries {
			sum[end] += n
		}
	}
	return sum
}

// fillLog lets the log become as long as it ever is: of a node that has run for a while the
// newest entries take some memory, which is not the storm's.
func (s *stage) fillLog(ctx context.Context, at *member) error {
	if !s.logged() || !s.scale.ratios {
		return nil
	}
	const rate, entries = 5000, 10_000 // the adapter's default
	var sent int
	return s.fleet.order(ctx, at, fmt.Sprintf("/flood?selection=%d&rate=%d&size=%d&milliseconds=%d",
		emptyRoom, rate, s.scale.size, 1000*entries/rate+100), &sent)
}

// calmMemory is the memory of the nodes while that many clients are connected that
// did not come all at once. They leave again, and not all at once either.
func (s *stage) calmMemory(ctx context.Context, n int, on []*member) (int64, error) {
	calm, err := gather(ctx, s.fleet, n, 0, false, s.paced(ctx, func(i int) *member { return on[i%len(on)] }))
	defer calm.disperse()
	if err != nil {
		return 0, err
	}
	bytes, err := s.memory(ctx, on)
	for _, c := range calm.clients { // as calmly as they came
		c.Leave()
		_ = pause(ctx, time.Millisecond) // what follows notices the end of ctx
	}
	return bytes, err
}

// paced lets clients of a crowd begin one after the other, each at its node.
func (s *stage) paced(ctx context.Context, on func(i int) *member) config {
	return func(i int, c *client.Config) {
		_ = pause(ctx, time.Millisecond) // gather notices the end of ctx
		c.Place = preferring(s.fleet, on(i))
	}
}

// preferring chooses m as long as it lives, then any.
func preferring(f *fleet, m *member) func() (client.Place, bool) {
	return func() (client.Place, bool) {
		chosen := m
		if !slices.Contains(f.living(), m) {
			chosen = f.random()
		}
		return chosen.place(), true // nodes are left in this row
	}
}

// memory adds up the memory of nodes that have nothing to do at the moment.
func (s *stage) memory(ctx context.Context, members []*member) (int64, error) {
	if err := pause(ctx, settleTime); err != nil {
		return 0, err
	}
	sum := int64(0)
	for _, m := range members {
		var done bool
		if err := s.fleet.order(ctx, m, "/settle", &done); err != nil {
			return 0, err
		}
		bytes, err := m.memory()
		if err != nil {
			return 0, err
		}
		sum += bytes
	}
	return sum, nil
}

// announce sends a message to everybody, and waits until each of the crowd has it.
// Who has received something can recover.
func (s *stage) announce(ctx context.Context, m *member, to *crowd) error {
	var sent node.Sent
	if err := s.fleet.order(ctx, m, fmt.Sprintf("/emit?selection=%d&size=%d", tally.Everybody, s.scale.size), &sent); err != nil {
		return err
	}
	if sent.Error != "" {
		return fmt.Errorf("faults: %s", sent.Error)
	}
	s.ledger.Accept(tally.Message{Sender: m.config.Sender, Number: sent.Number, Selection: tally.Everybody, Sent: sent.At})
	if to == nil || s.adapter == "memory" {
		return nil
	}
	_, ok := within(ctx, joinLimit, func() bool {
		return !slices.ContainsFunc(to.logs, func(l *tally.Log) bool { return l.Count() == 0 })
	})
	if !ok {
		return fmt.Errorf("faults: not everybody got the announcement")
	}
	return nil
}

// commands returns how often Redis has run a command.
func (s *stage) commands(ctx context.Context, name string) (int, error) {
	if s.redis == nil {
		return 0, nil
	}
	client := s.place().Client()
	defer client.Close()
	text, err := client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, fmt.Errorf("faults: %w", err)
	}
	calls := 0
	for line := range strings.Lines(text) {
		if values, ok := strings.CutPrefix(line, "cmdstat_"+name+":"); ok {
			_, err = fmt.Sscanf(values, "calls=%d", &calls)
		}
	}
	return calls, err
}

// openFiles returns how many descriptors a process may have.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return spareFiles
	}
	return int(min(limit.Cur, 1<<20))
}
