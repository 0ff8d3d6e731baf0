package adapter

import "github.com/roomcast/roomcast/pkg/packet"

// Kind says what a Message is about and which of its fields is set.
type Kind uint8

const (
	// KindBroadcast carries a packet for the sockets of a namespace: Broadcast.
	KindBroadcast Kind = 1 + iota
	// KindHeartbeat says that a node lives: Heartbeat.
	KindHeartbeat
	// KindHello is a first heartbeat, which every receiver answers with its own: Heartbeat.
	KindHello
	// KindGoodbye says that a node is leaving; it has no body.
	KindGoodbye
	// KindRequest asks the other nodes of a namespace for something: Request.
	KindRequest
	// KindResponse answers a request, to the node that asked: Response.
	KindResponse
)

// Message is what crosses between nodes. A received one belongs to the receiver,
// which may keep it. The bytes and lists that a Message refers to are shared and
// never written to again, neither by who published it nor by who received it; the
// structs may be reused. Its byte form for backends without one of their own is
// MarshalBinary.
type Message struct {
	// From is the sender. Publish fills it in with the link's own node in what
	// arrives, whatever it was.
	From NodeID
	// To is the only node meant, or empty for all.
	To NodeID
	// Kind says which of the fields below is set.
	Kind Kind
	// Broadcast is set with KindBroadcast.
	Broadcast *Broadcast
	// Heartbeat is set with KindHeartbeat and KindHello.
	Heartbeat *Heartbeat
	// Request is set with KindRequest.
	Request *Request
	// Response is set with KindResponse.
	Response *Response
	// Offset is the position of a broadcast in the adapter's log, if it keeps one.
	Offset string
}

// Broadcast is a packet together with the sockets that are to have it.
type Broadcast struct {
	// Packet is the event: Data is its JSON with placeholders, Attachments its
	// binary parts. Its Namespace equals the topic.
	Packet packet.Packet
	// Rooms selects the sockets that are in any of these rooms; none selects all
	// of the namespace.
	Rooms []string
	// Except removes the sockets that are in any of these rooms.
	Except []string
	// Volatile drops the packet for a socket that is not writable at the moment.
	Volatile bool
	// Uncompressed asks transports not to compress the packet.
	Uncompressed bool
	// Trace says which trace the broadcast belongs to, in words of the programs'
	// tracing; see server.Operation. Empty if it belongs to none. It is no part of what the
	// receivers get: an adapter whose form has no place for it leaves it out.
	Trace string
}

// Heartbeat says who a node is.
type Heartbeat struct {
	// Tag is the 24-bit number that ends the node's session ids.
	Tag uint32
	// Namespaces are those that the node has joined.
	Namespaces []string
	// Application is the program that the node runs; see server.Options. Empty if it
	// does not say.
	Application string
	// Address is the URL at which the other nodes reach the node with requests for its
	// sessions. Empty if they do not.
	Address string
	// Proof shows that a node which knows the cluster's secret has announced Address, and
	// when. Whoever carries the message does not look at it. Empty without an Address.
	Proof []byte
}

// Clone returns a copy of m that shares the bytes and lists with m.
func (m *Message) Clone() *Message {
	c := *m
	if m.Broadcast != nil {
		b := *m.Broadcast
		c.Broadcast = &b
	}
	if m.Heartbeat != nil {
		h := *m.Heartbeat
		c.Heartbeat = &h
	}
	if m.Request != nil {
		r := *m.Request
		c.Request = &r
	}
	if m.Response != nil {
		r := *m.Response
		if r.Answer != nil {
			p := *r.Answer
			r.Answer = &p
		}
		c.Response = &r
	}
	return &c
}
