package stream

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// trips is what a batcher has sent, one round trip after the other, each of which lasts
// until it is let go.
type trips struct {
	*batcher[int]
	begun chan []int
	end   chan struct{}
	ctx   context.Context // of the last one

	running sync.WaitGroup
}

func newTrips() *trips {
	s := &trips{begun: make(chan []int), end: make(chan struct{})}
	s.batcher = newBatcher(s.start, func(ctx context.Context, calls []int) {
		s.ctx = ctx
		s.begun <- calls
		<-s.end
	})
	return s
}

func (s *trips) start(f func()) error {
	s.running.Go(f)
	return nil
}

// call calls do in another goroutine, which is told what it returns.
func (s *trips) call(ctx context.Context, way string, call int) <-chan error {
	given := make(chan error, 1)
	s.running.Go(func() { given <- s.do(ctx, way, call) })
	synctest.Wait()
	return given
}

func TestBatcher_WhatComesMeanwhileSharesTheNextTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrips()
		var done atomic.Int32
		call := func(i int) {
			if err := s.do(t.Context(), "", i); err != nil {
				t.Error(err)
			}
			done.Add(1)
		}
		var want []int
		for i := range 2 + maxTogether { // each in its place
			go call(i)
			synctest.Wait()
			want = append(want, i)
			if i == 0 {
				if got := <-s.begun; !slices.Equal(got, want) {
					t.Fatalf("first trip of %v", got)
				}
			}
		}
		for _, trip := range [][]int{want[1 : 1+maxTogether], want[1+maxTogether:]} {
			before := trip[0]
			s.end <- struct{}{}
			if got := <-s.begun; !slices.Equal(got, trip) {
				t.Errorf("trip of %v, want %v", got, trip)
			}
			synctest.Wait()
			if got := int(done.Load()); got != before {
				t.Errorf("%d calls are done, want %d", got, before)
			}
		}
		s.end <- struct{}{}
		synctest.Wait()
		if got := int(done.Load()); got != len(want) || len(s.waiting) > 0 {
			t.Errorf("%d calls are done, want %d; under way: %v", got, len(want), s.waiting)
		}
	})
}

func TestBatcher_WaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrips()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := s.call(ctx, "", 0)
		<-s.begun
		second, third := s.call(ctx, "", 1), s.call(t.Context(), "", 2)
		for name, given := range map[string]<-chan error{"under way": first, "waiting": second} {
			if err := <-given; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want the context's error", name, err)
			}
		}
		s.end <- struct{}{}
		if got := <-s.begun; !slices.Equal(got, []int{2}) {
			t.Errorf("trip of %v, want the one who still waits", got)
		}
		s.end <- struct{}{}
		if err := <-third; err != nil {
			t.Error(err)
		}
	})
}

func TestBatcher_TripIsForAllOfItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrips()
		s.call(t.Context(), "", 0)
		<-s.begun
		var leave []context.CancelFunc
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.call(ctx, "", 1+i)
			leave = append(leave, cancel)
		}
		s.end <- struct{}{}
		<-s.begun
		for i, f := range leave {
			if synctest.Wait(); s.ctx.Err() != nil {
				t.Errorf("ended when %d of %d had given up", i, len(leave))
			}
			f()
		}
		if synctest.Wait(); s.ctx.Err() == nil {
			t.Error("goes on though nobody waits")
		}
		s.end <- struct{}{}
	})
}

func TestBatcher_WaysDoNotHoldUpEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrips()
		s.call(t.Context(), "hangs", 0)
		<-s.begun
		other := s.call(t.Context(), "works", 1)
		if got := <-s.begun; !slices.Equal(got, []int{1}) {
			t.Errorf("trip of %v", got)
		}
		s.end <- struct{}{}
		s.end <- struct{}{}
		if err := <-other; err != nil {
			t.Error(err)
		}
	})
}

func TestBatcher_RestsWhenNothingIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrips()
		<-s.rest()
		for i, way := range []string{"one", "other", "other"} {
			s.call(t.Context(), way, i)
			if i < 2 {
				<-s.begun
			}
		}
		resting := s.rest()
		for range 2 { // one way, and the first trip of the other, or both of that
			s.end <- struct{}{}
		}
		select {
		case <-s.begun:
		case <-resting:
			t.Error("rests with a trip under way")
		}
		s.end <- struct{}{}
		<-resting
	})
}

func TestBatcher_FailsWithStart(t *testing.T) {
	t.Parallel()
	closed := errors.New("closed")
	b := newBatcher(func(func()) error { return closed }, func(context.Context, []int) {})
	for range 2 {
		if err := b.do(t.Context(), "", 0); err != closed {
			t.Errorf("got %v", err)
		}
	}
}

// Whoever gives up, at whatever time, takes nobody with it.
func TestBatcher_EachIsSentAtMostOnce(t *testing.T) {
	t.Parallel()
	const callers, rounds = 16, 500
	sent := make([]atomic.Int32, callers*rounds)
	var together atomic.Int32
	var trips sync.WaitGroup
	start := func(f func()) error { trips.Go(f); return nil }
	b := newBatcher(start, func(_ context.Context, calls []int) {
		if together.Add(1) != 1 {
			t.Error("two trips at a time")
		}
		for _, i := range calls {
			sent[i].Add(1)
		}
		together.Add(-1)
	})
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 0))
			for r := range rounds {
				i := c*rounds + r
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(30))*time.Microsecond)
				err := b.do(ctx, "", i)
				cancel()
				if got := sent[i].Load(); err == nil && got != 1 {
					t.Errorf("call %d is done and was sent %d times", i, got)
				}
			}
		})
	}
	all.Wait()
	trips.Wait()
	for i := range sent {
		if got := sent[i].Load(); got > 1 {
			t.Errorf("call %d was sent %d times", i, got)
		}
	}
}
