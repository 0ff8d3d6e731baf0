package engine

import (
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"
)

func TestReclaim_AfterManySessionsCameOrWent(t *testing.T) {
	for name, test := range map[string]struct {
		changes int
		open    int64
		want    int // times within an hour
	}{
		"too few":               {999, 10, 0},
		"a burst":               {1000, 1000, 1},
		"few of those open":     {12_499, 100_000, 0},
		"many of those open":    {12_500, 100_000, 1},
		"a burst that goes on":  {5000, 1000, 1},
		"everybody has gone":    {1000, 0, 1},
		"a second of a million": {20_000, 1_000_000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, begin := 0, time.Now()
				r := &reclaim{after: 30 * time.Second, done: func() {
					if got++; time.Since(begin) != 30*time.Second {
						t.Errorf("after %v", time.Since(begin))
					}
				}}
				for range test.changes {
					r.count(test.open)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if got != test.want {
					t.Errorf("%d times, want %d", got, test.want)
				}
				r.stop()
			})
		})
	}
}

func TestReclaim_AgainAndAgainUntilStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := 0
		r := &reclaim{after: time.Second, done: func() { got++ }}
		for range 3 {
			for range burst {
				r.count(0)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		for range burst {
			r.count(0)
		}
		r.stop()
		for range 2 * burst {
			r.count(0)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got != 3 {
			t.Errorf("%d times, want 3", got)
		}
	})
}

func TestReclaim_Off(t *testing.T) {
	r := &reclaim{after: -1}
	for range 2 * burst {
		r.count(0)
	}
	if r.timer != nil {
		t.Error("a timer is set")
	}
	r.stop()
}

// held returns the bytes of the heap that the system has given and not got back.
func held() (bytes uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	for _, s := range samples {
		bytes += s.Value.Uint64()
	}
	return bytes
}

func TestReclaim_MemoryOfABurstGoesBackToTheSystem(t *testing.T) {
	const size = 64 << 10
	debug.FreeOSMemory() // what other tests have left
	before := held()
	sessions := make([][]byte, burst)
	for i := range sessions {
		sessions[i] = make([]byte, size)
	}
	if peak := held(); peak < before+burst*size/2 {
		t.Fatalf("a burst made of %d bytes %d", before, peak)
	}
	clear(sessions)
	ended := make(chan struct{})
	r := &reclaim{after: time.Millisecond, done: func() { close(ended) }}
	for range sessions {
		r.count(burst)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("nothing was given back")
	}
	r.stop()
	if after := held(); after > before+burst*size/8 {
		t.Errorf("%d bytes before a burst of %d, and %d when its memory should have gone back", before, burst*size, after)
	}
}
