package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

// pass lets time go by in a bubble.
func pass(d time.Duration) { time.Sleep(d) }

// named joins n to "/" with a handler that answers later with the node's id, in three parts
// if the action is a call.
func named(t *testing.T, n *Node, answering *sync.WaitGroup) *Topic {
	t.Helper()
	return joinWith(t, n, "/", Handler{Request: func(r *adapter.Request, answer func(*adapter.Response)) {
		delay, call := rand.N(300*time.Millisecond), r.Action == adapter.ActionCall
		answering.Go(func() {
			if call {
				answer(&adapter.Response{Receivers: 1})
				pass(delay)
				answer(&adapter.Response{Answer: ack("1")})
			}
			pass(delay)
			answer(&adapter.Response{Rooms: []string{string(n.ID())}, Done: true})
		})
	}})
}

// TestAsk_IsTrueWhileMembersDie has nodes come, crash and leave while others ask. Of
// each call: those that live throughout have answered, who has answered is not named
// as missing, and nobody is waited for longer than the heartbeat allows.
func TestAsk_IsTrueWhileMembersDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		var askers, answering sync.WaitGroup
		var topics []*Topic
		var steady []string
		for range 3 {
			n := start(t, hub)
			named(t, n, &answering)
			steady = append(steady, string(n.ID()))
		}
		for range 4 {
			topics = append(topics, join(t, start(t, hub), "/", nil))
		}
		synctest.Wait()
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
		defer stop()
		var mu sync.Mutex
		ended := map[string]int{}
		for i, topic := range topics {
			for j := range 4 {
				action := []adapter.Action{adapter.ActionCall, adapter.ActionRooms}[(i+j)%2]
				askers.Go(func() {
					for ctx.Err() == nil {
						kind := isTrue(t, topic, action, steady)
						mu.Lock()
						ended[kind]++
						mu.Unlock()
						time.Sleep(rand.N(2 * time.Second))
					}
				})
			}
		}
		askers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				perish(t, hub, &answering, i)
			}
		})
		askers.Wait()
		answering.Wait()
		for _, topic := range topics {
			if n := topic.node.pendingCalls(); n != 0 {
				t.Errorf("%d calls are left", n)
			}
		}
		if ended["whole"] == 0 || ended["partial"] == 0 {
			t.Errorf("the calls ended as %v, want some of both", ended)
		}
	})
}

// perish starts a node that asks nobody and ends in one of three ways.
func perish(t *testing.T, hub *memory.Adapter, answering *sync.WaitGroup, way int) {
	b := newBus(hub)
	n := start(t, b)
	topic := named(t, n, answering)
	pass(rand.N(3 * time.Second))
	switch way % 3 {
	case 0:
		b.away.Store(true) // and is never heard of again
	case 1:
		closeNode(t, n)
	case 2:
		if err := topic.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.away.Store(true)
	}
}

// isTrue makes one call, checks it and says how it ended.
func isTrue(t *testing.T, topic *Topic, action adapter.Action, steady []string) string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began, over, running := time.Now(), false, false
	var got []string
	err := topic.Ask(ctx, &adapter.Request{Action: action}, func(r *adapter.Response) {
		if over || running {
			t.Error("receive was called after Ask, or twice at a time")
		}
		running = true
		got = append(got, r.Rooms...)
		running = false
	})
	over = true
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a call took %v", took)
	}
	for _, id := range steady {
		if !slices.Contains(got, id) {
			t.Errorf("%s lives and has not answered: %v", id, err)
		}
	}
	if err == nil {
		return "whole"
	}
	var partial *PartialError
	if !errors.As(err, &partial) || !errors.Is(err, ErrNodeLost) || len(partial.Missing) == 0 {
		t.Errorf("got %v, want nodes that were lost", err)
		return "wrong"
	}
	for _, id := range partial.Missing {
		if slices.Contains(got, string(id)) {
			t.Errorf("%s has answered and is named as missing", id)
		}
	}
	return "partial"
}

func TestAsk_IsSafeForConcurrentUse(t *testing.T) {
	hub := memory.New()
	census := counts(hub, 3)
	a, b := start(t, census), start(t, hub)
	topic := join(t, a, "/", nil)
	var answering sync.WaitGroup
	named(t, b, &answering)
	foreign, err := hub.Join(t.Context(), "/", "nodejs", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = foreign.Close(context.Background()) }()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				c, err := topic.Begin(ctx, &adapter.Request{Action: adapter.ActionRooms}, func(*adapter.Response) {})
				if err == nil {
					_ = foreign.Publish(ctx, &adapter.Message{To: a.ID(), Kind: adapter.KindResponse, Response: &adapter.Response{ID: c.id}})
					_ = c.Wait(ctx)
				}
				_ = topic.Tell(ctx, &adapter.Request{Action: adapter.ActionEvent})
				_, _ = topic.Count(ctx)
				other, err := b.Join(t.Context(), fmt.Sprintf("/%d", i), handle(nil))
				if err != nil {
					t.Error(err)
				} else if err := other.Close(t.Context()); err != nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	answering.Wait()
	if n := a.pendingCalls(); n != 0 {
		t.Errorf("%d calls are left", n)
	}
}
