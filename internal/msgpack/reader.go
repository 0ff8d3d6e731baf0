package msgpack

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is the kind of a MessagePack value.
type Kind uint8

// The kinds that MessagePack knows; the zero Kind is the one of no value.
const (
	Nil Kind = 1 + iota
	Bool
	Int
	Float
	String
	Binary
	Array
	Map
	Extension
)

// token is the head of one value. The bytes of strings, binaries and extensions
// are in body; what is inside an array or a map follows.
type token struct {
	kind     Kind
	bits     uint64 // Bool: 0 or 1; Int: two's complement; Float: IEEE 754, 64 bit
	unsigned bool   // Int: bits is a uint64
	size     int    // Array: elements; Map: pairs
	ext      int8   // Extension: its type
	sized    bool   // Extension: its size is written out
	body     []byte
}

// Reader walks over MessagePack values. Its zero value is an empty input.
type Reader struct {
	rest []byte
}

// NewReader returns a Reader over data, which it does not copy.
func NewReader(data []byte) Reader { return Reader{rest: data} }

// Len returns the number of bytes that have not been read.
func (r *Reader) Len() int { return len(r.rest) }

// ArrayLen reads the head of an array and returns the number of its elements, or
// ErrMalformed.
func (r *Reader) ArrayLen() (int, error) { return r.size(Array) }

// MapLen reads the head of a map and returns the number of its pairs, or
// ErrMalformed.
func (r *Reader) MapLen() (int, error) { return r.size(Map) }

func (r *Reader) size(kind Kind) (int, error) {
	t, err := r.next()
	if err != nil {
		return 0, err
	}
	if t.kind != kind {
		return 0, ErrMalformed
	}
	return t.size, nil
}

// Text reads a string, or a number or boolean as JavaScript would write it: room
// names and object keys may be any of these. Other kinds are ErrMalformed. The
// result may be part of the input.
func (r *Reader) Text() ([]byte, error) {
	t, err := r.next()
	if err != nil {
		return nil, err
	}
	switch t.kind {
	case String, Binary:
		return t.body, nil
	case Nil, Bool, Int, Float:
		return t.appendScalar(nil), nil
	}
	return nil, ErrMalformed
}

// StringBytes reads a string, or ErrMalformed. The result is part of the input; its
// UTF-8 is not checked.
func (r *Reader) StringBytes() ([]byte, error) {
	t, err := r.next()
	if err != nil {
		return nil, err
	}
	if t.kind != String {
		return nil, ErrMalformed
	}
	return t.body, nil
}

// Int reads an integer, or ErrMalformed.
func (r *Reader) Int() (int64, error) {
	t, err := r.next()
	if err != nil {
		return 0, err
	}
	if t.kind != Int || t.unsigned {
		return 0, ErrMalformed
	}
	return int64(t.bits), nil
}

// Undefined steps over JavaScript's undefined, if that is what comes, and says
// whether it did.
func (r *Reader) Undefined() bool {
	ahead := *r
	t, err := ahead.next()
	if err != nil || !t.undefined() {
		return false
	}
	*r = ahead
	return true
}

// Skip steps over one value, whatever its depth, and returns its bytes.
func (r *Reader) Skip() ([]byte, error) {
	start := r.rest
	for values := 1; values > 0; values-- {
		t, err := r.next()
		if err != nil {
			return nil, err
		}
		values += t.size
		if t.kind == Map {
			values += t.size
		}
	}
	return start[:len(start)-len(r.rest)], nil
}

// Peek returns the kind of the next value without reading it, 0 without one.
func (r *Reader) Peek() Kind {
	ahead := *r
	t, err := ahead.next()
	if err != nil {
		return 0
	}
	return t.kind
}

// next reads one head, and the body of what has one. Sizes are checked against
// the bytes left: each element takes at least one.
func (r *Reader) next() (token, error) {
	lead, ok := r.take(1)
	if !ok {
		return token{}, ErrMalformed
	}
	switch b := lead[0]; {
	case b <= 0x7f:
		return token{kind: Int, bits: uint64(b)}, nil
	case b <= 0x8f:
		return r.container(Map, uint64(b&0x0f))
	case b <= 0x9f:
		return r.container(Array, uint64(b&0x0f))
	case b <= 0xbf:
		return r.body(String, uint64(b&0x1f))
	case b >= 0xe0:
		return token{kind: Int, bits: uint64(int64(int8(b)))}, nil
	default:
		return r.long(b)
	}
}

