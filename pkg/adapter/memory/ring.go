package memory

// ring is a queue with access by position. It takes memory for at most four times
// what it holds, and refers to nothing that was removed.
type ring[T any] struct {
	items []T // a power of two of places, or none
	first int
	count int
}

// minRing is the smallest number of places, so that a few do not move all the time.
const minRing = 16

// at returns the place of the item with index i, counted from the front.
func (r *ring[T]) at(i int) *T { return &r.items[(r.first+i)&(len(r.items)-1)] }

func (r *ring[T]) push(item T) {
	if r.count == len(r.items) {
		r.resize(max(minRing, 2*len(r.items)))
	}
	r.count++
	*r.at(r.count - 1) = item
}

// shift removes the front item; there must be one.
func (r *ring[T]) shift() {
	var none T
	*r.at(0) = none
	r.first = (r.first + 1) & (len(r.items) - 1)
	r.count--
	switch {
	case r.count == 0:
		*r = ring[T]{}
	case len(r.items) > minRing && r.count <= len(r.items)/4:
		r.resize(len(r.items) / 2)
	}
}

func (r *ring[T]) resize(places int) {
	items := make([]T, places)
	for i := range r.count {
		items[i] = *r.at(i)
	}
	r.items, r.first = items, 0
}
