package redis

import (
	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// Requests and responses are objects, as JSON or as MessagePack. Here they are
// made and read in MessagePack, and JSON is turned into it and back: so there is one
// reader and one writer, and what is not JSON is found before it is on its way.

// object is a MessagePack map in the making, of at most 15 members.
type object struct {
	packed []byte
	head   int // where packed has the map's header
}

// newObject returns an empty object behind what packed holds.
func newObject(packed []byte) object {
	return object{packed: append(packed, 0x80), head: len(packed)}
}

func (o *object) key(name string) {
	o.packed[o.head]++
	o.packed = msgpack.AppendString(o.packed, name)
}

func (o *object) text(name, value string) {
	o.key(name)
	o.packed = msgpack.AppendString(o.packed, value)
}

func (o *object) number(name string, n uint64) {
	o.key(name)
	o.packed = msgpack.AppendUint(o.packed, n)
}

func (o *object) bool(name string, on bool) {
	o.key(name)
	if on {
		o.packed = append(o.packed, 0xc3)
	} else {
		o.packed = append(o.packed, 0xc2)
	}
}

func (o *object) names(name string, list []string) {
	o.key(name)
	o.packed = appendStrings(o.packed, list)
}

// object adds a member that is an object, whose members fill adds.
func (o *object) object(name string, fill func(*object)) {
	o.key(name)
	inner := newObject(o.packed)
	fill(&inner)
	o.packed = inner.packed
}

// value adds JSON in which placeholders stand for attachments.
func (o *object) value(name string, json []byte, attachments [][]byte) error {
	o.key(name)
	packed, err := msgpack.AppendFromJSON(o.packed, json, attachments)
	if err != nil {
		return adapter.ErrMalformed
	}
	o.packed = packed
	return nil
}

// appendJSON appends a packed object as JSON to dst, as JSON.stringify writes it.
func appendJSON(dst, packed []byte) ([]byte, error) {
	r := msgpack.NewReader(packed)
	text, _, err := r.AppendJSON(dst, nil)
	if err != nil {
		return dst, adapter.ErrMalformed
	}
	return text, nil
}

// readObject calls member for each key of payload, an object that is JSON if it
// begins with a brace and MessagePack otherwise. What member keeps of the reader's
// bytes is payload's, or a copy.
func readObject(payload []byte, member func(key []byte, r *msgpack.Reader) error) error {
	if len(payload) > 0 && payload[0] == '{' {
		packed, err := msgpack.AppendFromJSON(make([]byte, 0, len(payload)), payload, nil)
		if err != nil {
			return err
		}
		payload = packed
	}
	r := msgpack.NewReader(payload)
	if err := readMap(&r, member); err != nil {
		return err
	}
	if r.Len() > 0 {
		return adapter.ErrMalformed
	}
	return nil
}

// maxIDBytes bounds what other programs may take for an id.
const maxIDBytes = 256

// readID reads a string that names something. Undefined, which arrives as nil, is
// the same as empty.
func readID(r *msgpack.Reader) (string, error) {
	if r.Peek() == msgpack.Nil {
		_, err := r.Skip()
		return "", err
	}
	if r.Peek() != msgpack.String {
		return "", adapter.ErrMalformed
	}
	id, err := r.Text()
	if err == nil && len(id) > maxIDBytes {
		err = adapter.ErrMalformed
	}
	return string(id), err
}

// readBool reads a boolean; nil is false.
func readBool(r *msgpack.Reader) (bool, error) {
	if kind := r.Peek(); kind != msgpack.Bool && kind != msgpack.Nil {
		return false, adapter.ErrMalformed
	}
	value, err := r.Skip()
	return string(value) == "\xc3", err
}
