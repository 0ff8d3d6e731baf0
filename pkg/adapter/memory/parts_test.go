package memory

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

func TestRing_IsASliceThatForgets(t *testing.T) {
	var r ring[*int]
	var want []*int
	grow := func(n int) {
		for range n {
			item := new(int)
			r.push(item)
			want = append(want, item)
		}
	}
	shrink := func(n int) {
		for range n {
			r.shift()
			want = want[1:]
		}
	}
	check := func() {
		t.Helper()
		held := 0
		for _, item := range r.items {
			if item != nil {
				held++
			}
		}
		if r.count != len(want) || held != len(want) || len(r.items) > max(minRing, 4*len(want)) {
			t.Fatalf("%d items, %d referred to, in %d places, want %d", r.count, held, len(r.items), len(want))
		}
		for i, item := range want {
			if *r.at(i) != item {
				t.Fatalf("item %d is another one", i)
			}
		}
	}
	for _, n := range []int{1, 15, 16, 17, 33, 100, 1000} {
		grow(n)
		check()
		for len(want) > n/3 {
			shrink(1)
			check()
		}
	}
	shrink(len(want))
	if r.items != nil {
		t.Errorf("an empty ring has %d places", len(r.items))
	}
}

func TestSweeper_FiresWhileSomethingIsLeftAndStopsWithTheLastLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fired []time.Duration
		began, left := time.Now(), 3
		s := sweeper{}
		s.sweep = func() (time.Duration, bool) {
			fired = append(fired, time.Since(began))
			left--
			return time.Minute, left > 0
		}
		s.wake(time.Minute) // nobody has joined
		s.enter()
		s.enter()
		s.wake(time.Hour)        // later than what it waits for already
		s.wake(30 * time.Second) // earlier
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []time.Duration{0, 30*time.Second + slack, 90*time.Second + 2*slack}
		if !slices.Equal(fired, want) {
			t.Errorf("swept at %v, want at %v", fired, want)
		}
		s.wake(time.Minute)
		s.leave()
		if s.at.IsZero() {
			t.Error("the timer is stopped although one link is left")
		}
		s.leave()
		if s.timer.Stop() {
			t.Error("the timer runs after the last link has left")
		}
	})
}

func TestLog_KeepsExactlyItsBytes(t *testing.T) {
	a := New()
	g := newBroadcastLog(a)
	m := func() *adapter.Message {
		return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{}}
	}
	first := m()
	g.retention = adapter.Retention{Window: time.Hour, MaxLogBytes: 1 << 20}
	g.keep(first)
	g.retention.MaxLogBytes = 2 * int64(first.Size())
	g.keep(m())
	if g.entries.count != 2 {
		t.Errorf("%d are kept, want the two that fit", g.entries.count)
	}
	g.keep(m())
	if g.entries.count != 2 || g.bytes != g.retention.MaxLogBytes {
		t.Errorf("%d are kept with %d bytes, want two with %d", g.entries.count, g.bytes, g.retention.MaxLogBytes)
	}
}

func TestAdapter_NothingIsLeftOfWhatIsOver(t *testing.T) {
	kept := adapter.Retention{Window: time.Minute, MaxRecords: 10, MaxRecordBytes: 1000, MaxLogBytes: 1 << 20}
	broadcast := &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{}}
	for name, use := range map[string]func(l adapter.RecoveryLink) error{
		"nothing":   func(adapter.RecoveryLink) error { return nil },
		"broadcast": func(l adapter.RecoveryLink) error { return l.Publish(context.Background(), broadcast) },
		"record": func(l adapter.RecoveryLink) error {
			return l.Save(context.Background(), &adapter.Record{PrivateID: "p"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := New()
				stays, err := a.JoinRecoverable(t.Context(), "/stays", "stays", kept, nil)
				if err != nil {
					t.Fatal(err)
				}
				goes, err := a.JoinRecoverable(t.Context(), "/goes", "goes", kept, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := use(goes); err != nil {
					t.Fatal(err)
				}
				if err := goes.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(kept.Window + 2*slack)
				synctest.Wait()
				if len(a.topics) != 1 || len(a.records.byLog) != 0 || len(a.records.byNode) != 0 {
					t.Errorf("%d topics, %d logs with records, %d nodes with records", len(a.topics), len(a.records.byLog), len(a.records.byNode))
				}
				if err := stays.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
