package msgpack

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/packet"
)

// NewReader implements packet.Parser. A packet may have any number of attachments,
// as socket.io-msgpack-parser has no limit either; but for MaxAttachmentBytes each of
// them counts 64 bytes besides its own, so that their number is bounded as well.
// MaxDepth beyond 1,000 is 1,000.
func (Parser) NewReader(limits packet.Limits) packet.Reader {
	return &reader{limits: limits}
}

// reader reads one connection. No packet takes more than one message, so that
// nothing is kept between two of them.
type reader struct {
	limits packet.Limits
}

// Text implements packet.Reader: no packet is a text.
func (r *reader) Text([]byte) (packet.Packet, bool, error) {
	return packet.Packet{}, false, fmt.Errorf("%w: text message to the MessagePack parser", packet.ErrInvalid)
}

// Pending implements packet.Reader: nothing is ever due.
func (r *reader) Pending() bool { return false }

// Binary implements packet.Reader.
func (r *reader) Binary(data []byte) (packet.Packet, bool, error) {
	d := decoder{in: msgpack.NewReader(data), room: r.limits.AttachmentBytes()}
	err := d.packet()
	if err == nil {
		err = d.p.Validate(r.limits)
	}
	if err != nil {
		return packet.Packet{}, false, err
	}
	d.p.Attachments = owned(d.p.Attachments)
	return d.p, true, nil
}

// owned copies attachments, which share their message's memory, into one piece.
func owned(attachments [][]byte) [][]byte {
	size := 0
	for _, a := range attachments {
		size += len(a)
	}
	memory := make([]byte, 0, size)
	for i, a := range attachments {
		start := len(memory)
		memory = append(memory, a...)
		attachments[i] = memory[start:len(memory):len(memory)]
	}
	return attachments
}

// decoder reads one packet.
type decoder struct {
	in   msgpack.Reader
	p    packet.Packet
	room int64 // for attachments, in bytes
	seen member
}

// member is one of a packet's members, or a set of them.
type member uint8

const (
	typeSeen member = 1 << iota
	namespaceSeen
	dataSeen
	idSeen
)

// packet reads the map that a packet is, and nothing must follow it.
func (d *decoder) packet() error {
	size, err := d.in.MapLen()
	if err != nil {
		return malformed("packet", err)
	}
	for range size {
		if err := d.member(); err != nil {
			return err
		}
	}
	switch {
	case d.in.Len() > 0:
		return fmt.Errorf("%w: %d bytes behind the packet", packet.ErrInvalid, d.in.Len())
	case d.seen&typeSeen == 0:
		return fmt.Errorf("%w: packet without type", packet.ErrInvalid)
	case d.seen&namespaceSeen == 0:
		return fmt.Errorf("%w: packet without namespace", packet.ErrInvalid)
	}
	return nil
}

// member reads a member's name and value. Of two of the same name every reader might
// believe another one.
func (d *decoder) member() error {
	name, err := d.in.StringBytes()
	if err != nil {
		return malformed("member's name", err)
	}
	m := memberOf(name)
	if d.seen&m != 0 {
		return fmt.Errorf("%w: member %q repeats", packet.ErrInvalid, name)
	}
	d.seen |= m
	switch m {
	case typeSeen:
		return d.packetType()
	case namespaceSeen:
		return d.namespace()
	case dataSeen:
		return d.data()
	case idSeen:
		return d.id()
	}
	if _, err := d.in.Skip(); err != nil {
		return malformed("member", err)
	}
	return nil
}

// memberOf returns the member of that name, 0 for one that packets do not have.
func memberOf(name []byte) member {
	switch string(name) {
	case memberType:
		return typeSeen
	case memberNamespace:
		return namespaceSeen
	case memberData:
		return dataSeen
	case memberID:
		return idSeen
	}
	return 0
}

func (d *decoder) packetType() error {
	n, err := d.in.Int()
	if err != nil || n < 0 || n > int64(packet.ConnectError) {
		return fmt.Errorf("%w: packet type", packet.ErrInvalid)
	}
	d.p.Type = packet.Type(n)
	return nil
}

func (d *decoder) namespace() error {
	name, err := d.in.StringBytes()
	if err != nil {
		return malformed("namespace", err)
	}
	if len(name) == 0 || name[0] != '/' || !utf8.Valid(name) {
		return fmt.Errorf("%w: namespace", packet.ErrInvalid)
	}
	d.p.Namespace = string(name)
	return nil
}

// data reads the payload. A client that sends none names it all the same, as
// undefined.
func (d *decoder) data() (err error) {
	if d.in.Undefined() {
		return nil
	}
	// JSON is about as long as MessagePack, but most of a long message is often in
	// attachments, of which JSON has only the placeholders.
	memory := make([]byte, 0, min(d.in.Len()+d.in.Len()/4, firstMemory))
	d.p.Data, d.p.Attachments, err = d.in.AppendStrictJSON(memory, nil, d.room)
	if err != nil {
		return malformed("data", err)
	}
	return nil
}

// firstMemory is what a long payload is given before it is known to be long.
const firstMemory = 1024

func (d *decoder) id() error {
	if d.in.Undefined() {
		return nil
	}
	n, err := d.in.Int()
	if err != nil || n < 0 {
		return fmt.Errorf("%w: acknowledgement id", packet.ErrInvalid)
	}
	d.p.ID, d.p.HasID = uint64(n), true
	return nil
}

// malformed is the error of this parser for one of package msgpack.
func malformed(what string, err error) error {
	if errors.Is(err, msgpack.ErrTooDeep) || errors.Is(err, msgpack.ErrTooLarge) {
		return fmt.Errorf("%w: %s: %w", packet.ErrLimit, what, err)
	}
	return fmt.Errorf("%w: %s: %w", packet.ErrInvalid, what, err)
}
