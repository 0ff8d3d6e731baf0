package msgpack

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendJSON reads one value from r and appends it to dst as JSON. Each binary
// becomes a placeholder and is appended to attachments, which share memory with
// the input. It fails with ErrMalformed, with ErrTooDeep, and with ErrTooLarge for more
// than a million binaries.
//
// Values that JSON lacks come out as JSON.stringify would write what notepack.io
// makes of them: timestamps as ISO strings, undefined, NaN and the infinities as
// null, an ArrayBuffer of older versions as a binary, other extensions as an
// array of type and binary. Integers keep all their digits, invalid UTF-8
// becomes U+FFFD.
func (r *Reader) AppendJSON(dst []byte, attachments [][]byte) ([]byte, [][]byte, error) {
	w := jsonWriter{reader: *r, dst: dst, attachments: attachments}
	if err := w.read(r); err != nil {
		return dst, attachments, err
	}
	return w.dst, w.attachments, nil
}

// AttachmentOverhead is what AppendStrictJSON counts for a binary besides its bytes:
// about what its placeholder and its place in the list take.
const AttachmentOverhead = 64

// AppendStrictJSON is AppendJSON for input that nobody vouches for. Invalid UTF-8 is
// ErrMalformed too, and binaries that take more than room bytes, each of them counted
// with AttachmentOverhead, are ErrTooLarge before there is memory for them.
func (r *Reader) AppendStrictJSON(dst []byte, attachments [][]byte, room int64) ([]byte, [][]byte, error) {
	w := jsonWriter{reader: *r, dst: dst, attachments: attachments, strict: true, room: room}
	if err := w.read(r); err != nil {
		return dst, attachments, err
	}
	return w.dst, w.attachments, nil
}

// AppendPlainJSON is AppendJSON for a value that has no place for attachments: each
// binary becomes what JSON.stringify makes of a Buffer of Node.js,
// {"type":"Buffer","data":[1,2]}.
func (r *Reader) AppendPlainJSON(dst []byte) ([]byte, error) {
	w := jsonWriter{reader: *r, dst: dst, plain: true}
	if err := w.read(r); err != nil {
		return dst, err
	}
	return w.dst, nil
}

type jsonWriter struct {
	reader      Reader // by value: a pointer would move the caller's to the heap
	dst         []byte
	attachments [][]byte
	// plain writes binaries as JSON.
	plain bool
	// strict refuses invalid UTF-8, and binaries for which there is no room.
	strict bool
	room   int64
}

// read writes a value and leaves r behind it.
func (w *jsonWriter) read(r *Reader) error {
	err := w.value(0)
	*r = w.reader
	return err
}

func (w *jsonWriter) value(depth int) error {
	t, err := w.reader.next()
	if err != nil {
		return err
	}
	switch t.kind {
	case String:
		return w.quote(t.body)
	case Binary:
		return w.placeholder(t.body)
	case Array:
		return w.array(t.size, depth+1)
	case Map:
		return w.object(t.size, depth+1)
	case Extension:
		return w.extension(t)
	default:
		w.dst = t.appendScalar(w.dst)
	}
	return nil
}

func (w *jsonWriter) array(n, depth int) error {
	if depth > MaxDepth {
		return ErrTooDeep
	}
	w.dst = append(w.dst, '[')
	for i := range n {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if err := w.value(depth); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, ']')
	return nil
}

func (w *jsonWriter) object(n, depth int) error {
	if depth > MaxDepth {
		return ErrTooDeep
	}
	w.dst = append(w.dst, '{')
	for i := range n {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		key, err := w.reader.Text()
		if err != nil {
			return err
		}
		if err := w.quote(key); err != nil {
			return err
		}
		w.dst = append(w.dst, ':')
		if err := w.value(depth); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, '}')
	return nil
}

// quote writes text as a JSON string.
func (w *jsonWriter) quote(text []byte) (err error) {
	// The error says that invalid UTF-8 was replaced.
	if w.dst, err = jsontext.AppendQuote(w.dst, text); err != nil && w.strict {
		return ErrMalformed
	}
	return nil
}

