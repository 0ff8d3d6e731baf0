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
// the input. It fails with ErrMalformed or ErrTooDeep.
//
// Values that JSON lacks come out as JSON.stringify would write what notepack.io
// makes of them: timestamps as ISO strings, undefined, NaN and the infinities as
// null, an ArrayBuffer of older versions as a binary, other extensions as an
// array of type and binary. Integers keep all their digits, invalid UTF-8
// becomes U+FFFD.
func (r *Reader) AppendJSON(dst []byte, attachments [][]byte) ([]byte, [][]byte, error) {
	w := jsonWriter{reader: r, dst: dst, attachments: attachments}
	if err := w.value(0); err != nil {
		return dst, attachments, err
	}
	return w.dst, w.attachments, nil
}

type jsonWriter struct {
	reader      *Reader
	dst         []byte
	attachments [][]byte
}

func (w *jsonWriter) value(depth int) error {
	t, err := w.reader.next()
	if err != nil {
		return err
	}
	switch t.kind {
	case String:
		w.quote(t.body)
	case Binary:
		w.placeholder(t.body)
	case Array:
		return w.array(t.size, depth+1)
	case Map:
		return w.object(t.size, depth+1)
	case Extension:
		w.extension(t)
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
		w.quote(key)
		w.dst = append(w.dst, ':')
		if err := w.value(depth); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, '}')
	return nil
}

// quote writes text as a JSON string. The error is left out: it says that
// invalid UTF-8 was replaced, which is what we want.
func (w *jsonWriter) quote(text []byte) {
	w.dst, _ = jsontext.AppendQuote(w.dst, text)
}

func (w *jsonWriter) placeholder(attachment []byte) {
	w.dst = append(w.dst, `{"_placeholder":true,"num":`...)
	w.dst = strconv.AppendInt(w.dst, int64(len(w.attachments)), 10)
	w.dst = append(w.dst, '}')
	w.attachments = append(w.attachments, attachment)
}

func (w *jsonWriter) extension(t token) {
	if seconds, nanos, ok := t.timestamp(); ok {
		w.dst = appendDate(w.dst, seconds, nanos)
		return
	}
	if t.ext == 0 && t.sized { // how older notepack versions write an ArrayBuffer
		w.placeholder(t.body)
		return
	}
	if t.ext == 0 && len(t.body) == 1 { // and undefined
		w.dst = append(w.dst, "null"...)
		return
	}
	w.dst = append(w.dst, '[')
	w.dst = strconv.AppendInt(w.dst, int64(t.ext), 10)
	w.dst = append(w.dst, ',')
	w.placeholder(t.body)
	w.dst = append(w.dst, ']')
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
