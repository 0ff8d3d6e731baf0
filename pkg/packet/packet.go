package packet

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Type is the type of a Socket.IO packet.
type Type byte

// The packet types of the Socket.IO protocol, version 5.
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError
	BinaryEvent
	BinaryAck
)

// DefaultNamespace is the namespace that is left out of a packet's text.
const DefaultNamespace = "/"

// Packet is one Socket.IO packet. A packet that was decoded owns its memory
// unless the function that made it says otherwise.
type Packet struct {
	// Type is the packet's type. Encoding chooses between Event and BinaryEvent,
	// Ack and BinaryAck by the attachments; a decoded packet has Event or Ack.
	Type Type
	// Namespace is the namespace's name; empty means "/".
	Namespace string
	// ID is the acknowledgement id, if HasID is set.
	ID uint64
	// HasID says that the packet wants (Event) or is (Ack) an acknowledgement.
	HasID bool
	// Data is the payload as JSON, nil when absent: an array for Event and Ack.
	// With attachments it holds a placeholder for each of them.
	Data jsontext.Value
	// Attachments are the binary parts, in the order of their placeholders' numbers.
	Attachments [][]byte
}

// Reserved says whether event is a name that neither side may emit, because
// Socket.IO uses it for its own notices.
func Reserved(event string) bool {
	switch event {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// AppendText appends p's text to dst, without the digit that Engine.IO puts in
// front, and returns the extended slice. Attachments follow it on the wire as
// binary messages of their own. AppendText trusts p: Data must be JSON that fits
// p.Type.
func (p *Packet) AppendText(dst []byte) []byte {
	dst = append(dst, '0'+byte(p.wireType()))
	if len(p.Attachments) > 0 {
		dst = strconv.AppendInt(dst, int64(len(p.Attachments)), 10)
		dst = append(dst, '-')
	}
	if p.Namespace != "" && p.Namespace != DefaultNamespace {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	return append(dst, p.Data...)
}

// wireType is p.Type in the form, plain or binary, that p's attachments ask for.
func (p *Packet) wireType() Type {
	binary := len(p.Attachments) > 0
	switch p.Type {
	case Event, BinaryEvent:
		if binary {
			return BinaryEvent
		}
		return Event
	case Ack, BinaryAck:
		if binary {
			return BinaryAck
		}
		return Ack
	}
	return p.Type
}
