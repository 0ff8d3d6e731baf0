package msgpack

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tinylib/msgp/msgp"
)

// AppendString appends text as a MessagePack string.
func AppendString(dst []byte, text string) []byte { return msgp.AppendString(dst, text) }

// AppendArrayHeader appends the head of an array of n elements.
func AppendArrayHeader(dst []byte, n int) []byte { return msgp.AppendArrayHeader(dst, uint32(n)) }

// AppendMapHeader appends the head of a map of n pairs.
func AppendMapHeader(dst []byte, n int) []byte { return msgp.AppendMapHeader(dst, uint32(n)) }

// AppendUint appends n as a MessagePack integer.
func AppendUint(dst []byte, n uint64) []byte { return msgp.AppendUint64(dst, n) }

// AppendFromJSON appends the JSON value to dst as MessagePack, with attachments
// in the place of their placeholders. Without attachments an object that looks
// like a placeholder is an object. It fails with ErrMalformed, also for a
// placeholder whose number has no attachment, and with ErrTooDeep.
//
// Every value takes the fewest bytes; a number that is whole is an integer
// however it is written, as in JavaScript. Invalid UTF-8 and lone surrogates
// become U+FFFD.
func AppendFromJSON(dst []byte, value jsontext.Value, attachments [][]byte) ([]byte, error) {
	s := jsonScanner{src: value, dst: dst, attachments: attachments}
	if err := s.value(0); err != nil {
		return dst, err
	}
	if s.skipSpace(); s.pos != len(s.src) {
		return dst, ErrMalformed
	}
	s.widenHeaders()
	return s.dst, nil
}

type jsonScanner struct {
	src         []byte
	pos         int
	dst         []byte
	attachments [][]byte
	// wide are the containers that have outgrown a one-byte header, which is
	// what each gets while its size is unknown. They are widened in one pass at
	// the end, so that nesting does not move the same bytes again and again.
	wide []wideHeader
}

type wideHeader struct {
	at     int // of the one-byte header
	header [5]byte
	size   int // of header
}

func (s *jsonScanner) value(depth int) error {
	s.skipSpace()
	if s.pos >= len(s.src) {
		return ErrMalformed
	}
	switch c := s.src[s.pos]; c {
	case '{':
		if attached, err := s.placeholder(); attached || err != nil {
			return err
		}
		return s.container(depth+1, '}')
	case '[':
		return s.container(depth+1, ']')
	case '"':
		return s.text()
	case 't':
		return s.literal("true", 0xc3)
	case 'f':
		return s.literal("false", 0xc2)
	case 'n':
		return s.literal("null", 0xc0)
	default:
		return s.number()
	}
}

// container transcodes an array or an object, by the bracket that ends it.
func (s *jsonScanner) container(depth int, end byte) error {
	if depth > MaxDepth {
		return ErrTooDeep
	}
	at := len(s.dst)
	s.dst = append(s.dst, 0)
	s.pos++
	size := 0
	for ; ; size++ {
		switch c := s.peek(); {
		case c == end:
			s.pos++
			s.header(at, end, size)
			return nil
		case size > 0 && c != ',':
			return ErrMalformed
		case size > 0:
			s.pos++
		}
		if end == '}' {
			if err := s.key(); err != nil {
				return err
			}
		}
		if err := s.value(depth); err != nil {
			return err
		}
	}
}

func (s *jsonScanner) key() error {
	if s.peek() != '"' {
		return ErrMalformed
	}
	if err := s.text(); err != nil {
		return err
	}
	if s.peek() != ':' {
		return ErrMalformed
	}
	s.pos++
	return nil
}

func (s *jsonScanner) header(at int, end byte, size int) {
	short, long := byte(0x90), byte(0xdc)
	if end == '}' {
		short, long = 0x80, 0xde
	}
	if size < 16 {
		s.dst[at] = short | byte(size)
		return
	}
	w := wideHeader{at: at, size: 3, header: [5]byte{long}}
	if size <= math.MaxUint16 {
		binary.BigEndian.PutUint16(w.header[1:], uint16(size))
	} else {
		w.size, w.header[0] = 5, long+1
		binary.BigEndian.PutUint32(w.header[1:], uint32(size))
	}
	s.wide = append(s.wide, w)
}

