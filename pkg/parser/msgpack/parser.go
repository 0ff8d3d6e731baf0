package msgpack

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Parser is the packet.Parser of this package. Its zero value is ready, and it
// keeps nothing: it is safe for concurrent use.
type Parser struct{}

// New returns a Parser.
func New() Parser { return Parser{} }

var _ packet.Parser = Parser{}

// The names of a packet's members.
const (
	memberType      = "type"
	memberNamespace = "nsp"
	memberData      = "data"
	memberID        = "id"
)

// Append implements packet.Parser; binary is always true. Absent data is left out,
// and attachments stand in the place of their placeholders. Besides a packet that is
// malformed, ErrEncode means that arrays and objects are nested more than 1,000 deep.
func (Parser) Append(dst []byte, p *packet.Packet) (data []byte, binary bool, err error) {
	kind, ok := wireType(p.Type)
	if !ok {
		return dst, false, fmt.Errorf("%w: packet type %d", packet.ErrEncode, p.Type)
	}
	size := 2 // type and namespace
	if p.Data != nil {
		size++
	}
	if p.HasID {
		size++
	}
	// The members stand in the order in which a Node.js server sets them.
	out := msgpack.AppendMapHeader(slices.Grow(dst, roughSize(p)), size)
	if kind == packet.Ack {
		out = appendID(out, p)
	}
	out = msgpack.AppendString(out, memberType)
	out = msgpack.AppendUint(out, uint64(kind))
	if p.Data != nil {
		out = msgpack.AppendString(out, memberData)
		if out, err = msgpack.AppendFromJSON(out, p.Data, p.Attachments); err != nil {
			return dst, false, fmt.Errorf("%w: %w", packet.ErrEncode, err)
		}
	}
	if kind != packet.Ack {
		out = appendID(out, p)
	}
	out = msgpack.AppendString(out, memberNamespace)
	out = msgpack.AppendString(out, cmp.Or(p.Namespace, packet.DefaultNamespace))
	return out, true, nil
}

// appendID appends p's acknowledgement id, if it has one.
func appendID(dst []byte, p *packet.Packet) []byte {
	if !p.HasID {
		return dst
	}
	return msgpack.AppendUint(msgpack.AppendString(dst, memberID), p.ID)
}

// wireType is t as this wire knows it: whether there are attachments is not part of
// a packet's type.
func wireType(t packet.Type) (kind packet.Type, ok bool) {
	switch t {
	case packet.BinaryEvent:
		return packet.Event, true
	case packet.BinaryAck:
		return packet.Ack, true
	}
	return t, t <= packet.ConnectError
}

// roughSize is what p will hardly exceed, so that it is seldom moved while it grows.
func roughSize(p *packet.Packet) int {
	const headAndID = 40
	size := headAndID + len(p.Namespace) + len(p.Data)
	for _, a := range p.Attachments {
		size += len(a)
	}
	return size
}
