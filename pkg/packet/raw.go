package packet

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Raw is an argument that has not been decoded. Given to MarshalEvent it is passed
// on as it is; Unmarshal fills one instead of decoding.
type Raw struct {
	// Value is the argument's JSON; nil stands for null.
	Value jsontext.Value
	// Attachments are what placeholders in Value refer to. Several arguments of one
	// packet share them.
	Attachments [][]byte

	// checked is Value as Args has found it to be JSON. It need not be checked again
	// when it is passed on, which is most of the work of a server that relays.
	checked jsontext.Value
}

// passable says whether r can be written as it is.
func (r *Raw) passable() bool {
	return len(r.Attachments) == 0 && len(r.Value) > 0 && len(r.checked) == len(r.Value) && &r.checked[0] == &r.Value[0]
}

// Decode stores the argument in the value that v points to. It is
// Unmarshal(r.Value, r.Attachments, v).
func (r Raw) Decode(v any) error { return Unmarshal(r.Value, r.Attachments, v) }

// Args returns the arguments in p's data: those behind the name of an Event, all of
// an Ack. They alias p. It fails with ErrInvalid if the data is not a JSON array or,
// in an Event, has no name. Packets from a Decoder are never refused.
func (p *Packet) Args() ([]Raw, error) {
	// Most packets have few arguments: these are gathered on the stack. Many, up to
	// one in two bytes, are counted before there is memory for them.
	var few [8]Raw
	args := few[:0]
	for value, err := range elements(p.Data) {
		if err != nil {
			return nil, fmt.Errorf("%w: arguments: %w", ErrInvalid, err)
		}
		if len(args) == len(few) {
			args = slices.Grow(args, elementCount(p.Data))
		}
		args = append(args, Raw{Value: value, Attachments: p.Attachments, checked: value})
	}
	if p.Type == Event || p.Type == BinaryEvent {
		if len(args) == 0 {
			return nil, fmt.Errorf("%w: event without a name", ErrInvalid)
		}
		args = args[1:]
	}
	return slices.Clone(args), nil
}

// elements yields the elements of data, a JSON array, until one is malformed.
func elements(data jsontext.Value) func(yield func(jsontext.Value, error) bool) {
	return func(yield func(jsontext.Value, error) bool) {
		s := scanner{data: data, levels: deepest, attachments: plainData}
		if s.peek() != '[' {
			yield(nil, errSyntax)
			return
		}
		_ = s.open()
		if s.peek() == ']' {
			return
		}
		for {
			start := s.pos
			err := s.value()
			if !yield(data[start:s.pos:s.pos], err) || err != nil {
				return
			}
			s.blanks()
			switch s.peek() {
			case ',':
				s.pos++
				s.blanks()
			case ']':
				return
			default:
				yield(nil, errSyntax)
				return
			}
		}
	}
}

// elementCount returns how many elements data, a JSON array, has before one is
// malformed.
func elementCount(data jsontext.Value) (n int) {
	for range elements(data) {
		n++
	}
	return n
}

// EventName returns the name at the head of an Event's data, and false if there is
// none. A number counts as a name in its JSON form. The name aliases data unless
// the JSON has escapes.
func EventName(data jsontext.Value) (name []byte, ok bool) {
	s := scanner{data: data, attachments: plainData, levels: 1}
	if s.peek() != '[' {
		return nil, false
	}
	_ = s.open()
	start := s.pos
	switch c := s.peek(); {
	case c == '"':
		if s.string() != nil {
			return nil, false
		}
		name = data[start+1 : s.pos-1]
		if bytes.IndexByte(name, '\\') < 0 {
			return name, true
		}
		// The error would tell of a lone surrogate, which becomes U+FFFD.
		name, _ = jsontext.AppendUnquote(nil, data[start:s.pos])
		return name, true
	case c == '-' || isDigit(c):
		if s.number() != nil {
			return nil, false
		}
		return data[start:s.pos], true
	}
	return nil, false
}
