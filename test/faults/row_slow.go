package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// The fault and the bounds of row F10.
const (
	slowRoom       = 1000 // beyond those of the load
	slowRate       = 1000
	slowSize       = 1024
	slowBuffer     = 64 << 10
	queueBytes     = 4 << 20 // the server's MaxSendQueueBytes
	closeLimit     = 15 * time.Second
	slowMemory     = 8 << 20
	slowShare      = 1.2
	memoryInterval = 50 * time.Millisecond
)

// fillTime is how long the flood takes to fill the queue of a client that reads
// nothing. What its socket holds comes on top, and is not counted in its favour.
const fillTime = queueBytes * time.Second / (slowRate * slowSize)

// slowRun is what one run with a flooded client showed.
type slowRun struct {
	closedAfter time.Duration // 0 if it was not
	peak        int64
	p99         time.Duration
}

// clientNeverReads is row F10: runs in which the flooded client reads alternate
// with those in which it does not.
func clientNeverReads(ctx context.Context, s *stage) error {
	if err := s.single(); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	var reading, stalled []slowRun
	for range s.scale.runs {
		for _, stalls := range []bool{false, true} {
			run, err := s.flooded(ctx, stalls)
			if err != nil {
				return err
			}
			if stalls {
				stalled = append(stalled, run)
			} else {
				reading = append(reading, run)
			}
		}
	}
	if _, err := s.finish(ctx); err != nil {
		return err
	}
	s.none("other clients disconnected", s.crowd.disconnections())
	s.judgeSlow(reading, stalled)
	return nil
}

func (s *stage) judgeSlow(reading, stalled []slowRun) {
	latest, open := time.Duration(0), 0
	for _, run := range stalled {
		latest = max(latest, run.closedAfter)
		if run.closedAfter == 0 {
			open++
		}
	}
	s.none("left open", open)
	s.atMost("closed after its queue was full", max(0, latest-fillTime), closeLimit)
	peak := func(r slowRun) int64 { return r.peak }
	more := median(stalled, peak) - median(reading, peak)
	s.holds(more <= slowMemory, "memory %+.1f MiB (≤ 8 MiB)", float64(more)/(1<<20))
	p99 := func(r slowRun) time.Duration { return r.p99 }
	normal, slow := median(reading, p99), median(stalled, p99)
	s.holds(!s.scale.ratios || float64(slow) <= slowShare*float64(normal), "others' p99 %s, normally %s (≤ 1.2 ×)", round(slow), round(normal))
}

// median returns the middle of what is measured in the runs.
func median[T int64 | time.Duration](runs []slowRun, measure func(slowRun) T) T {
	values := make([]T, len(runs))
	for i, r := range runs {
		values[i] = measure(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// flooded connects one client more to the first node and floods its room.
func (s *stage) flooded(ctx context.Context, stalls bool) (slowRun, error) {
	at := s.fleet.living()[0]
	one, err := gather(ctx, s.fleet, 1, 0, false, func(_ int, c *client.Config) {
		c.Log.Room = slowRoom
		c.Uncounted, c.ReceiveBuffer = true, slowBuffer
		c.Place = func() (client.Place, bool) { return at.place(), true }
	})
	defer one.disperse()
	if err != nil {
		return slowRun{}, err
	}
	var settled bool
	if err := s.fleet.order(ctx, at, "/settle", &settled); err != nil {
		return slowRun{}, err
	}
	if stalls {
		one.clients[0].Stall()
	}
	return s.flood(ctx, at, stalls)
}

// flood floods the room and watches the node meanwhile.
func (s *stage) flood(ctx context.Context, at *member, stalls bool) (slowRun, error) {
	before, err := s.fleet.state(ctx, at)
	if err != nil {
		return slowRun{}, err
	}
	var run slowRun
	var flooding sync.WaitGroup
	var failed error
	start := time.Now()
	flooding.Go(func() {
		var sent int
		failed = s.fleet.order(ctx, at, fmt.Sprintf("/flood?selection=%d&rate=%d&size=%d&milliseconds=%d",
			slowRoom, slowRate, slowSize, s.scale.flood.Milliseconds()), &sent)
	})
	end := start.Add(s.scale.flood)
	latest := start.Add(fillTime + closeLimit)
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for now := start; now.Before(end) || stalls && run.closedAfter == 0 && now.Before(latest); now = time.Now() {
		<-tick.C
		bytes, err := at.memory()
		if err != nil {
			return run, err
		}
		run.peak = max(run.peak, bytes)
		state, err := s.fleet.state(ctx, at)
		if err != nil {
			return run, err
		}
		if stalls && run.closedAfter == 0 && state.Sessions < before.Sessions {
			run.closedAfter = time.Since(start)
		}
	}
	flooding.Wait()
	run.p99 = tally.Measure(s.ledger.Accepted(), s.crowd.logs, tally.Both, start, end).Quantile(0.99)
	return run, failed
}
