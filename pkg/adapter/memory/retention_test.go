package memory_test

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func save(t testing.TB, l adapter.RecoveryLink, privateID string) {
	t.Helper()
	if err := l.Save(t.Context(), &adapter.Record{PrivateID: privateID, SocketID: "of " + privateID}); err != nil {
		t.Fatal(err)
	}
}

func wantRecord(t *testing.T, l adapter.RecoveryLink, privateID string, want error) {
	t.Helper()
	r, err := l.Find(t.Context(), privateID, l.Start())
	if !errors.Is(err, want) || (want == nil && r.SocketID != "of "+privateID) {
		t.Errorf("record %s: got %+v and %v, want error %v", privateID, r, err, want)
	}
}

func TestLog_EndsWithItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got journal
		link := joinLog(t, memory.New(), "/", "a", ample, got.deliver)
		for _, text := range []string{"0", "1", "2"} {
			publish(t, link, event(text))
			time.Sleep(20 * time.Second)
		}
		// One minute has gone by since the first.
		wantGap(t, link, link.Start())
		wantMissed(t, link, got.offsets[0], "1", "2") // its own broadcast is gone, nothing after it is
		time.Sleep(20 * time.Second)
		wantGap(t, link, got.offsets[0])
		wantMissed(t, link, got.offsets[1], "2")
		time.Sleep(time.Hour)
		wantGap(t, link, got.offsets[1])
		wantMissed(t, link, got.offsets[2])
		publish(t, link, event("3"))
		wantMissed(t, link, got.offsets[2], "3")
	})
}

func TestLog_IsKeptLongerThanRecordsByWhatGoesUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := ample
		late.Unnoticed = 45 * time.Second
		link := joinLog(t, memory.New(), "/", "a", late, nil)
		publish(t, link, event("lost"))
		time.Sleep(45 * time.Second) // until the client's silence is noticed
		save(t, link, "private")
		time.Sleep(59 * time.Second)
		wantRecord(t, link, "private", nil)
		wantMissed(t, link, link.Start(), "lost")
		time.Sleep(time.Second)
		wantGap(t, link, link.Start())
	})
}

func TestLog_EndsWithItsBytes(t *testing.T) {
	var got journal
	some := ample
	some.MaxLogBytes = 10_000
	link := joinLog(t, memory.New(), "/", "a", some, got.deliver)
	for i := range 100 {
		publish(t, link, event(fmt.Sprintf("%0500d", i)))
	}
	// Each takes 500 bytes and what Size counts for its structs and its offset.
	kept := 0
	for ; kept < 100; kept++ {
		if _, err := missed(t, link, got.offsets[99-kept]); err != nil {
			break
		}
	}
	if kept < 10 || kept > 10_000/500+1 {
		t.Errorf("the newest %d offsets are good", kept)
	}
	publish(t, link, event(fmt.Sprintf("%020000d", 0)))
	wantGap(t, link, got.offsets[99])
	wantMissed(t, link, got.offsets[100])
}

func TestRecord_IsTakenOnce(t *testing.T) {
	const attempts = 8
	link := joinLog(t, memory.New(), "/", "a", ample, nil)
	for i := range 100 {
		id := strconv.Itoa(i)
		save(t, link, id)
		var wins atomic.Int32
		var wg sync.WaitGroup
		for range attempts {
			wg.Go(func() {
				switch r, err := link.Take(t.Context(), &adapter.Record{PrivateID: id}); {
				case err == nil && r.PrivateID == id:
					wins.Add(1)
				case !errors.Is(err, adapter.ErrNoRecord):
					t.Errorf("got %v, want ErrNoRecord", err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Errorf("%d calls got the record, want one", wins.Load())
		}
		wantRecord(t, link, id, adapter.ErrNoRecord)
	}
}

func TestRecord_WrongOffsetAndFindLeaveIt(t *testing.T) {
	link := joinLog(t, memory.New(), "/", "a", ample, nil)
	save(t, link, "p")
	if _, err := link.Find(t.Context(), "p", "made up"); !errors.Is(err, adapter.ErrNoOffset) {
		t.Errorf("got %v, want ErrNoOffset", err)
	}
	wantRecord(t, link, "p", nil)
	wantRecord(t, link, "p", nil)
}

func TestRecord_ExpiresItsWindowAfterSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := joinLog(t, memory.New(), "/", "a", ample, nil)
		save(t, link, "p")
		time.Sleep(ample.Window - time.Nanosecond)
		wantRecord(t, link, "p", nil)
		time.Sleep(time.Nanosecond)
		wantRecord(t, link, "p", adapter.ErrNoRecord)
		if _, err := link.Take(t.Context(), &adapter.Record{PrivateID: "p"}); !errors.Is(err, adapter.ErrNoRecord) {
			t.Errorf("Take: got %v, want ErrNoRecord", err)
		}
	})
}

func TestRecord_BelongsToItsTopic(t *testing.T) {
	backend := memory.New()
	a, b := joinLog(t, backend, "/a", "node", ample, nil), joinLog(t, backend, "/b", "node", ample, nil)
	other := joinLog(t, backend, "/a", "other", ample, nil)
	save(t, a, "p")
	wantRecord(t, b, "p", adapter.ErrNoRecord)
	if _, err := b.Take(t.Context(), &adapter.Record{PrivateID: "p"}); !errors.Is(err, adapter.ErrNoRecord) {
		t.Errorf("got %v, want ErrNoRecord", err)
	}
	wantRecord(t, other, "p", nil)
}

func TestRecord_OldestOfANodeGoFirst(t *testing.T) {
	backend := memory.New()
	few := ample
	few.MaxRecords = 3
	a, b := joinLog(t, backend, "/a", "node", few, nil), joinLog(t, backend, "/b", "node", few, nil)
	other := joinLog(t, backend, "/a", "other", few, nil)
	save(t, other, "other")
	save(t, a, "1")
	save(t, b, "2")
	save(t, a, "3")
	save(t, a, "1") // the newest once more
	save(t, b, "4")
	wantRecord(t, b, "2", adapter.ErrNoRecord)
	wantRecord(t, a, "1", nil)
	wantRecord(t, a, "3", nil)
	wantRecord(t, b, "4", nil)
	wantRecord(t, a, "other", nil)
}

func TestRecord_TooLargeIsRefused(t *testing.T) {
	small := ample
	small.MaxRecordBytes = 1000
	link := joinLog(t, memory.New(), "/", "a", small, nil)
	err := link.Save(t.Context(), &adapter.Record{PrivateID: "p", Data: make([]byte, 1000)})
	if !errors.Is(err, adapter.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	wantRecord(t, link, "p", adapter.ErrNoRecord)
}

func TestRecord_IsACopy(t *testing.T) {
	link := joinLog(t, memory.New(), "/", "a", ample, nil)
	r := &adapter.Record{PrivateID: "p", SocketID: "of p"}
	if err := link.Save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.SocketID = "reused"
	found, err := link.Find(t.Context(), "p", link.Start())
	if err != nil {
		t.Fatal(err)
	}
	found.SocketID = "changed"
	wantRecord(t, link, "p", nil)
}

func TestJoinRecoverable_WhatIsKeptSurvivesTheLastClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		var got journal
		before := joinLog(t, backend, "/", "before", ample, got.deliver)
		publish(t, before, event("1"))
		publish(t, before, event("2"))
		save(t, before, "p")
		if err := before.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		after := joinLog(t, backend, "/", "after", ample, nil)
		wantMissed(t, after, got.offsets[0], "2")
		wantRecord(t, after, "p", nil)
		if after.Start() != got.offsets[1] {
			t.Errorf("Start is %s, want the log's end %s", after.Start(), got.offsets[1])
		}
		time.Sleep(30 * time.Second)
		wantGap(t, after, got.offsets[0])
		wantRecord(t, after, "p", adapter.ErrNoRecord)
	})
}

