package router

import "time"

// windowSize is how many numbers a window remembers. So many passes of one node may be
// on their way at a time without one of them coming too late.
const windowSize = 1 << 16

// window knows which of a node's numbers were there. Numbers rise; they may arrive in
// another order, but none is good that is windowSize below the greatest one.
type window struct {
	greatest uint64
	used     time.Time
	seen     [windowSize / 64]uint64
}

// take says whether number is there for the first time.
func (w *window) take(number uint64, now time.Time) bool {
	w.used = now
	if number == 0 || number <= w.greatest && w.greatest-number >= windowSize {
		return false
	}
	if number > w.greatest {
		w.advance(number)
	}
	word, bit := w.place(number)
	first := *word&bit == 0
	*word |= bit
	return first
}

// advance makes number the greatest one; the places of those in between are free.
func (w *window) advance(number uint64) {
	if number-w.greatest >= windowSize {
		clear(w.seen[:])
	} else {
		for n := w.greatest + 1; n <= number; n++ {
			word, bit := w.place(n)
			*word &^= bit
		}
	}
	w.greatest = number
}

func (w *window) place(number uint64) (word *uint64, bit uint64) {
	i := number % windowSize
	return &w.seen[i/64], 1 << (i % 64)
}
