package packet

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MarshalEvent returns the data of an Event packet: a JSON array of event and
// args, in which each []byte, however deep inside args, is a placeholder for one
// of attachments, in depth-first order. The attachments are the very slices that
// args hold, not copies, and must not be changed while the packet is in use.
//
// Values are encoded as package github.com/go-json-experiment/json does: nil
// slices and maps become empty ones, a nil pointer becomes null. A nil []byte is
// null. Types with a JSON or text form of their own keep it, and so do types that
// are merely defined as a []byte, whose form is base64. Invalid UTF-8 is replaced
// by U+FFFD. A Raw is passed on together with its attachments.
//
// It fails with ErrEncode, naming event and the argument's position, for what has
// no JSON form, and for arguments that hold a foreign placeholder next to real
// ones. It is safe for concurrent use.
func MarshalEvent(event string, args ...any) (data jsontext.Value, attachments [][]byte, err error) {
	if size, ok := passable(args); ok {
		data, err = jsontext.AppendQuote(append(make([]byte, 0, size+len(event)+quotes), '['), event)
		if err == nil {
			return passOn(data, args), nil, nil
		}
	}
	e := encoders.Get().(*encoder)
	defer e.release()
	e.event, e.named, e.args = event, true, append(e.args, args...)
	data, attachments, err = e.marshal(e)
	if err != nil {
		return nil, nil, fmt.Errorf("%w event %q: %w", ErrEncode, event, err)
	}
	return data, attachments, nil
}

// MarshalArgs returns the data of an Ack packet: a JSON array of args. For the
// rest it is like MarshalEvent.
func MarshalArgs(args ...any) (data jsontext.Value, attachments [][]byte, err error) {
	if size, ok := passable(args); ok {
		return passOn(append(make([]byte, 0, size+quotes), '['), args), nil, nil
	}
	e := encoders.Get().(*encoder)
	defer e.release()
	e.args = append(e.args, args...)
	data, attachments, err = e.marshal(e)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEncode, err)
	}
	return data, attachments, nil
}

// quotes is room for the quotes and brackets around an event's name.
const quotes = 4

// passable says whether args are all values that were checked on arrival, and how
// many bytes they take.
func passable(args []any) (size int, ok bool) {
	for _, arg := range args {
		r, isRaw := arg.(Raw)
		if !isRaw || !r.passable() {
			return 0, false
		}
		size += len(r.Value) + 1
	}
	return size, true
}

// passOn completes an array with args, which are passable.
func passOn(data jsontext.Value, args []any) jsontext.Value {
	for _, arg := range args {
		if len(data) > 1 {
			data = append(data, ',')
		}
		data = append(data, arg.(Raw).Value...)
	}
	return append(data, ']')
}

// MarshalValue returns the JSON of v for packets that have no attachments: the
// data of Connect and ConnectError. It fails with ErrBinary if v holds a []byte
// and with ErrEncode if it has no JSON form. It is safe for concurrent use.
func MarshalValue(v any) (jsontext.Value, error) {
	e := encoders.Get().(*encoder)
	defer e.release()
	data, attachments, err := e.marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncode, err)
	}
	if len(attachments) > 0 {
		return nil, ErrBinary
	}
	return data, nil
}

// encoder encodes the arguments of one packet at a time. It is pooled because
// its options, which hold functions bound to it, are dear to make.
type encoder struct {
	options []json.Options
	event   string
	named   bool
	// args is a copy, so that the caller's list need not be on the heap.
	args []any
	// index is the argument being encoded.
	index       int
	attachments [][]byte
	scratch     []byte
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.options = []json.Options{
		jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true),
		jsontext.PreserveRawStrings(true),
		json.WithMarshalers(json.JoinMarshalers(
			json.MarshalToFunc(e.writeBytes),
			json.MarshalToFunc(e.writeRaw),
		)),
	}
	return e
}}