// maxAttachments bounds the binaries of one value, of which the smallest takes two bytes
// in MessagePack and many times that afterwards.
const maxAttachments = 1 << 20

func (w *jsonWriter) placeholder(attachment []byte) error {
	if w.plain {
		w.buffer(attachment)
		return nil
	}
	if len(w.attachments) >= maxAttachments {
		return ErrTooLarge
	}
	if w.strict {
		if w.room -= int64(len(attachment)) + AttachmentOverhead; w.room < 0 {
			return ErrTooLarge
		}
	}
	w.dst = append(w.dst, `{"_placeholder":true,"num":`...)
	w.dst = strconv.AppendInt(w.dst, int64(len(w.attachments)), 10)
	w.dst = append(w.dst, '}')
	w.attachments = append(w.attachments, attachment)
	return nil
}

// buffer writes a binary as JSON.
func (w *jsonWriter) buffer(binary []byte) {
	w.dst = append(w.dst, `{"type":"Buffer","data":[`...)
	for i, b := range binary {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		w.dst = strconv.AppendUint(w.dst, uint64(b), 10)
	}
	w.dst = append(w.dst, "]}"...)
}

func (w *jsonWriter) extension(t token) error {
	if seconds, nanos, ok := t.timestamp(); ok {
		w.dst = appendDate(w.dst, seconds, nanos)
		return nil
	}
	if t.ext == 0 && t.sized { // how older notepack versions write an ArrayBuffer
		return w.placeholder(t.body)
	}
	if t.undefined() {
		w.dst = append(w.dst, "null"...)
		return nil
	}
	w.dst = append(w.dst, '[')
	w.dst = strconv.AppendInt(w.dst, int64(t.ext), 10)
	w.dst = append(w.dst, ',')
	if err := w.placeholder(t.body); err != nil {
		return err
	}
	w.dst = append(w.dst, ']')
	return nil
}

// undefined says whether t is JavaScript's undefined, as older notepack versions
// write it.
func (t *token) undefined() bool {
	return t.kind == Extension && t.ext == 0 && !t.sized && len(t.body) == 1
}

// timestamp reads the extension type −1 in its three sizes, and the type 0 of
// fixed size with eight bytes, which older notepack versions write for a Date.
func (t *token) timestamp() (seconds, nanos int64, ok bool) {
	be := binary.BigEndian
	switch {
	case t.ext == -1 && len(t.body) == 4:
		return int64(be.Uint32(t.body)), 0, true
	case t.ext == -1 && len(t.body) == 8:
		bits := be.Uint64(t.body)
		return int64(bits & (1<<34 - 1)), int64(bits >> 34), true
	case t.ext == -1 && len(t.body) == 12:
		return int64(be.Uint64(t.body[4:])), int64(be.Uint32(t.body)), true
	case t.ext == 0 && len(t.body) == 8 && !t.sized:
		ms := int64(be.Uint64(t.body))
		return floorDiv(ms, 1000), (ms - floorDiv(ms, 1000)*1000) * int64(time.Millisecond), true
	}
	return 0, 0, false
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// maxDateSeconds is how far from 1970 a JavaScript Date reaches; beyond it, it is
// invalid and its JSON null.
const maxDateSeconds = 8_640_000_000_000

// appendDate writes a time as Date.prototype.toJSON does.
func appendDate(dst []byte, seconds, nanos int64) []byte {
	if seconds < -maxDateSeconds || seconds > maxDateSeconds || seconds == maxDateSeconds && nanos > 0 {
		return append(dst, "null"...)
	}
	t := time.Unix(seconds, nanos).UTC()
	dst = append(dst, '"')
	if year := t.Year(); year < 0 || year > 9999 {
		dst = fmt.Appendf(dst, "%+07d", year)
	} else {
		dst = fmt.Appendf(dst, "%04d", year)
	}
	dst = t.AppendFormat(dst, "-01-02T15:04:05.000Z")
	return append(dst, '"')
}
