package packet

import (
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Unmarshal stores value in what v points to, as package
// github.com/go-json-experiment/json does: names match with their case, unknown
// members are ignored, numbers in an any are float64. Of repeated names the last
// one wins; objects repeated inside a struct are merged. A lone surrogate becomes
// U+FFFD.
//
// Where value has a placeholder, a []byte or an any becomes the attachment itself,
// not a copy. Without attachments such an object is plain data. A []byte is also
// filled from a string in base64, and a Raw from anything.
//
// It fails with ErrDecode. It is safe for concurrent use as long as v is.
func Unmarshal(value jsontext.Value, attachments [][]byte, v any) error {
	r := withoutAttachments
	if len(attachments) > 0 {
		r = readers.Get().(*reader)
		r.attachments = attachments
		defer r.release()
	}
	if err := json.Unmarshal(value, v, r.options...); err != nil {
		return fmt.Errorf("%w: %w", ErrDecode, err)
	}
	return nil
}

// reader decodes values that have attachments. It is pooled for the same reason
// as encoder.
type reader struct {
	options     []json.Options
	attachments [][]byte
}

var (
	readers            = sync.Pool{New: func() any { return newReader() }}
	withoutAttachments = newReader()
)

func newReader() *reader {
	r := new(reader)
	r.options = []json.Options{
		jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true),
		json.WithUnmarshalers(json.JoinUnmarshalers(
			json.UnmarshalFromFunc(r.readBytes),
			json.UnmarshalFromFunc(r.readAny),
			json.UnmarshalFromFunc(r.readRaw),
		)),
	}
	return r
}

func (r *reader) release() {
	r.attachments = nil
	readers.Put(r)
}

// readBytes reads a placeholder and leaves anything else to the JSON package.
func (r *reader) readBytes(dec *jsontext.Decoder, v *[]byte) error {
	if dec.PeekKind() != '{' || len(r.attachments) == 0 {
		return errors.ErrUnsupported
	}
	object, err := dec.ReadValue()
	if err != nil {
		return err
	}
	s := scanner{data: object, levels: deepest, attachments: len(r.attachments), wantSpans: true}
	if err := s.scan(); err != nil {
		return err
	}
	if len(s.spans) != 1 || s.spans[0].start != 0 {
		return errPlaceholder
	}
	*v = r.attachments[s.spans[0].num]
	return nil
}

func (r *reader) readRaw(dec *jsontext.Decoder, v *Raw) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	*v = Raw{Value: value.Clone(), Attachments: r.attachments}
	return nil
}

// readAny reads any value. The JSON package would do, but for placeholders, and
// for repeated names, whose values it merges.
func (r *reader) readAny(dec *jsontext.Decoder, v *any) (err error) {
	*v, err = r.tree(dec)
	return err
}

func (r *reader) tree(dec *jsontext.Decoder) (any, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '"':
		return token.String(), nil
	case '0':
		return token.Float()
	case 't', 'f':
		return token.Bool(), nil
	case '[':
		return r.array(dec)
	case '{':
		return r.object(dec)
	}
	return nil, nil
}

func (r *reader) array(dec *jsontext.Decoder) (any, error) {
	values := []any{}
	for dec.PeekKind() != ']' {
		v, err := r.tree(dec)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	_, err := dec.ReadToken()
	return values, err
}

func (r *reader) object(dec *jsontext.Decoder) (any, error) {
	members := map[string]any{}
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		if members[name], err = r.tree(dec); err != nil {
			return nil, err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	return r.resolve(members)
}

// resolve returns the attachment that members stand for, or members.
func (r *reader) resolve(members map[string]any) (any, error) {
	if len(r.attachments) == 0 || members["_placeholder"] != true {
		return members, nil
	}
	num, ok := members["num"].(float64)
	if i := int(num); ok && 0 <= i && i < len(r.attachments) && float64(i) == num {
		return r.attachments[i], nil
	}
	return nil, errPlaceholder
}
