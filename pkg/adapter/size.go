package adapter

import "github.com/roomcast/roomcast/pkg/packet"

// What things count for besides the bytes of their texts. Queues and logs are
// bounded by these estimates, so they follow what Go takes and not the byte form,
// in which a small message is a fifth of that.
const (
	structSize     = 240 // a Message with its body
	headerSize     = 48  // the fixed part of the byte form
	textSize       = 16
	attachmentSize = 24
	socketSize     = 96
	recordSize     = 240 // a Record and its place in a store
)

// Size estimates the bytes that m takes in memory. Its byte form takes less.
func (m *Message) Size() int { return structSize + m.encodedSize() }

// encodedSize is about, and for ordinary messages no less than, the length of m's
// byte form.
func (m *Message) encodedSize() int {
	n := headerSize + len(m.From) + len(m.To) + len(m.Offset)
	if b := m.Broadcast; b != nil {
		n += sizeOfPacket(&b.Packet) + sizeOf(b.Rooms) + sizeOf(b.Except) + len(b.Trace)
	}
	if h := m.Heartbeat; h != nil {
		n += sizeOf(h.Namespaces) + len(h.Application) + len(h.Address) + len(h.Proof)
	}
	if r := m.Request; r != nil {
		n += len(r.ID) + sizeOf(r.Rooms) + sizeOf(r.Except) + sizeOf(r.Targets) + len(r.Trace) + sizeOfPacket(&r.Packet)
	}
	if r := m.Response; r != nil {
		n += r.size()
	}
	return n
}

func (r *Response) size() int {
	n := len(r.ID) + sizeOf(r.Rooms)
	for i := range r.Sockets {
		s := &r.Sockets[i]
		n += socketSize + len(s.ID) + sizeOf(s.Rooms) + len(s.Handshake) + len(s.Data)
	}
	if r.Answer != nil {
		n += sizeOfPacket(r.Answer)
	}
	return n
}

// Size estimates the bytes that r takes in memory.
func (r *Record) Size() int {
	return recordSize + len(r.PrivateID) + len(r.SocketID) + len(r.Node) + len(r.Since) + sizeOf(r.Rooms) + len(r.Data)
}

func sizeOf(list []string) int {
	n := textSize * len(list)
	for _, s := range list {
		n += len(s)
	}
	return n
}

func sizeOfPacket(p *packet.Packet) int {
	n := len(p.Namespace) + len(p.Data) + attachmentSize*len(p.Attachments)
	for _, a := range p.Attachments {
		n += len(a)
	}
	return n
}
