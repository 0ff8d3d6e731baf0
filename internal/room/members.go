package room

import (
	"slices"
	"sync/atomic"
)

// linear is the size up to which a room is searched from end to end: small rooms
// are by far the most, and a map would cost more than all of their members.
const linear = 16

// members is an unordered list of distinct members that can be read without copying
// it. It is not safe for concurrent use but for snapshot, which may run beside
// itself.
type members[M comparable] struct {
	list []M
	// at finds a member's place in list; nil while the room is small.
	at map[M]int
	// shared says that a reader holds list. Readers hold its first len elements,
	// so appending is harmless; anything else needs a copy first.
	shared atomic.Bool
}

// snapshot returns the list as it is, never to be changed again.
func (s *members[M]) snapshot() []M {
	if !s.shared.Load() { // a plain write by every broadcast would bounce between processors
		s.shared.Store(true)
	}
	return s.list[:len(s.list):len(s.list)]
}

func (s *members[M]) position(m M) int {
	if s.at == nil {
		return slices.Index(s.list, m)
	}
	if i, ok := s.at[m]; ok {
		return i
	}
	return -1
}

func (s *members[M]) add(m M) bool {
	if s.position(m) >= 0 {
		return false
	}
	s.list = append(s.list, m)
	switch {
	case s.at != nil:
		s.at[m] = len(s.list) - 1
	case len(s.list) > linear:
		s.at = make(map[M]int, 2*linear)
		for i, x := range s.list {
			s.at[x] = i
		}
	}
	return true
}

// remove moves the last member into m's place, in a copy when readers hold the list.
func (s *members[M]) remove(m M) bool {
	i := s.position(m)
	if i < 0 {
		return false
	}
	if s.shared.Load() {
		s.list = slices.Clone(s.list)
		s.shared.Store(false)
	}
	last := len(s.list) - 1
	moved := s.list[last]
	var none M
	s.list[i], s.list[last] = moved, none
	s.list = s.list[:last]
	if s.at != nil {
		delete(s.at, m)
		if i != last {
			s.at[moved] = i
		}
	}
	return true
}
