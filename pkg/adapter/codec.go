package adapter

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/roomcast/roomcast/pkg/packet"
)

// The byte form of a Message, for backends without one of their own:
//
//	version kind from to offset body
//
// version and kind are one byte each. A text is its length and its bytes, a list
// is its length and its elements, and lengths and numbers are unsigned varints.
//
//	broadcast       flags type namespace id data attachments rooms except
//	heartbeat,hello tag namespaces
//	goodbye         nothing
const codecVersion = 1

// Limits of the byte form.
const (
	// maxListLen bounds a list, so that a few bytes per element cannot become far
	// more in memory.
	maxListLen = 1 << 20
	maxTag     = 1<<24 - 1
)

// The bits of a broadcast's flags.
const (
	flagVolatile = 1 << iota
	flagUncompressed
	flagHasID
	flagHasData
	flagsEnd
)

// MarshalBinary returns the byte form of m. It fails with ErrMalformed for an
// unknown kind or a missing or impossible body, and with ErrTooLarge for a list
// of more than a million elements.
func (m *Message) MarshalBinary() ([]byte, error) {
	return m.AppendBinary(make([]byte, 0, m.Size()))
}

// AppendBinary appends to b what MarshalBinary returns; it fails as that does.
func (m *Message) AppendBinary(b []byte) ([]byte, error) {
	if err := m.encodable(); err != nil {
		return nil, fmt.Errorf("adapter: encode message: %w", err)
	}
	b = append(b, codecVersion, byte(m.Kind))
	b = appendText(b, string(m.From))
	b = appendText(b, string(m.To))
	b = appendText(b, m.Offset)
	switch m.Kind {
	case KindBroadcast:
		b = m.Broadcast.append(b)
	case KindHeartbeat, KindHello:
		b = binary.AppendUvarint(b, uint64(m.Heartbeat.Tag))
		b = appendTexts(b, m.Heartbeat.Namespaces)
	}
	return b, nil
}

// encodable says why m has no byte form.
func (m *Message) encodable() error {
	switch m.Kind {
	case KindBroadcast:
		if m.Broadcast == nil || m.Broadcast.Packet.Type > packet.BinaryAck {
			return ErrMalformed
		}
		b := m.Broadcast
		if max(len(b.Rooms), len(b.Except), len(b.Packet.Attachments)) > maxListLen {
			return ErrTooLarge
		}
	case KindHeartbeat, KindHello:
		if m.Heartbeat == nil || m.Heartbeat.Tag > maxTag {
			return ErrMalformed
		}
		if len(m.Heartbeat.Namespaces) > maxListLen {
			return ErrTooLarge
		}
	case KindGoodbye:
	default:
		return ErrMalformed
	}
	return nil
}

func (bc *Broadcast) append(b []byte) []byte {
	p := &bc.Packet
	b = append(b, bc.flags(), byte(p.Type))
	b = appendText(b, p.Namespace)
	if p.HasID {
		b = binary.AppendUvarint(b, p.ID)
	}
	if p.Data != nil {
		b = appendText(b, p.Data)
	}
	b = appendTexts(b, p.Attachments)
	b = appendTexts(b, bc.Rooms)
	return appendTexts(b, bc.Except)
}

func (bc *Broadcast) flags() byte {
	var flags byte
	set := func(on bool, bit byte) {
		if on {
			flags |= bit
		}
	}
	set(bc.Volatile, flagVolatile)
	set(bc.Uncompressed, flagUncompressed)
	set(bc.Packet.HasID, flagHasID)
	set(bc.Packet.Data != nil, flagHasData)
	return flags
}

func appendText[T ~string | ~[]byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendTexts[T ~string | ~[]byte](b []byte, list []T) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, text := range list {
		b = appendText(b, text)
	}
	return b
}

// UnmarshalBinary reads the byte form into m, which keeps nothing of data. It
// fails with ErrMalformed, leaving m as it was, for anything else than one whole
// message, which includes versions and kinds that this release does not know.
// The grammar of the packet's Data is not checked.
func (m *Message) UnmarshalBinary(data []byte) error {
	d := decoder{rest: bytes.Clone(data)}
	decoded := d.message()
	if d.failed || len(d.rest) > 0 {
		return fmt.Errorf("adapter: decode message: %w", ErrMalformed)
	}
	*m = decoded
	return nil
}

// decoder reads from the front of rest. After a failure it reads zeros.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) message() Message {
	if d.byte() != codecVersion {
		d.fail()
		return Message{}
	}
	m := Message{Kind: Kind(d.byte())}
	m.From = NodeID(d.text())
	m.To = NodeID(d.text())
	m.Offset = string(d.text())
	switch m.Kind {
	case KindBroadcast:
		m.Broadcast = d.broadcast()
	case KindHeartbeat, KindHello:
		m.Heartbeat = &Heartbeat{Tag: uint32(d.number(maxTag)), Namespaces: d.strings()}
	case KindGoodbye:
	default:
		d.fail()
	}
	return m
}

func (d *decoder) broadcast() *Broadcast {
	flags := d.byte()
	if flags >= flagsEnd {
		d.fail()
	}
	b := &Broadcast{Volatile: flags&flagVolatile != 0, Uncompressed: flags&flagUncompressed != 0}
	p := &b.Packet
	p.Type = packet.Type(d.byte())
	if p.Type > packet.BinaryAck {
		d.fail()
	}
	p.Namespace = string(d.text())
	if p.HasID = flags&flagHasID != 0; p.HasID {
		p.ID = d.number(1<<64 - 1)
	}
	if flags&flagHasData != 0 {
		p.Data = d.text()
	}
	p.Attachments = readList(d, d.text)
	b.Rooms = d.strings()
	b.Except = d.strings()
	return b
}

func (d *decoder) strings() []string {
	return readList(d, func() string { return string(d.text()) })
}

// readList reads a list; an empty one is nil. Each element has at least a byte,
// so that a length beyond the bytes left is a lie.
func readList[T any](d *decoder, element func() T) []T {
	n := d.number(min(maxListLen, uint64(len(d.rest))))
	if n == 0 {
		return nil
	}
	list := make([]T, 0, n)
	for range n {
		list = append(list, element())
		if d.failed {
			return nil
		}
	}
	return list
}

// text reads a length and as many bytes, which stay part of the decoder's memory.
func (d *decoder) text() []byte {
	n := d.number(uint64(len(d.rest)))
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	text := d.rest[:n:n]
	d.rest = d.rest[n:]
	return text
}

// number reads a number of at most limit.
func (d *decoder) number(limit uint64) uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > limit {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) fail() {
	d.rest, d.failed = nil, true
}
