package adapter

import (
	"time"

	"github.com/roomcast/roomcast/pkg/packet"
)

// Action says what a Request asks for.
type Action uint8

const (
	// ActionJoin puts the selected sockets into the rooms of Targets.
	ActionJoin Action = 1 + iota
	// ActionLeave takes the selected sockets out of the rooms of Targets.
	ActionLeave
	// ActionDisconnect disconnects the selected sockets, and with Close their
	// connections.
	ActionDisconnect
	// ActionFetch asks for descriptions of the selected sockets.
	ActionFetch
	// ActionRooms asks for the names of all rooms.
	ActionRooms
	// ActionEvent gives Packet to the handlers that the other nodes' programs have
	// for events of nodes. With an ID each node answers once.
	ActionEvent
	// ActionCall sends Packet to the selected sockets and asks for their
	// acknowledgements.
	ActionCall
	// ActionRelease asks the one node that it is addressed to for the socket whose id is
	// the only one of Rooms, because its client has come back elsewhere: a connection
	// that still stands is closed, and its recovery record is saved before the node
	// answers.
	ActionRelease
)

// Request is what a node asks of all other nodes of a namespace.
type Request struct {
	// ID is what the responses refer to. Empty: no answer is wanted.
	ID string
	// Action is what is asked for.
	Action Action
	// Rooms selects the sockets that are in any of these rooms; none selects all
	// of the namespace.
	Rooms []string
	// Except removes the sockets that are in any of these rooms.
	Except []string
	// Targets are the rooms of ActionJoin and ActionLeave.
	Targets []string
	// Close makes ActionDisconnect close the connections.
	Close bool
	// Packet is the event of ActionEvent and ActionCall, without an
	// acknowledgement id. Its Namespace equals the topic.
	Packet packet.Packet
	// Volatile drops the packet of ActionCall for a socket that is not writable.
	Volatile bool
	// Uncompressed asks transports not to compress the packet of ActionCall.
	Uncompressed bool
	// Whole says that the asking node takes a single response to ActionFetch.
	Whole bool
	// Timeout is how long the asking node will wait; later answers are of no use.
	Timeout time.Duration
	// Trace says which trace the request belongs to, as Broadcast.Trace does.
	Trace string
}

// Response is an answer of a node to a Request. Most requests are answered with
// one, which has Done. ActionFetch may be answered in parts, the last of which has
// Done. ActionCall is answered with Receivers, then with one Answer for each
// acknowledgement as it comes; Done comes with the last of these, or by itself
// when the sockets that are still to answer have gone.
type Response struct {
	// ID is the request's.
	ID string
	// Action is the request's.
	Action Action
	// Done says that this node has no more to answer.
	Done bool
	// Receivers is the number of this node's sockets that the request concerned.
	// With ActionCall it is set in the first response.
	Receivers int
	// Sockets answers ActionFetch.
	Sockets []Socket
	// Rooms answers ActionRooms.
	Rooms []string
	// Answer is an Ack packet without an id: the acknowledgement of one socket to
	// ActionCall, or what the node's handler answers to ActionEvent. Nil when the
	// response holds none.
	Answer *packet.Packet
}

// Socket describes a socket of another node.
type Socket struct {
	// ID is the socket's public id.
	ID string
	// Rooms are the rooms of the socket, that of its own id included.
	Rooms []string
	// Handshake is the JSON object of the field's name: headers, time, address,
	// xdomain, secure, issued, url, query and auth.
	Handshake []byte
	// Data is the JSON of what the program has attached to the socket.
	Data []byte
}
