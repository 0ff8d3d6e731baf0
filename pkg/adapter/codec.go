package adapter

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The byte form of a Message, for backends without one of their own:
//
//	version kind from to offset body
//
// version, kind, flags, type and action are one byte each. A text is its length
// and its bytes, a list is its length and its elements, and lengths and numbers
// are unsigned varints. What is in brackets is there if the flags say so.
//
//	broadcast       flags packet rooms except [trace]
//	heartbeat,hello tag namespaces application address proof
//	goodbye         nothing
//	request         flags action id timeout packet rooms except targets [trace]
//	response        flags action id receivers [packet] sockets rooms
//
//	packet          type namespace [id] [data] attachments
//	socket          id rooms handshake data
const codecVersion = 1

// Limits of the byte form.
const (
	// maxListLen bounds a list, so that a few bytes per element cannot become far
	// more in memory.
	maxListLen   = 1 << 20
	maxTag       = 1<<24 - 1
	maxReceivers = 1<<31 - 1 // an int on every platform
	maxTimeout   = 1<<63 - 1 // nanoseconds
)

// The bits of flags, and which of them a body may have.
const (
	flagVolatile = 1 << iota
	flagUncompressed
	flagHasID
	flagHasData
	flagClose
	flagDone
	flagAnswer
	flagTrace

	packetFlags    = flagHasID | flagHasData
	broadcastFlags = packetFlags | flagVolatile | flagUncompressed | flagTrace
	requestFlags   = broadcastFlags | flagClose
	responseFlags  = packetFlags | flagDone | flagAnswer
)

// MarshalBinary returns the byte form of m. It fails with ErrMalformed for an
// unknown kind or action or a missing or impossible body, and with ErrTooLarge for
// a list of more than a million elements.
func (m *Message) MarshalBinary() ([]byte, error) {
	return m.AppendBinary(make([]byte, 0, m.encodedSize()))
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
		b = appendText(b, m.Heartbeat.Application)
		b = appendText(b, m.Heartbeat.Address)
		b = appendText(b, m.Heartbeat.Proof)
	case KindRequest:
		b = m.Request.append(b)
	case KindResponse:
		b = m.Response.append(b)
	}
	return b, nil
}

// encodable says why m has no byte form.
func (m *Message) encodable() error {
	switch m.Kind {
	case KindBroadcast:
		if m.Broadcast == nil {
			return ErrMalformed
		}
		return m.Broadcast.encodable()
	case KindHeartbeat, KindHello:
		if m.Heartbeat == nil || m.Heartbeat.Tag > maxTag {
			return ErrMalformed
		}
		return fits(len(m.Heartbeat.Namespaces))
	case KindGoodbye:
		return nil
	case KindRequest:
		if m.Request == nil {
			return ErrMalformed
		}
		return m.Request.encodable()
	case KindResponse:
		if m.Response == nil {
			return ErrMalformed
		}
		return m.Response.encodable()
	}
	return ErrMalformed
}

// fits says whether a list of n elements has a byte form.
func fits(n int) error {
	if n > maxListLen {
		return ErrTooLarge
	}
	return nil
}

// UnmarshalBinary reads the byte form into m, which keeps nothing of data. It
// fails with ErrMalformed, leaving m as it was, for anything else than one whole
// message, which includes versions, kinds and actions that this release does not
// know. An empty list is nil. The grammar of JSON is not checked.
func (m *Message) UnmarshalBinary(data []byte) error {
	d := decoder{rest: bytes.Clone(data)}
	decoded := d.message()
	if d.failed || len(d.rest) > 0 {
		return fmt.Errorf("adapter: decode message: %w", ErrMalformed)
	}
	*m = decoded
	return nil
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
		m.Heartbeat = d.heartbeat()
	case KindGoodbye:
	case KindRequest:
		m.Request = d.request()
	case KindResponse:
		m.Response = d.response()
	default:
		d.fail()
	}
	return m
}

func (d *decoder) heartbeat() *Heartbeat {
	h := &Heartbeat{Tag: uint32(d.number(maxTag)), Namespaces: d.strings(), Application: string(d.text()), Address: string(d.text())}
	if proof := d.text(); len(proof) > 0 {
		h.Proof = proof
	}
	return h
}
