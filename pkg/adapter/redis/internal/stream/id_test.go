package stream

import (
	"math"
	"slices"
	"testing"
)

func TestCompare_IsTheOrderOfTheLog(t *testing.T) {
	sorted := []string{"", "0-0", "0-1", "0-10", "1-0", "9-9", "10-0", "1700000000000-0", "18446744073709551615-18446744073709551615"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := Compare(a, b); got != slices.Index([]int{-1, 0, 1}, sign(i-j))-1 {
				t.Errorf("Compare(%q, %q) = %d", a, b, got)
			}
		}
	}
}

func sign(n int) int { return min(max(n, -1), 1) }

func TestID_NextAndPreviousAreNeighbours(t *testing.T) {
	for _, i := range []id{{0, 0}, {0, 1}, {5, math.MaxUint64}, {7, 3}} {
		next := i.next()
		if !i.before(next) || next.previous() != i {
			t.Errorf("%v: next %v, its previous %v", i, next, next.previous())
		}
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"", "0-0", "1-2", "-1-2", "1-", "-", "01-1", "+1-1", "1-1-1", "18446744073709551616-0", "1 -1", "$", "\x00-0"} {
		f.Add(s, "1-1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		i, ok := parseID(a)
		if ok && i.String() != a {
			t.Errorf("%q is read as %v", a, i)
		}
		if Compare(a, b) != -Compare(b, a) || Compare(a, a) != 0 {
			t.Errorf("Compare(%q, %q) = %d, the other way round %d", a, b, Compare(a, b), Compare(b, a))
		}
		if Compare("", a) > 0 {
			t.Errorf("%q comes before nothing", a)
		}
	})
}
