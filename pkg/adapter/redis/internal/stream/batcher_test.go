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
	batcher[int]
	begun chan []int
	end   chan struct{}
}

func newTrips() *trips {
	s := &trips{begun: make(chan []int), end: make(chan struct{})}
	s.send = func(_ context.Context, calls []int) {
		s.begun <- calls
		<-s.end
	}
	return s
}

func TestBatcher_WhatComesMeanwhileSharesTheNextTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrips()
		var done atomic.Int32
		call := func(i int) {
			if err := s.do(t.Context(), i); err != nil {
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
		if got := int(done.Load()); got != len(want) || s.underWay {
			t.Errorf("%d calls are done, want %d; under way: %v", got, len(want), s.underWay)
		}
	})
}

func TestBatcher_WaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrips()
		go func() { _ = s.do(t.Context(), 0) }()
		<-s.begun
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		given := make(chan error)
		go func() { given <- s.do(ctx, 1) }()
		synctest.Wait()
		go func() { given <- s.do(t.Context(), 2) }()
		if err := <-given; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		s.end <- struct{}{}
		if got := <-s.begun; !slices.Equal(got, []int{2}) {
			t.Errorf("trip of %v, want the one who still waits", got)
		}
		s.end <- struct{}{}
		if err := <-given; err != nil {
			t.Error(err)
		}
	})
}

// Whoever gives up, at whatever time, takes nobody with it.
func TestBatcher_EachIsSentOnceOrFails(t *testing.T) {
	t.Parallel()
	var b batcher[int]
	const callers, rounds = 16, 500
	sent := make([]atomic.Int32, callers*rounds)
	var together atomic.Int32
	b.send = func(_ context.Context, calls []int) {
		if together.Add(1) != 1 {
			t.Error("two trips at a time")
		}
		for _, i := range calls {
			sent[i].Add(1)
		}
		together.Add(-1)
	}
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 0))
			for r := range rounds {
				i := c*rounds + r
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(30))*time.Microsecond)
				err := b.do(ctx, i)
				cancel()
				if got := sent[i].Load(); err == nil && got != 1 || err != nil && got != 0 {
					t.Errorf("call %d ended with %v and was sent %d times", i, err, got)
				}
			}
		})
	}
	all.Wait()
}
