package server

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// RoomSize says how many of a node's sockets are in a room.
type RoomSize struct {
	// Room is the room's name.
	Room string
	// Sockets is the number of sockets in it.
	Sockets int
}

// LargestRooms returns the limit rooms in which most of this node's sockets are, the
// largest first, and how many rooms there are in all. The rooms of sockets' own ids are
// not counted. It visits all rooms of the namespace, so call it now and then. A pattern
// has no rooms of its own.
func (n *Namespace) LargestRooms(limit int) (largest []RoomSize, total int) {
	order := func(a, b RoomSize) int {
		return cmp.Or(cmp.Compare(b.Sockets, a.Sockets), cmp.Compare(a.Room, b.Room))
	}
	n.rooms.Sizes(func(room string, size int, one *Socket) {
		if size == 1 && one.id == room {
			return
		}
		total++
		r := RoomSize{Room: room, Sockets: size}
		if at, _ := slices.BinarySearchFunc(largest, r, order); at < limit {
			largest = slices.Insert(largest, at, r)[:min(len(largest)+1, limit)]
		}
	})
	return largest, total
}

// SocketsIn returns the sockets of this node that are in room.
func (n *Namespace) SocketsIn(room string) []*Socket {
	return append([]*Socket(nil), n.rooms.Members(room)...)
}

// QueuedBytes returns how many bytes wait for the client because it does not read them.
// They are its connection's: the client's sockets in other namespaces wait with them.
func (s *Socket) QueuedBytes() int { return s.connection.session.QueuedBytes() }

// ClientID returns a text that the client's sockets in all namespaces share and no other
// client has. It is a hash of the session's id, which itself is not to be shown to others:
// whoever knows it can speak for the client.
func (s *Socket) ClientID() string {
	sum := sha256.Sum256([]byte("client " + s.connection.session.ID()))
	return hex.EncodeToString(sum[:6])
}
