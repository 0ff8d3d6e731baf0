package wire

import (
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// Bytes returns what has arrived as bytes, without a copy. Nobody may write to them.
func Bytes(arrived string) []byte { return unsafe.Slice(unsafe.StringData(arrived), len(arrived)) }

// reader walks over a message in either form. After an error, which it keeps, it reads
// nothing more. A copy of a reader reads the same again.
type reader struct {
	packed msgpack.Reader
	text   jsonReader
	json   bool // it walks over text, not over packed
	err    error
}

// newReader returns a reader over payload, which is JSON if it begins with a brace and
// MessagePack otherwise. What is read may be part of payload.
func newReader(payload []byte) reader {
	if len(payload) == 0 || payload[0] != '{' {
		return reader{packed: msgpack.NewReader(payload)}
	}
	r := reader{text: jsonReader{payload}, json: true}
	r.check(utf8.Valid(payload))
	return r
}

// check fails the reader unless what it has read is right.
func (r *reader) check(ok bool) {
	if !ok && r.err == nil {
		r.err = adapter.ErrMalformed
	}
}

// end checks that there is no more.
func (r *reader) end() {
	if r.json {
		r.check(r.text.peek() == 0 && len(r.text.rest) == 0)
	} else {
		r.check(r.packed.Len() == 0)
	}
}

// kind returns the kind of the next value without reading it; of a number in JSON it is
// Int.
func (r *reader) kind() msgpack.Kind {
	switch {
	case r.err != nil:
		return 0
	case r.json:
		return r.text.kind()
	}
	return r.packed.Peek()
}

// container is an object or an array that is being read.
type container struct {
	kind msgpack.Kind
	left int    // elements that have not been read; unknown in JSON
	read int    // elements that next has come to
	key  []byte // of the present member of an object
}

// object begins to read an object, and array an array. Each element, to which next
// leads, is then to be read:
//
//	for o := r.object(); r.next(&o); {
func (r *reader) object() container { return r.open(msgpack.Map, '{') }
func (r *reader) array() container  { return r.open(msgpack.Array, '[') }

func (r *reader) open(kind msgpack.Kind, bracket byte) container {
	c := container{kind: kind}
	switch {
	case r.err != nil:
	case r.json:
		r.check(r.text.open(bracket))
	default:
		size := r.packed.ArrayLen
		if kind == msgpack.Map {
			size = r.packed.MapLen
		}
		var err error
		c.left, err = size()
		r.check(err == nil)
	}
	return c
}

// next says whether there is another element, and reads its key. It fails for an array
// that has more of them than a list may have.
func (r *reader) next(c *container) bool {
	if r.err != nil {
		return false
	}
	if r.json {
		end := byte(']')
		if c.kind == msgpack.Map {
			end = '}'
		}
		more, ok := r.text.more(end, c.read == 0)
		if r.check(ok); !more || !ok {
			return false
		}
	} else if c.read == c.left {
		return false
	}
	c.read++
	if c.kind == msgpack.Map {
		c.key = r.key()
	} else {
		r.check(c.read <= maxElements)
	}
	return r.err == nil
}

// key reads the key of a member.
func (r *reader) key() []byte {
	if r.json {
		key, ok := r.text.key()
		r.check(ok)
		return key
	}
	key, err := r.packed.Text()
	r.check(err == nil)
	return key
}

// skip reads a value, with what is inside, and returns its bytes.
func (r *reader) skip() (value []byte) {
	if r.err != nil {
		return nil
	}
	if r.json {
		var ok bool
		value, ok = r.text.skip()
		r.check(ok)
		return value
	}
	value, err := r.packed.Skip()
	r.check(err == nil)
	return value
}

// name reads what names a room: a string, or a number as JavaScript would write it.
func (r *reader) name() (name string) {
	switch {
	case r.err != nil:
	case !r.json:
		text, err := r.packed.Text()
		r.check(err == nil)
		name = string(text)
	case r.kind() == msgpack.String:
		text, ok := r.text.text()
		r.check(ok)
		name = string(text)
	default:
		r.check(r.kind() != msgpack.Map && r.kind() != msgpack.Array)
		name = string(r.skip())
	}
	return name
}

// names reads a list of names. Nil is an empty one.
func (r *reader) names() (names []string) {
	if r.kind() == msgpack.Nil {
		r.skip()
		return nil
	}
	for list := r.array(); r.next(&list); {
		names = append(names, r.name())
	}
	return names
}

// string reads a string. Undefined, which may arrive as nil, is the same as empty.
func (r *reader) string() string {
	if r.kind() == msgpack.Nil {
		r.skip()
		return ""
	}
	r.check(r.kind() == msgpack.String)
	return r.name()
}

// id is string for what names a server or a request.
func (r *reader) id() string {
	id := r.string()
	r.check(len(id) <= maxIDBytes)
	return id
}

// bool reads a boolean; nil is false.
func (r *reader) bool() bool {
	kind := r.kind()
	r.check(kind == msgpack.Bool || kind == msgpack.Nil)
	return isTrue(r.skip())
}

// isTrue and isFalse look at a value in either form.
func isTrue(value []byte) bool  { return string(value) == "true" || string(value) == "\xc3" }
func isFalse(value []byte) bool { return string(value) == "false" || string(value) == "\xc2" }

// int reads an integer of at most limit that is not negative.
func (r *reader) int(limit int64) (n int64) {
	var err error
	switch {
	case r.err != nil:
		return 0
	case r.json:
		n, err = strconv.ParseInt(string(r.skip()), 10, 64)
	default:
		n, err = r.packed.Int()
	}
	r.check(err == nil && n >= 0 && n <= limit)
	return n
}

// maxTimeout is the longest time that JavaScript can wait.
const maxTimeout = (1<<31 - 1) * time.Millisecond

// timeout reads a number of milliseconds. What is none is no timeout.
func (r *reader) timeout() time.Duration {
	if kind := r.kind(); kind != msgpack.Int && kind != msgpack.Float {
		r.skip()
		return 0
	}
	ms, err := strconv.ParseFloat(r.name(), 64)
	if err != nil || !(ms > 0) {
		return 0
	}
	return time.Duration(min(ms, float64(maxTimeout/time.Millisecond)) * float64(time.Millisecond))
}

// plain reads a value as JSON without attachments: a binary in it is what JSON.stringify
// makes of a Buffer.
func (r *reader) plain() []byte {
	if r.json || r.err != nil {
		return r.skip()
	}
	value, err := r.packed.AppendPlainJSON(nil)
	r.check(err == nil)
	return value
}
