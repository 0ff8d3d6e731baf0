package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func TestTopic_BroadcastsReachTheOthersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		var got []string
		mine := 0
		receiver := join(t, start(t, hub), "/", func(b *adapter.Broadcast) { got = append(got, b.Rooms[0]) })
		sender := join(t, start(t, hub), "/", func(*adapter.Broadcast) { mine++ })
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint(i))
			if err := sender.Broadcast(t.Context(), &adapter.Broadcast{Rooms: []string{fmt.Sprint(i)}}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if !slices.Equal(got, want) || mine != 0 {
			t.Errorf("got %q, want %q; the sender heard %d", got, want, mine)
		}
		if err := receiver.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTopic_OnlyBroadcastsAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		delivered := 0
		join(t, start(t, hub), "/", func(*adapter.Broadcast) { delivered++ })
		link, err := hub.Join(t.Context(), "/", "stranger", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []*adapter.Message{{Kind: adapter.KindBroadcast}, {Kind: adapter.KindHello}, {Kind: 99}} {
			if err := link.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if delivered != 0 {
			t.Errorf("deliver was called %d times", delivered)
		}
	})
}

func TestTopic_RoomsAreToldToAnObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(memory.New())
		n := start(t, b)
		topic := join(t, n, "/", nil)
		if got, want := b.told("/"), []string{n.TagSuffix()}; !slices.Equal(got, want) {
			t.Errorf("the link was told of suffixes %q, want %q", got, want)
		}
		if err := topic.RoomOccupied(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		topic.RoomEmpty("a")
		b.away.Store(true)
		if err := topic.RoomOccupied(t.Context(), "b"); !errors.Is(err, adapter.ErrDegraded) {
			t.Errorf("got %v, want adapter.ErrDegraded", err)
		}
		if want := []string{"+a", "-a", "+b"}; !slices.Equal(b.rooms, want) {
			t.Errorf("the link was told of rooms %q, want %q", b.rooms, want)
		}
	})
}

func TestTopic_CloseIsHarmlessTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := join(t, start(t, memory.New()), "/", nil)
		for range 2 {
			if err := topic.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := topic.Broadcast(t.Context(), &adapter.Broadcast{}); !errors.Is(err, adapter.ErrClosed) {
			t.Errorf("got %v, want adapter.ErrClosed", err)
		}
	})
}

func TestJoin_WithoutItsBackendTheTopicWorksLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		heard := 0
		join(t, start(t, hub), "/", func(*adapter.Broadcast) { heard++ })
		b := newBus(hub)
		b.away.Store(true)
		n := start(t, b)
		topic, err := n.Join(t.Context(), "/", handle(nil))
		if topic == nil || !errors.Is(err, adapter.ErrDegraded) {
			t.Fatalf("got %v, %v, want a topic and adapter.ErrDegraded", topic, err)
		}
		b.away.Store(false)
		if err := topic.Broadcast(t.Context(), &adapter.Broadcast{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if heard != 1 {
			t.Errorf("the other node heard %d broadcasts, want 1", heard)
		}
	})
}

func TestJoin_UnconfirmedInTimeIsDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(memory.New())
		n := start(t, b)
		b.slow.Store(true)
		began := time.Now()
		topic, err := n.Join(t.Context(), "/", handle(nil))
		if topic == nil || !errors.Is(err, adapter.ErrDegraded) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v, want a topic and adapter.ErrDegraded", topic, err)
		}
		if got := time.Since(began); got != time.Second {
			t.Errorf("Join took %v, want JoinTimeout", got)
		}
	})
}

func TestJoin_FailsWithTheAdaptersError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memory.New())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		topic, err := n.Join(ctx, "/", handle(nil))
		if topic != nil || !errors.Is(err, context.Canceled) || errors.Is(err, adapter.ErrDegraded) {
			t.Errorf("got %v, %v, want context.Canceled", topic, err)
		}
	})
}

func TestJoin_ClosedNodeKeepsNoLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		n := start(t, hub)
		closeNode(t, n)
		topic, err := n.Join(t.Context(), "/", handle(func(*adapter.Broadcast) { t.Error("a closed node heard something") }))
		if topic != nil || !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, %v, want ErrClosed", topic, err)
		}
		if err := join(t, start(t, hub), "/", nil).Broadcast(t.Context(), &adapter.Broadcast{}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNode_IsSafeForConcurrentUse(t *testing.T) {
	hub := memory.New()
	n, other := start(t, hub), start(t, newBus(hub))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				topic, err := n.Join(t.Context(), fmt.Sprintf("/%d", i), handle(nil))
				if err != nil {
					t.Errorf("Join: %v", err)
					return
				}
				peer, err := other.Join(t.Context(), fmt.Sprintf("/%d", j), handle(nil))
				if err != nil {
					t.Errorf("Join: %v", err)
					return
				}
				_ = topic.Broadcast(t.Context(), &adapter.Broadcast{})
				_ = peer.RoomOccupied(t.Context(), "a")
				other.take(drawTag(func(uint32) bool { return false }))
				_, _, _, _ = n.Members(), n.Tag(), other.TagSuffix(), n.Status()
				if err := errors.Join(topic.Close(t.Context()), peer.Close(t.Context())); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
