// Package room keeps which members are in which rooms.
package room

import (
	"hash/maphash"
	"slices"
	"sync"
)

const shardCount = 64

// Index holds rooms and their members. It is safe for concurrent use. Rooms are
// spread over shards with a lock each, so that joining one room does not hold
// up a broadcast to another. The zero value is not usable; see New.
type Index[M comparable] struct {
	seed   maphash.Seed
	shards [shardCount]shard[M]
}

type shard[M comparable] struct {
	mu    sync.RWMutex
	rooms map[string]*members[M]
}

// New returns an empty index.
func New[M comparable]() *Index[M] {
	return &Index[M]{seed: maphash.MakeSeed()}
}

func (x *Index[M]) shard(room string) *shard[M] {
	return &x.shards[maphash.String(x.seed, room)%shardCount]
}

// Add puts m into room and says whether it was added and whether it is the
// room's first member.
func (x *Index[M]) Add(room string, m M) (added, first bool) {
	s := x.shard(room)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[room]
	if r == nil {
		if s.rooms == nil {
			s.rooms = make(map[string]*members[M])
		}
		r = &members[M]{}
		s.rooms[room] = r
	}
	added = r.add(m)
	return added, added && len(r.list) == 1
}

// Remove takes m out of room and says whether it was in it and whether the room
// is empty, and so gone, after that.
func (x *Index[M]) Remove(room string, m M) (removed, last bool) {
	s := x.shard(room)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[room]
	if r == nil || !r.remove(m) {
		return false, false
	}
	if len(r.list) > 0 {
		return true, false
	}
	delete(s.rooms, room)
	if len(s.rooms) == 0 {
		s.rooms = nil
	}
	return true, true
}

// Members returns the members of room at this moment. The slice is shared: it
// never changes and must not be changed.
func (x *Index[M]) Members(room string) []M {
	s := x.shard(room)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.rooms[room]; r != nil {
		return r.snapshot()
	}
	return nil
}

// Has says whether m is in room.
func (x *Index[M]) Has(room string, m M) bool {
	s := x.shard(room)
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.rooms[room]
	return r != nil && r.position(m) >= 0
}

// Occupied says whether room has a member.
func (x *Index[M]) Occupied(room string) bool {
	s := x.shard(room)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rooms[room] != nil
}

// Len returns the number of rooms.
func (x *Index[M]) Len() int {
	n := 0
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		n += len(s.rooms)
		s.mu.RUnlock()
	}
	return n
}

// Sizes calls visit with the name of each room, its number of members and one of them, in
// no order. visit must not call x.
func (x *Index[M]) Sizes(visit func(room string, size int, one M)) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		for name, r := range s.rooms {
			visit(name, len(r.list), r.list[0])
		}
		s.mu.RUnlock()
	}
}

// Names returns the names of all rooms, in no order.
func (x *Index[M]) Names() []string {
	names := make([]string, 0, x.Len())
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		for name := range s.rooms {
			names = append(names, name)
		}
		s.mu.RUnlock()
	}
	return names
}

// Select returns each member once that is in any of rooms. With one room it is
// Members; the slice must not be changed.
func (x *Index[M]) Select(rooms []string) []M {
	if len(rooms) == 1 {
		return x.Members(rooms[0])
	}
	var all []M
	seen := make(map[M]struct{})
	for _, room := range rooms {
		for _, m := range x.Members(room) {
			if _, dup := seen[m]; !dup {
				seen[m] = struct{}{}
				all = append(all, m)
			}
		}
	}
	return slices.Clip(all)
}