// What an encoder may keep in the pool: one large packet must not pin its memory.
const (
	keptArgs    = 64
	keptScratch = 64 << 10
)

// release returns e to the pool without what it has encoded.
func (e *encoder) release() {
	clear(e.args)
	args, scratch := e.args[:0], e.scratch[:0]
	if cap(args) > keptArgs || cap(scratch) > keptScratch {
		args, scratch = nil, nil
	}
	*e = encoder{options: e.options, args: args, scratch: scratch}
	encoders.Put(e)
}

// marshal returns v's JSON and the attachments found in it.
func (e *encoder) marshal(v any) (jsontext.Value, [][]byte, error) {
	data, err := json.Marshal(v, e.options...)
	if err != nil {
		return nil, nil, fmt.Errorf("argument %d: %w", e.index, err)
	}
	if !utf8.Valid(data) {
		// Raw values keep their bytes, but a text frame must be UTF-8. Bytes that
		// are not can only be inside strings.
		data = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	}
	if err := e.checkPlaceholders(data); err != nil {
		return nil, nil, err
	}
	return data, e.attachments, nil
}

// errForged is what checkPlaceholders finds.
var errForged = errors.New("plain data in the form of a placeholder next to attachments")

// checkPlaceholders refuses plain data in the form of a placeholder next to real
// ones: it would show its receiver the wrong attachment, or end its connection.
func (e *encoder) checkPlaceholders(data []byte) error {
	if len(e.attachments) == 0 {
		return nil
	}
	s := scanner{data: data, levels: deepest, attachments: len(e.attachments)}
	err := s.scan()
	if err == errPlaceholder || err == nil && s.placeholders != len(e.attachments) {
		return errForged
	}
	return err
}

// MarshalJSONTo writes the array of event and arguments.
func (e *encoder) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	if e.named {
		if err := enc.WriteToken(jsontext.String(e.event)); err != nil {
			return err
		}
	}
	for i, arg := range e.args {
		e.index = i
		if err := e.write(enc, arg); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndArray)
}

// write writes one argument, the commonest kinds without reflection.
func (e *encoder) write(enc *jsontext.Encoder, arg any) error {
	switch v := arg.(type) {
	case string:
		return enc.WriteToken(jsontext.String(v))
	case int:
		return enc.WriteToken(jsontext.Int(int64(v)))
	case []byte:
		return e.writeBytes(enc, v)
	case Raw:
		return e.writeRaw(enc, v)
	case jsontext.Value:
		return writeValue(enc, v)
	}
	return json.MarshalEncode(enc, arg)
}

// writeValue writes v, and null for a nil one.
func writeValue(enc *jsontext.Encoder, v jsontext.Value) error {
	if v == nil {
		return enc.WriteToken(jsontext.Null)
	}
	return enc.WriteValue(v)
}

func (e *encoder) writeBytes(enc *jsontext.Encoder, b []byte) error {
	if b == nil {
		return enc.WriteToken(jsontext.Null)
	}
	e.scratch = appendPlaceholder(e.scratch[:0], len(e.attachments))
	e.attachments = append(e.attachments, b)
	return enc.WriteValue(e.scratch)
}

// writeRaw writes r with its placeholders renumbered, and takes over the
// attachments that they refer to, which may be fewer than r has.
func (e *encoder) writeRaw(enc *jsontext.Encoder, r Raw) error {
	if len(r.Attachments) == 0 {
		return writeValue(enc, r.Value)
	}
	s := scanner{data: r.Value, levels: deepest, attachments: len(r.Attachments), wantSpans: true}
	if err := s.scan(); err != nil {
		return err
	}
	text, done := e.scratch[:0], 0
	for _, p := range s.spans {
		text = append(text, r.Value[done:p.start]...)
		text = appendPlaceholder(text, len(e.attachments))
		e.attachments = append(e.attachments, r.Attachments[p.num])
		done = p.end
	}
	e.scratch = append(text, r.Value[done:]...)
	return enc.WriteValue(e.scratch)
}
