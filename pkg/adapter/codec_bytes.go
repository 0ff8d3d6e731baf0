package adapter

import "encoding/binary"

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

// decoder reads from the front of rest. After a failure it reads zeros.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) strings() []string {
	return readList(d, 1, func() string { return string(d.text()) })
}

// readList reads a list; an empty one is nil. Each element has at least as many
// bytes as least, so that a length beyond what is left is a lie.
func readList[T any](d *decoder, least int, element func() T) []T {
	n := d.number(min(maxListLen, uint64(len(d.rest)/least)))
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

// flags reads bits, which must be some of those in known.
func (d *decoder) flags(known byte) byte {
	flags := d.byte()
	if flags&^known != 0 {
		d.fail()
	}
	return flags
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
