package router

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestWindow_TakesEachNumberOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		w, taken := &window{}, map[uint64]bool{}
		greatest := uint64(0)
		for range 20_000 {
			var n uint64
			switch random.IntN(100) {
			case 0:
				n = greatest + random.Uint64N(3*windowSize)
			case 1:
				n = random.Uint64N(greatest + 2)
			default:
				n = greatest + 50 - min(greatest+50, random.Uint64N(100))
			}
			want := n > 0 && !taken[n] && n+windowSize > greatest
			if got := w.take(n, time.Time{}); got != want {
				t.Fatalf("take(%d) is %v with the greatest %d, want %v", n, got, greatest, want)
			}
			taken[n] = taken[n] || want
			if want {
				greatest = max(greatest, n)
			}
		}
	}
}

func TestWindow_BearsTheGreatestNumbers(t *testing.T) {
	w := &window{}
	for _, step := range []struct {
		number uint64
		want   bool
	}{{5, true}, {1<<64 - 1, true}, {1<<64 - 1, false}, {1<<64 - 2, true}, {5, false}, {0, false}} {
		if got := w.take(step.number, time.Time{}); got != step.want {
			t.Errorf("take(%d) is %v", step.number, got)
		}
	}
}
