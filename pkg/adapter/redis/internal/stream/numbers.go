package stream

import (
	"strings"
	"time"
)

// Writers are remembered for as long as a connection that was given up may still
// hand over its bytes, and no more than so many.
const (
	rememberWriter = 15 * time.Minute
	maxWriters     = 4096
)

// numbers knows the last number of each writer.
type numbers map[string]last

// last is the latest entry of a writer.
type last struct {
	number uint64
	at     id
}

// fresh says whether the entry is one that its writer has not written before, as far
// as is known here, and notes it. An entry without a number always is.
func (n numbers) fresh(e *record) bool {
	if e.writer == "" {
		return true
	}
	known, ok := n[e.writer]
	if ok && e.number <= known.number {
		return false
	}
	if !ok {
		n.note(strings.Clone(e.writer), last{e.number, e.at})
		return true
	}
	n[e.writer] = last{e.number, e.at}
	return true
}

// note adds a writer, in the place of the one that was silent for longest if there
// are too many.
func (n numbers) note(writer string, l last) {
	if len(n) >= maxWriters {
		n.forgetOldest()
	}
	n[writer] = l
}

func (n numbers) forgetOldest() {
	oldest, found := "", false
	for w, l := range n {
		if !found || l.at.before(n[oldest].at) {
			oldest, found = w, true
		}
	}
	delete(n, oldest)
}

// forget gives up the writers whose last entry is before both: the log has none of
// theirs, and they were silent for long.
func (n numbers) forget(first, old id) {
	for w, l := range n {
		if l.at.before(first) && l.at.before(old) {
			delete(n, w)
		}
	}
}
