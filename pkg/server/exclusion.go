package server

import "github.com/roomcast/roomcast/internal/room"

// exclusion is a set of sockets that do not get a broadcast.
type exclusion struct {
	one  *Socket // the only one, which is the usual case: a socket that emits to others
	many map[*Socket]struct{}
}

func newExclusion(x *room.Index[*Socket], rooms []string) exclusion {
	out := x.Select(rooms)
	switch len(out) {
	case 0:
		return exclusion{}
	case 1:
		return exclusion{one: out[0]}
	}
	many := make(map[*Socket]struct{}, len(out))
	for _, s := range out {
		many[s] = struct{}{}
	}
	return exclusion{many: many}
}

func (e exclusion) has(s *Socket) bool {
	if e.many == nil {
		return e.one == s
	}
	_, ok := e.many[s]
	return ok
}

// equal says whether both leave out the same sockets, as far as that is cheap to see.
func (e exclusion) equal(other exclusion) bool {
	return e.many == nil && other.many == nil && e.one == other.one
}
