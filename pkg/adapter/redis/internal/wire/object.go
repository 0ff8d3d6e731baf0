package wire

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/internal/msgpack"
)

// Form is how a message is written over pub/sub. Either is read.
type Form uint8

const (
	// JSON is the form of the sharded adapter: JSON, or MessagePack where there is
	// binary data.
	JSON Form = 1 + iota
	// MessagePack is the form of the streams adapter.
	MessagePack
)

// writer is a message in the making.
type writer struct {
	out    []byte
	packed bool // it is MessagePack, and JSON otherwise
}

// object is an object of at most 15 members in the making. While an object is inside
// another one, nothing is added to the outer.
type object struct {
	*writer
	head    int // where out has the object's first byte
	members int
}

// begin returns an empty object behind what w holds.
func (w *writer) begin() object {
	o := object{writer: w, head: len(w.out)}
	if w.packed {
		w.out = append(w.out, 0x80)
	} else {
		w.out = append(w.out, '{')
	}
	return o
}

// end completes the object.
func (o *object) end() {
	if o.packed {
		o.out[o.head] |= byte(o.members)
	} else {
		o.out = append(o.out, '}')
	}
}

// key begins a member. Names are ours and need no escapes.
func (o *object) key(name string) {
	o.members++
	if o.packed {
		o.out = msgpack.AppendString(o.out, name)
		return
	}
	if o.members > 1 {
		o.out = append(o.out, ',')
	}
	o.out = append(o.out, '"')
	o.out = append(o.out, name...)
	o.out = append(o.out, '"', ':')
}

// object begins a member that is an object.
func (o *object) object(name string) object {
	o.key(name)
	return o.begin()
}

func (o *object) text(name, value string) {
	o.key(name)
	o.string(value)
}

func (o *object) number(name string, n uint64) {
	o.key(name)
	if o.packed {
		o.out = msgpack.AppendUint(o.out, n)
	} else {
		o.out = strconv.AppendUint(o.out, n, 10)
	}
}

func (o *object) bool(name string, on bool) {
	o.key(name)
	switch {
	case !o.packed:
		o.out = strconv.AppendBool(o.out, on)
	case on:
		o.out = append(o.out, 0xc3)
	default:
		o.out = append(o.out, 0xc2)
	}
}

func (o *object) null(name string) {
	o.key(name)
	if o.packed {
		o.out = append(o.out, 0xc0)
	} else {
		o.out = append(o.out, "null"...)
	}
}

func (o *object) names(name string, list []string) {
	o.key(name)
	o.array(len(list), func(i int) { o.string(list[i]) })
}

// value adds JSON in which placeholders stand for attachments. What is no JSON is found
// here, so that it cannot break out of its place.
func (o *object) value(name string, value []byte, attachments [][]byte) error {
	o.key(name)
	if o.packed {
		packed, err := msgpack.AppendFromJSON(o.out, value, attachments)
		if err != nil {
			return malformed("write value")
		}
		o.out = packed
		return nil
	}
	if !utf8.Valid(value) {
		value = bytes.ToValidUTF8(value, []byte("\uFFFD"))
	}
	j := jsonReader{value}
	if whole, ok := j.skip(); !ok || j.peek() != 0 || len(j.rest) > 0 || len(whole) == 0 {
		return malformed("write value")
	}
	o.out = append(o.out, value...)
	return nil
}

// array adds n elements, each of which element adds.
func (w *writer) array(n int, element func(i int)) {
	if w.packed {
		w.out = msgpack.AppendArrayHeader(w.out, n)
	} else {
		w.out = append(w.out, '[')
	}
	for i := range n {
		if i > 0 && !w.packed {
			w.out = append(w.out, ',')
		}
		element(i)
	}
	if !w.packed {
		w.out = append(w.out, ']')
	}
}

func (w *writer) string(text string) {
	if w.packed {
		w.out = msgpack.AppendString(w.out, text)
		return
	}
	// The error would tell of invalid UTF-8, which becomes U+FFFD.
	w.out, _ = jsontext.AppendQuote(w.out, text)
}

// writeFlags adds those flags that are set.
func (o *object) writeFlags(volatile, uncompressed bool, timeout time.Duration) {
	if volatile {
		o.bool("volatile", true)
	}
	if uncompressed {
		o.bool("compress", false)
	}
	if timeout > 0 {
		o.number("timeout", uint64((timeout+time.Millisecond-1)/time.Millisecond))
	}
}
