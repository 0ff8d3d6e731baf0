package stream

import "slices"

// maxRing bounds the places that a ring remembers: 16 bytes each.
const maxRing = 16 << 10

// ring remembers the places that were read last, in their order. By them a log that
// was rolled back is told from another one.
type ring struct {
	places []id
	oldest int // index of the oldest, once all of size are used
	size   int
}

func newRing(maxLen int64) *ring { return &ring{size: int(min(maxLen, maxRing))} }

func (r *ring) add(at id) {
	if len(r.places) < r.size {
		r.places = append(r.places, at)
		return
	}
	r.places[r.oldest] = at
	r.oldest = (r.oldest + 1) % r.size
}

// first returns the oldest place, zero if there is none.
func (r *ring) first() id {
	if len(r.places) == 0 {
		return id{}
	}
	return r.places[r.oldest]
}

// all returns the places as a set.
func (r *ring) all() map[id]bool {
	all := make(map[id]bool, len(r.places))
	for _, at := range r.places {
		all[at] = true
	}
	return all
}

// cut forgets the places behind last.
func (r *ring) cut(last id) {
	sorted := slices.Concat(r.places[r.oldest:], r.places[:r.oldest])
	r.places = slices.DeleteFunc(sorted, last.before)
	r.oldest = 0
}

func (r *ring) clear() { r.places, r.oldest = nil, 0 }
