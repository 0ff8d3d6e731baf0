package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// counted is a load that makes some deliveries of each broadcast that should reach ten.
func counted(c *crowd, deliveries int) load {
	return load{members: 10, send: func(int) error {
		for range deliveries {
			c.deliver()
		}
		return nil
	}}
}

func TestPace_SendsAtItsRateAndCountsDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		begun := time.Now()
		sent, err := c.pace(t.Context(), counted(c, 10), 100, 2*time.Second)
		if err != nil || sent != 200 {
			t.Errorf("got %d broadcasts, %v, want 200", sent, err)
		}
		if took := time.Since(begun).Round(100 * time.Millisecond); took != 2*time.Second {
			t.Errorf("they took %v", took)
		}
	})
}

func TestPace_FailsWhenDeliveriesAreMissingOrTooMany(t *testing.T) {
	for name, deliveries := range map[string]int{"missing": 9, "too many": 11} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd()
				if _, err := c.pace(t.Context(), counted(c, deliveries), 100, time.Second); err == nil {
					t.Error("no error")
				}
			})
		})
	}
}

func TestSaturate_KeepsAWindowInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		c.deliver() // of a load before
		c.expected = 1
		requests := make(chan struct{}, 2*window)
		ctx, stop := context.WithCancel(t.Context())
		most := 0
		served := make(chan struct{})
		go func() { // a server that makes ten deliveries a second
			defer close(served)
			for {
				select {
				case <-ctx.Done():
					return
				case <-requests:
				}
				for range 10 {
					time.Sleep(100 * time.Millisecond)
					c.deliver()
				}
			}
		}()
		rate, err := c.saturate(ctx, load{members: 10, send: func(int) error {
			requests <- struct{}{}
			most = max(most, len(requests))
			return nil
		}}, 20*time.Second)
		stop()
		<-served
		if err != nil || rate < 9.5 || rate > 10.5 {
			t.Errorf("got %v per second, %v, want 10", rate, err)
		}
		if most > window {
			t.Errorf("%d broadcasts were in flight", most)
		}
	})
}

func TestAwait_FailsWhenAConnectionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		lost := errors.New("lost")
		c.lost <- lost
		if err := c.await(t.Context(), "deliveries", &c.delivered, 1); !errors.Is(err, lost) {
			t.Errorf("got %v", err)
		}
	})
}

// hearGreeting has the known ones of ten clients hear the i-th greeting.
func hearGreeting(c *crowd, i, known int) {
	for range min(10, known) {
		c.hear(int64(smallestEvent + i))
	}
}

func TestIntroduce_TriesUntilAllHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		tries := 0
		err := c.introduce(t.Context(), load{members: 10, send: func(i int) error {
			tries++
			hearGreeting(c, i, 4*tries)
			return nil
		}})
		if err != nil || tries != 3 || c.delivered.Load() != 0 {
			t.Errorf("%d tries, %v; %d deliveries of no load", tries, err, c.delivered.Load())
		}
	})
}

// What a try has sent may come while a later one is awaited, and after it.
func TestIntroduce_LateDeliveriesCountForNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		err := c.introduce(t.Context(), load{members: 10, send: func(i int) error {
			time.AfterFunc(700*time.Millisecond, func() { hearGreeting(c, i, 10) })
			return nil
		}})
		if err != nil {
			t.Error(err)
		}
		if sent, err := c.pace(t.Context(), counted(c, 10), 100, 2*time.Second); err != nil {
			t.Errorf("after %d broadcasts: %v", sent, err)
		}
	})
}

func TestIntroduce_FailsWhenDeliveriesAreTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		err := c.introduce(t.Context(), load{members: 10, send: func(i int) error {
			hearGreeting(c, i, 10)
			hearGreeting(c, i, 1)
			return nil
		}})
		if err == nil {
			t.Error("no error")
		}
	})
}
