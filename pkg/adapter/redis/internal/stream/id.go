package stream

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

// id is the place of an entry: the milliseconds of its writing by the clock of
// Redis, and a number among those of the same millisecond. The zero id comes before
// all entries.
type id struct{ ms, seq uint64 }

// maxID comes behind all entries.
var maxID = id{math.MaxUint64, math.MaxUint64}

// parseID reads "<ms>-<seq>" and nothing else.
func parseID(s string) (id, bool) {
	ms, seq, ok := strings.Cut(s, "-")
	if !ok {
		return id{}, false
	}
	m, ok := parseNumber(ms)
	if !ok {
		return id{}, false
	}
	n, ok := parseNumber(seq)
	return id{m, n}, ok
}

// parseNumber reads decimal digits in the one form that Redis gives them. strconv would
// allow a sign, and zeros before.
func parseNumber(s string) (uint64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// String returns the form that Redis gives.
func (i id) String() string {
	b := make([]byte, 0, 24)
	b = strconv.AppendUint(b, i.ms, 10)
	b = append(b, '-')
	return string(strconv.AppendUint(b, i.seq, 10))
}

func (i id) compare(j id) int {
	return cmp.Or(cmp.Compare(i.ms, j.ms), cmp.Compare(i.seq, j.seq))
}

func (i id) before(j id) bool { return i.compare(j) < 0 }

// previous returns the id right before i, which is not zero.
func (i id) previous() id {
	if i.seq > 0 {
		return id{i.ms, i.seq - 1}
	}
	return id{i.ms - 1, math.MaxUint64}
}

// next returns the id right behind i.
func (i id) next() id {
	if i.seq < math.MaxUint64 {
		return id{i.ms, i.seq + 1}
	}
	return id{i.ms + 1, 0}
}

// less returns the id of an entry that is older than i by d.
func (i id) less(d time.Duration) id {
	if ms := uint64(d.Milliseconds()); ms < i.ms {
		return id{ms: i.ms - ms}
	}
	return id{}
}

// Compare returns a negative number if a comes before b in a log, zero if they are
// the same and a positive number otherwise. Both are ids of entries, "<ms>-<seq>";
// what is not comes before all ids, as the empty text does.
func Compare(a, b string) int {
	i, iok := parseID(a)
	j, jok := parseID(b)
	if !iok || !jok {
		return cmp.Compare(truth(iok), truth(jok))
	}
	return i.compare(j)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
