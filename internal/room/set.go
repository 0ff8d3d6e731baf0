package room

import "sync"

// Set is one unnamed room. It is safe for concurrent use; the zero value is empty.
type Set[M comparable] struct {
	mu      sync.RWMutex
	members members[M]
}

// Add puts m into the set.
func (s *Set[M]) Add(m M) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members.add(m)
}

// Remove takes m out of the set and returns how many members are left.
func (s *Set[M]) Remove(m M) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members.remove(m)
	return len(s.members.list)
}

// Members returns the members at this moment. The slice is shared: it never
// changes and must not be changed.
func (s *Set[M]) Members() []M {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.members.snapshot()
}

// Len returns the number of members.
func (s *Set[M]) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.members.list)
}
