package stream

import (
	"slices"
	"sync"
)

// index knows which entries of the log repeat an earlier one that is in the log too.
// Whoever reads the log in order extends it: the reader as it goes on, a scan of what
// was written before the reader began, and clients' reads that are ahead of both.
//
// It is apart from what the reader itself has had: after a failover the log may hold
// an entry once that was read twice.
type index struct {
	mu      sync.Mutex
	known   id // what the log says up to here is known
	numbers numbers
	repeats []id // sorted
}

func newIndex() *index { return &index{numbers: make(numbers)} }

// extend learns from all entries behind after and up to last. It ignores them when it
// does not know what came before.
func (x *index) extend(after, last id, entries []record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known.before(after) {
		return
	}
	for i := range entries {
		e := &entries[i]
		if x.known.before(e.at) && !x.numbers.fresh(e) {
			x.repeats = append(x.repeats, e.at)
		}
	}
	if x.known.before(last) {
		x.known = last
	}
}

// repeated says whether the entry at that place repeats an earlier one.
func (x *index) repeated(at id) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, found := slices.BinarySearchFunc(x.repeats, at, id.compare)
	return found
}

// reach returns how far the index knows the log.
func (x *index) reach() id {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.known
}

// forget gives up what is about entries before first, which the log has no more.
func (x *index) forget(first, old id) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.numbers.forget(first, old)
	n, _ := slices.BinarySearchFunc(x.repeats, first, id.compare)
	x.repeats = slices.Delete(x.repeats, 0, n)
}

// reset forgets all: the log is another one.
func (x *index) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.known, x.repeats = id{}, nil
	clear(x.numbers)
}