// measured runs f in a bubble: its timers, also the stopped ones, end with it, and
// what they refer to is not in the next measurement.
func measured(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// heap returns the live bytes.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestRecord_TenThousandCostWhatTheirSizesSay(t *testing.T) {
	const n = 10_000
	many := adapter.Retention{Window: time.Hour, MaxRecords: n, MaxRecordBytes: 1 << 16, MaxLogBytes: 1 << 30}
	for name, data := range map[string]int{"small": 10, "large": 4 << 10} {
		measured(t, name, func(t *testing.T) {
			link := joinLog(t, memory.New(), "/", "a", many, nil)
			size, before := int64(0), heap()
			for i := range 2 * n {
				r := &adapter.Record{PrivateID: fmt.Sprintf("%020d", i), SocketID: fmt.Sprintf("%020d", i), Data: make([]byte, data)}
				r.Rooms = []string{r.SocketID, "room"}
				if err := link.Save(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				size = int64(r.Size()) * n
			}
			taken := heap() - before
			t.Logf("%d bytes for records of %d", taken, size)
			if taken > size*5/4 || taken < size/2 {
				t.Errorf("%d bytes are taken, the sizes say %d", taken, size)
			}
			runtime.KeepAlive(link)
		})
	}
}

func TestLog_CostsWhatItsBytesSay(t *testing.T) {
	bounded := ample
	bounded.Window = time.Hour
	bounded.MaxLogBytes = 4 << 20
	for name, data := range map[string]int{"small": 20, "large": 4 << 10} {
		measured(t, name, func(t *testing.T) {
			link := joinLog(t, memory.New(), "/", "a", bounded, nil)
			before := heap()
			for range 20_000 {
				publish(t, link, event(string(make([]byte, data))))
			}
			taken := heap() - before
			t.Logf("%d bytes for a log of %d", taken, bounded.MaxLogBytes)
			if taken > bounded.MaxLogBytes*5/4 {
				t.Errorf("%d bytes are taken, the bound is %d", taken, bounded.MaxLogBytes)
			}
			runtime.KeepAlive(link)
		})
	}
}

func TestRetention_MemoryIsReleasedWithoutUse(t *testing.T) {
	backend := memory.New()
	before := heap()
	synctest.Test(t, func(t *testing.T) {
		link := joinLog(t, backend, "/busy", "a", ample, nil)
		deserted := joinLog(t, backend, "/deserted", "a", ample, nil)
		for i := range 5000 {
			publish(t, link, event(string(make([]byte, 1000))))
			publish(t, deserted, event(string(make([]byte, 1000))))
			if err := link.Save(t.Context(), &adapter.Record{PrivateID: strconv.Itoa(i), Data: make([]byte, 1000)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := deserted.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held := heap() - before; held < 10<<20 {
			t.Errorf("%d bytes are held, want 10 MB and more", held)
		}
		time.Sleep(ample.Window + 2*time.Second)
		if held := heap() - before; held > 1<<20 {
			t.Errorf("%d bytes are held after the window", held)
		}
	})
	runtime.KeepAlive(backend)
}
