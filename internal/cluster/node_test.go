package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func TestStart_NodesKnowEachOtherAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		a, b, c := start(t, hub), start(t, hub), start(t, hub)
		synctest.Wait()
		for n, want := range map[*Node][]adapter.NodeID{a: {b.ID(), c.ID()}, b: {a.ID(), c.ID()}, c: {a.ID(), b.ID()}} {
			if got := ids(n.Members()); !slices.Equal(got, want) {
				t.Errorf("%s knows %q, want %q", n.ID(), got, want)
			}
		}
		if got := a.Members()[0]; got.Tag != b.Tag() || !got.LastSeen.Equal(time.Now()) {
			t.Errorf("got tag %d, seen %v, want %d now", got.Tag, got.LastSeen, b.Tag())
		}
	})
}

func TestStart_OptionsAreValidated(t *testing.T) {
	for name, o := range map[string]Options{
		"negative interval":                {HeartbeatInterval: -1},
		"negative timeout":                 {HeartbeatTimeout: -1},
		"negative join timeout":            {JoinTimeout: -1},
		"negative request timeout":         {RequestTimeout: -1},
		"timeout not beyond the interval":  {HeartbeatInterval: 2 * time.Second, HeartbeatTimeout: 2 * time.Second},
		"timeout below default's interval": {HeartbeatTimeout: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if n, err := Start(t.Context(), o); err == nil || n != nil {
				t.Errorf("got %v, %v, want an error", n, err)
			}
		})
	}
}

func TestStart_FailsWithTheAdaptersError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := Start(ctx, Options{Adapter: memory.New()}); !errors.Is(err, context.Canceled) || n != nil {
		t.Errorf("got %v, %v, want context.Canceled", n, err)
	}
}

func TestStart_WithoutAdapterIsAClusterOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, nil)
		topic := join(t, n, "/", nil)
		if err := topic.Broadcast(t.Context(), &adapter.Broadcast{}); err != nil {
			t.Errorf("Broadcast: %v", err)
		}
		if err := topic.RoomOccupied(t.Context(), "a"); err != nil {
			t.Errorf("RoomOccupied: %v", err)
		}
		topic.RoomEmpty("a")
		time.Sleep(time.Minute)
		if got := n.Members(); len(got) != 0 {
			t.Errorf("got members %v, want none", got)
		}
		if got := n.Status().State; got != adapter.Up {
			t.Errorf("got state %v, want up", got)
		}
	})
}

func TestClose_OthersDropTheNodeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		a, b := start(t, hub), start(t, hub)
		synctest.Wait()
		closeNode(t, b)
		synctest.Wait()
		if got := a.Members(); len(got) != 0 {
			t.Errorf("got members %v, want none", got)
		}
	})
}

func TestClose_SaysGoodbyeOnceAndLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		w := watch(t, hub, "witness")
		n := start(t, hub)
		join(t, n, "/", nil)
		closeNode(t, n)
		closeNode(t, n)
		time.Sleep(time.Minute)
		heard := w.take()
		var goodbyes int
		for _, m := range heard {
			if m.Kind == adapter.KindGoodbye {
				goodbyes++
			}
		}
		if goodbyes != 1 || heard[len(heard)-1].Kind != adapter.KindGoodbye {
			t.Errorf("heard %d goodbyes, the last message is of kind %d", goodbyes, heard[len(heard)-1].Kind)
		}
	})
}

func TestClose_ClosesTopicsAndWaitsForDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		a, b := start(t, hub), start(t, hub)
		open := make(chan struct{})
		topic := join(t, a, "/", func(*adapter.Broadcast) { <-open })
		if err := join(t, b, "/", nil).Broadcast(t.Context(), &adapter.Broadcast{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close while deliver runs: got %v, want context.DeadlineExceeded", err)
		}
		if err := topic.Broadcast(t.Context(), &adapter.Broadcast{}); !errors.Is(err, adapter.ErrClosed) {
			t.Errorf("Broadcast after Close: got %v, want adapter.ErrClosed", err)
		}
		close(open)
	})
}

func TestStatus_IsTheAdapters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(memory.New())
		n := start(t, b)
		b.away.Store(true)
		if got := n.Status().State; got != adapter.Degraded {
			t.Errorf("got %v, want degraded", got)
		}
		b.away.Store(false)
		if got := n.Status().State; got != adapter.Up {
			t.Errorf("got %v, want up", got)
		}
	})
}

func TestStart_WithoutItsBackendGreetsWhenItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		w := watch(t, hub, "witness")
		b := newBus(hub)
		b.away.Store(true)
		n := start(t, b)
		time.Sleep(7 * time.Second)
		if got := w.take(); len(got) != 0 {
			t.Fatalf("heard %v from a node that is away", got)
		}
		b.away.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := w.take(); len(got) != 1 || got[0].Kind != adapter.KindHello || got[0].From != n.ID() {
			t.Errorf("within a second heard %v, want one hello", got)
		}
	})
}

func TestOptions_TimeoutFollowsALongInterval(t *testing.T) {
	o, err := Options{HeartbeatInterval: time.Minute, Logger: slog.Default()}.withDefaults()
	if err != nil || o.HeartbeatTimeout != 2*time.Minute {
		t.Errorf("got %v, %v, want two minutes", o.HeartbeatTimeout, err)
	}
}