// long reads the heads whose size or value follows in further bytes.
func (r *Reader) long(lead byte) (token, error) {
	switch lead {
	case 0xc0:
		return token{kind: Nil}, nil
	case 0xc2, 0xc3:
		return token{kind: Bool, bits: uint64(lead & 1)}, nil
	case 0xc4, 0xc5, 0xc6:
		return r.sized(Binary, 1<<(lead-0xc4))
	case 0xc7, 0xc8, 0xc9:
		return r.sized(Extension, 1<<(lead-0xc7))
	case 0xca, 0xcb:
		return r.float(4 << (lead - 0xca))
	case 0xcc, 0xcd, 0xce, 0xcf:
		bits, ok := r.uint(1 << (lead - 0xcc))
		return checked(token{kind: Int, bits: bits, unsigned: bits > math.MaxInt64}, ok)
	case 0xd0, 0xd1, 0xd2, 0xd3:
		width := 1 << (lead - 0xd0)
		bits, ok := r.uint(width)
		shift := 64 - 8*width
		return checked(token{kind: Int, bits: uint64(int64(bits<<shift) >> shift)}, ok)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return r.body(Extension, 1<<(lead-0xd4))
	case 0xd9, 0xda, 0xdb:
		return r.sized(String, 1<<(lead-0xd9))
	case 0xdc, 0xdd:
		return r.sized(Array, 2<<(lead-0xdc))
	case 0xde, 0xdf:
		return r.sized(Map, 2<<(lead-0xde))
	}
	return token{}, ErrMalformed
}

func checked(t token, ok bool) (token, error) {
	if !ok {
		return token{}, ErrMalformed
	}
	return t, nil
}

// sized reads a size of width bytes and then what has that size.
func (r *Reader) sized(kind Kind, width int) (token, error) {
	n, ok := r.uint(width)
	if !ok {
		return token{}, ErrMalformed
	}
	if kind == Array || kind == Map {
		return r.container(kind, n)
	}
	t, err := r.body(kind, n)
	t.sized = true
	return t, err
}

func (r *Reader) container(kind Kind, n uint64) (token, error) {
	values := n
	if kind == Map {
		values *= 2
	}
	return checked(token{kind: kind, size: int(n)}, values <= uint64(len(r.rest)))
}

func (r *Reader) body(kind Kind, n uint64) (token, error) {
	t := token{kind: kind}
	if kind == Extension {
		ext, ok := r.take(1)
		if !ok {
			return token{}, ErrMalformed
		}
		t.ext = int8(ext[0])
	}
	var ok bool
	t.body, ok = r.take(n)
	return checked(t, ok)
}

func (r *Reader) float(width int) (token, error) {
	bits, ok := r.uint(width)
	if width == 4 {
		bits = math.Float64bits(float64(math.Float32frombits(uint32(bits))))
	}
	return checked(token{kind: Float, bits: bits}, ok)
}

func (r *Reader) uint(width int) (uint64, bool) {
	b, ok := r.take(uint64(width))
	if !ok {
		return 0, false
	}
	switch width {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), true
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), true
	default:
		return binary.BigEndian.Uint64(b), true
	}
}

func (r *Reader) take(n uint64) ([]byte, bool) {
	if n > uint64(len(r.rest)) {
		return nil, false
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken, true
}

// appendScalar writes a nil, boolean or number as JSON.
func (t *token) appendScalar(dst []byte) []byte {
	switch t.kind {
	case Bool:
		return strconv.AppendBool(dst, t.bits == 1)
	case Int:
		if t.unsigned {
			return strconv.AppendUint(dst, t.bits, 10)
		}
		return strconv.AppendInt(dst, int64(t.bits), 10)
	case Float:
		f := math.Float64frombits(t.bits)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(dst, "null"...)
		}
		return jsontext.AppendFloat(dst, f+0, 64)
	}
	return append(dst, "null"...)
}
