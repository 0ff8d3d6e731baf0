package adapter

import (
	"encoding/binary"
	"time"

	"github.com/roomcast/roomcast/pkg/packet"
)

// minSocketLen is the length of an empty Socket's byte form.
const minSocketLen = 4

func (a Action) known() bool { return a >= ActionJoin && a <= ActionRelease }

func (r *Request) encodable() error {
	if !r.Action.known() || r.Timeout < 0 {
		return ErrMalformed
	}
	if err := packetEncodable(&r.Packet); err != nil {
		return err
	}
	return fits(max(len(r.Rooms), len(r.Except), len(r.Targets)))
}

func (r *Request) append(b []byte) []byte {
	flags := flag(r.Volatile, flagVolatile) | flag(r.Uncompressed, flagUncompressed) | flag(r.Close, flagClose)
	flags |= flag(r.Trace != "", flagTrace)
	b = append(b, flags|flagsOfPacket(&r.Packet), byte(r.Action))
	b = appendText(b, r.ID)
	b = binary.AppendUvarint(b, uint64(r.Timeout))
	b = appendPacket(b, &r.Packet)
	b = appendTexts(b, r.Rooms)
	b = appendTexts(b, r.Except)
	b = appendTexts(b, r.Targets)
	return appendTrace(b, r.Trace)
}

func (d *decoder) request() *Request {
	flags := d.flags(requestFlags)
	r := &Request{
		Action:       d.action(),
		ID:           string(d.text()),
		Timeout:      time.Duration(d.number(maxTimeout)),
		Volatile:     flags&flagVolatile != 0,
		Uncompressed: flags&flagUncompressed != 0,
		Close:        flags&flagClose != 0,
	}
	d.packet(&r.Packet, flags)
	r.Rooms = d.strings()
	r.Except = d.strings()
	r.Targets = d.strings()
	r.Trace = d.trace(flags)
	return r
}

func (r *Response) encodable() error {
	if !r.Action.known() || r.Receivers < 0 || r.Receivers > maxReceivers {
		return ErrMalformed
	}
	if r.Answer != nil {
		if err := packetEncodable(r.Answer); err != nil {
			return err
		}
	}
	longest := max(len(r.Sockets), len(r.Rooms))
	for i := range r.Sockets {
		longest = max(longest, len(r.Sockets[i].Rooms))
	}
	return fits(longest)
}

func (r *Response) append(b []byte) []byte {
	flags := flag(r.Done, flagDone)
	if r.Answer != nil {
		flags |= flagAnswer | flagsOfPacket(r.Answer)
	}
	b = append(b, flags, byte(r.Action))
	b = appendText(b, r.ID)
	b = binary.AppendUvarint(b, uint64(r.Receivers))
	if r.Answer != nil {
		b = appendPacket(b, r.Answer)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Sockets)))
	for i := range r.Sockets {
		b = r.Sockets[i].append(b)
	}
	return appendTexts(b, r.Rooms)
}

func (s *Socket) append(b []byte) []byte {
	b = appendText(b, s.ID)
	b = appendTexts(b, s.Rooms)
	b = appendText(b, s.Handshake)
	return appendText(b, s.Data)
}

func (d *decoder) response() *Response {
	flags := d.flags(responseFlags)
	r := &Response{
		Done:      flags&flagDone != 0,
		Action:    d.action(),
		ID:        string(d.text()),
		Receivers: int(d.number(maxReceivers)),
	}
	switch {
	case flags&flagAnswer != 0:
		r.Answer = &packet.Packet{}
		d.packet(r.Answer, flags)
	case flags&packetFlags != 0:
		d.fail()
	}
	r.Sockets = readList(d, minSocketLen, d.socket)
	r.Rooms = d.strings()
	return r
}

func (d *decoder) socket() Socket {
	return Socket{ID: string(d.text()), Rooms: d.strings(), Handshake: d.json(), Data: d.json()}
}

func (d *decoder) action() Action {
	a := Action(d.byte())
	if !a.known() {
		d.fail()
	}
	return a
}

// json is text, or nil for an empty one, which is no JSON.
func (d *decoder) json() []byte {
	if text := d.text(); len(text) > 0 {
		return text
	}
	return nil
}
