package packet

import "github.com/go-json-experiment/json/jsontext"

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
