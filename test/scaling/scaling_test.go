package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for.
const patience = time.Minute

// The figures of docs/scaling.md for a hundred nodes, whatever carries their messages: what
// they say of themselves, and what a room's message costs where nothing routes.
func TestHundredNodes_HeartbeatsAndBroadcastsAreThoseOfTheFormula(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, interval, intervals = 100, 5 * time.Second, 12
		bus := &counted{Adapter: memory.New()}
		nodes := make([]*node, n)
		for i := range nodes {
			nodes[i] = &node{}
			defer func() {
				if err := nodes[i].close(); err != nil {
					t.Error(err)
				}
			}()
			if err := nodes[i].start(t.Context(), bus, i, n); err != nil {
				t.Fatal(err)
			}
		}
		if err := meet(t.Context(), nodes, n); err != nil {
			t.Fatal(err)
		}
		time.Sleep(interval) // the nodes have greeted each other
		synctest.Wait()
		before := bus.heartbeats.Load()
		time.Sleep(intervals * interval)
		synctest.Wait()
		got, want := bus.heartbeats.Load()-before, int64(intervals*n*(n-1))
		t.Logf("%d nodes receive %d heartbeats per second", n, got/int64(intervals*interval/time.Second))
		if got != want {
			t.Errorf("%d heartbeats were received in %v, want %d", got, intervals*interval, want)
		}

		for i, m := range nodes {
			if err := m.publish(i, room(i, n)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got, want := bus.broadcasts.Load(), int64(n*(n-1)); got != want {
			t.Errorf("%d messages were received of %d broadcasts, want %d", got, n, want)
		}
		for i, m := range nodes {
			if got := m.guest.events.Load(); got != holders {
				t.Errorf("the guest of node %d got %d events, want %d", i, got, holders)
			}
		}
	})
}

// subscriptionsOf is what Redis keeps for a node whose client is in two rooms, however many
// nodes there are. By interest and sharded its rooms are among them.
var subscriptionsOf = map[string]float64{
	"pubsub": 7, "pubsub, by interest": 10, "sharded": 8, "sharded, by interest": 9, "streams": 7,
}

// Counted where Redis writes to the nodes.
func TestForms_ARoomsMessageReachesAsManyNodesAsTheFormulaSays(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			got, err := inOneProcess(ctx, f, redisserver.Start(t).Addr(), 16)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(got)
			if want := float64(f.reach(16, holders)); got.received != want {
				t.Errorf("%.2f nodes got a room's message, want %.0f", got.received, want)
			}
			if want := subscriptionsOf[f.name]; got.subscriptions != want {
				t.Errorf("Redis keeps %.2f subscriptions for each node, want %.0f", got.subscriptions, want)
			}
		})
	}
}
