package engine

import (
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