func (s *jsonScanner) widenHeaders() {
	if len(s.wide) == 0 {
		return
	}
	slices.SortFunc(s.wide, func(a, b wideHeader) int { return a.at - b.at })
	grow := 0
	for _, w := range s.wide {
		grow += w.size - 1
	}
	end := len(s.dst)
	s.dst = slices.Grow(s.dst, grow)[:end+grow]
	for _, w := range slices.Backward(s.wide) {
		copy(s.dst[w.at+1+grow:], s.dst[w.at+1:end])
		grow -= w.size - 1
		copy(s.dst[w.at+grow:], w.header[:w.size])
		end = w.at
	}
}

// text transcodes the string at pos. Almost all strings can be copied; the others
// are unquoted behind a header of the largest size and then moved.
func (s *jsonScanner) text() error {
	start := s.pos
	plain, ok := s.endOfText()
	if !ok {
		return ErrMalformed
	}
	body := s.src[start+1 : s.pos-1]
	if plain && utf8.Valid(body) {
		s.dst = msgp.AppendStringFromBytes(s.dst, body)
		return nil
	}
	at := len(s.dst)
	unquoted, ok := appendUnescaped(append(s.dst, 0, 0, 0, 0, 0), body)
	if !ok {
		return ErrMalformed
	}
	text := unquoted[at+5:]
	s.dst = append(appendStringHeader(unquoted[:at], len(text)), text...)
	return nil
}

func appendStringHeader(dst []byte, n int) []byte {
	switch {
	case n < 32:
		return append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		return append(dst, 0xd9, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
}

// endOfText moves pos behind the string and says whether it has no escapes.
func (s *jsonScanner) endOfText() (plain, ok bool) {
	plain = true
	for i := s.pos + 1; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '"':
			s.pos = i + 1
			return plain, true
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return false, false
		}
	}
	return false, false
}

// maxSafeInteger is the largest integer up to which JavaScript counts exactly. A
// number with a fraction or an exponent becomes an integer up to there only.
const maxSafeInteger = 1<<53 - 1

func (s *jsonScanner) number() error {
	text, whole, ok := s.numberText()
	if !ok {
		return ErrMalformed
	}
	if whole {
		if text[0] != '-' {
			if u, err := strconv.ParseUint(string(text), 10, 64); err == nil {
				s.dst = msgp.AppendUint64(s.dst, u)
				return nil
			}
		} else if i, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			s.integer(i)
			return nil
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	switch {
	case math.IsInf(f, 0):
		s.dst = msgp.AppendNil(s.dst)
	case err != nil:
		return ErrMalformed
	case f == math.Trunc(f) && math.Abs(f) <= maxSafeInteger:
		s.integer(int64(f))
	default:
		s.dst = msgp.AppendFloat64(s.dst, f)
	}
	return nil
}

func (s *jsonScanner) integer(i int64) {
	if i >= 0 {
		s.dst = msgp.AppendUint64(s.dst, uint64(i))
	} else {
		s.dst = msgp.AppendInt64(s.dst, i)
	}
}

// numberText moves pos behind the number and says whether it is written as an
// integer.
func (s *jsonScanner) numberText() (text []byte, whole, ok bool) {
	start := s.pos
	if s.src[s.pos] == '-' {
		s.pos++
	}
	leadingZero := s.pos < len(s.src) && s.src[s.pos] == '0'
	if n := s.digits(); n == 0 || leadingZero && n > 1 {
		return nil, false, false
	}
	whole = true
	if s.pos < len(s.src) && s.src[s.pos] == '.' {
		s.pos++
		if whole = false; s.digits() == 0 {
			return nil, false, false
		}
	}
	if s.pos < len(s.src) && s.src[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.src) && (s.src[s.pos] == '+' || s.src[s.pos] == '-') {
			s.pos++
		}
		if whole = false; s.digits() == 0 {
			return nil, false, false
		}
	}
	return s.src[start:s.pos], whole, true
}

func (s *jsonScanner) digits() int {
	start := s.pos
	for s.pos < len(s.src) && s.src[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - start
}

func (s *jsonScanner) literal(text string, code byte) error {
	if !bytes.HasPrefix(s.src[s.pos:], []byte(text)) {
		return ErrMalformed
	}
	s.pos += len(text)
	s.dst = append(s.dst, code)
	return nil
}

// peek skips space and returns the next byte, 0 at the end.
func (s *jsonScanner) peek() byte {
	s.skipSpace()
	if s.pos >= len(s.src) {
		return 0
	}
	return s.src[s.pos]
}

func (s *jsonScanner) skipSpace() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}
