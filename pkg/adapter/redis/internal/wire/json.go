package wire

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/internal/msgpack"
)

// jsonReader walks over JSON and checks its grammar. That its bytes are UTF-8 is for its
// owner to check. After false it is not to be used any more.
type jsonReader struct {
	rest []byte
}

// kind returns the kind of the next value as far as its first byte tells, 0 without one.
func (j *jsonReader) kind() msgpack.Kind {
	switch c := j.peek(); c {
	case '{':
		return msgpack.Map
	case '[':
		return msgpack.Array
	case '"':
		return msgpack.String
	case 't', 'f':
		return msgpack.Bool
	case 'n':
		return msgpack.Nil
	default:
		if c == '-' || isDigit(c) {
			return msgpack.Int
		}
		return 0
	}
}

// peek skips space and returns the next byte, 0 at the end.
func (j *jsonReader) peek() byte {
	for len(j.rest) > 0 {
		switch c := j.rest[0]; c {
		case ' ', '\t', '\n', '\r':
			j.rest = j.rest[1:]
		default:
			return c
		}
	}
	return 0
}

// open reads the bracket that begins a container.
func (j *jsonReader) open(bracket byte) bool {
	if j.peek() != bracket {
		return false
	}
	j.rest = j.rest[1:]
	return true
}

// more says whether another element follows, having read the comma before it, or else
// the bracket that ends the container.
func (j *jsonReader) more(end byte, first bool) (more, ok bool) {
	switch c := j.peek(); {
	case c == end:
		j.rest = j.rest[1:]
		return false, true
	case first:
		return true, true
	case c == ',':
		j.rest = j.rest[1:]
		return true, true
	}
	return false, false
}

// key reads a member's name and the colon.
func (j *jsonReader) key() ([]byte, bool) {
	name, ok := j.text()
	if !ok || j.peek() != ':' {
		return nil, false
	}
	j.rest = j.rest[1:]
	return name, true
}

// text reads a string. The result is part of the input if there are no escapes in it.
func (j *jsonReader) text() ([]byte, bool) {
	j.peek()
	quoted, plain, ok := j.quoted()
	if !ok {
		return nil, false
	}
	if plain {
		return quoted[1 : len(quoted)-1], true
	}
	// The error would tell of a lone surrogate, which becomes U+FFFD.
	text, _ := jsontext.AppendUnquote(nil, quoted)
	return text, true
}

// skip reads a value, with what is inside, and returns its bytes.
func (j *jsonReader) skip() ([]byte, bool) {
	j.peek()
	start := j.rest
	if !j.value(0) {
		return nil, false
	}
	return start[:len(start)-len(j.rest)], true
}

func (j *jsonReader) value(depth int) bool {
	switch j.peek() {
	case '{':
		return j.container(depth+1, '{', '}')
	case '[':
		return j.container(depth+1, '[', ']')
	case '"':
		_, _, ok := j.quoted()
		return ok
	case 't':
		return j.literal("true")
	case 'f':
		return j.literal("false")
	case 'n':
		return j.literal("null")
	}
	return j.number()
}

func (j *jsonReader) container(depth int, begin, end byte) bool {
	if depth > msgpack.MaxDepth || !j.open(begin) {
		return false
	}
	for first := true; ; first = false {
		more, ok := j.more(end, first)
		if !more || !ok {
			return ok
		}
		if end == '}' {
			if _, _, ok := j.quoted(); !ok || j.peek() != ':' {
				return false
			}
			j.rest = j.rest[1:]
		}
		if !j.value(depth) {
			return false
		}
	}
}

// quoted reads a string with its quotes and says whether it has no escapes.
func (j *jsonReader) quoted() (quoted []byte, plain, ok bool) {
	j.peek()
	text := j.rest
	if len(text) == 0 || text[0] != '"' {
		return nil, false, false
	}
	plain = true
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			j.rest = text[i+1:]
			return text[:i+1], plain, true
		case c == '\\':
			plain = false
			n := escapeLen(text[i:])
			if n == 0 {
				return nil, false, false
			}
			i += n - 1
		case c < ' ':
			return nil, false, false
		}
	}
	return nil, false, false
}

// escapeLen returns the length of the escape at the head of text, 0 for none.
func escapeLen(text []byte) int {
	const unicodeLen = len(`\u0000`)
	switch {
	case len(text) < 2:
		return 0
	case bytes.IndexByte([]byte(`"\/bfnrt`), text[1]) >= 0:
		return 2
	case text[1] != 'u' || len(text) < unicodeLen:
		return 0
	}
	for _, c := range text[2:unicodeLen] {
		if !isDigit(c) && (c|0x20 < 'a' || 'f' < c|0x20) {
			return 0
		}
	}
	return unicodeLen
}

func (j *jsonReader) number() bool {
	if len(j.rest) > 0 && j.rest[0] == '-' {
		j.rest = j.rest[1:]
	}
	leadingZero := len(j.rest) > 0 && j.rest[0] == '0'
	if n := j.digits(); n == 0 || leadingZero && n > 1 {
		return false
	}
	if len(j.rest) > 0 && j.rest[0] == '.' {
		j.rest = j.rest[1:]
		if j.digits() == 0 {
			return false
		}
	}
	if len(j.rest) > 0 && j.rest[0]|0x20 == 'e' {
		j.rest = j.rest[1:]
		if len(j.rest) > 0 && (j.rest[0] == '+' || j.rest[0] == '-') {
			j.rest = j.rest[1:]
		}
		return j.digits() > 0
	}
	return true
}

func (j *jsonReader) digits() (n int) {
	for n < len(j.rest) && isDigit(j.rest[n]) {
		n++
	}
	j.rest = j.rest[n:]
	return n
}

func (j *jsonReader) literal(text string) bool {
	if !bytes.HasPrefix(j.rest, []byte(text)) {
		return false
	}
	j.rest = j.rest[len(text):]
	return true
}
