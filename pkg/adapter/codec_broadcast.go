package adapter

import (
	"encoding/binary"

	"github.com/roomcast/roomcast/pkg/packet"
)

func (bc *Broadcast) encodable() error {
	if err := packetEncodable(&bc.Packet); err != nil {
		return err
	}
	return fits(max(len(bc.Rooms), len(bc.Except)))
}

func (bc *Broadcast) append(b []byte) []byte {
	b = append(b, flagsOfPacket(&bc.Packet)|flag(bc.Volatile, flagVolatile)|flag(bc.Uncompressed, flagUncompressed)|flag(bc.Trace != "", flagTrace))
	b = appendPacket(b, &bc.Packet)
	b = appendTexts(b, bc.Rooms)
	b = appendTexts(b, bc.Except)
	return appendTrace(b, bc.Trace)
}

func (d *decoder) broadcast() *Broadcast {
	flags := d.flags(broadcastFlags)
	b := &Broadcast{Volatile: flags&flagVolatile != 0, Uncompressed: flags&flagUncompressed != 0}
	d.packet(&b.Packet, flags)
	b.Rooms = d.strings()
	b.Except = d.strings()
	b.Trace = d.trace(flags)
	return b
}

func appendTrace(b []byte, trace string) []byte {
	if trace == "" {
		return b
	}
	return appendText(b, trace)
}

// trace reads what flags announce, which is not empty.
func (d *decoder) trace(flags byte) string {
	if flags&flagTrace == 0 {
		return ""
	}
	text := string(d.text())
	if text == "" {
		d.fail()
	}
	return text
}

func packetEncodable(p *packet.Packet) error {
	if p.Type > packet.BinaryAck {
		return ErrMalformed
	}
	return fits(len(p.Attachments))
}

// flag is bit if on.
func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

func flagsOfPacket(p *packet.Packet) byte {
	return flag(p.HasID, flagHasID) | flag(p.Data != nil, flagHasData)
}

func appendPacket(b []byte, p *packet.Packet) []byte {
	b = append(b, byte(p.Type))
	b = appendText(b, p.Namespace)
	if p.HasID {
		b = binary.AppendUvarint(b, p.ID)
	}
	if p.Data != nil {
		b = appendText(b, p.Data)
	}
	return appendTexts(b, p.Attachments)
}

// packet reads into p what flags announce.
func (d *decoder) packet(p *packet.Packet, flags byte) {
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
	p.Attachments = readList(d, 1, d.text)
}
