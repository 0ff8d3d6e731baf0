package packet

import (
	"bytes"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// placeholder gathers what an object's members say of its being a placeholder.
// Of a name that repeats the last value counts, as in JavaScript.
type placeholder struct {
	// marked says that "_placeholder" is true.
	marked bool
	// numbered says that "num" is a plain whole number, num.
	numbered bool
	num      int
}

// note takes one member, name and value being its JSON.
func (p *placeholder) note(name, value []byte) {
	switch string(plainName(name)) {
	case `"_placeholder"`:
		p.marked = string(value) == "true"
	case `"num"`:
		n, ok := parseDigits(value)
		p.numbered = ok && n <= math.MaxInt32
		p.num = int(min(n, math.MaxInt32))
	}
}

// plainName returns a member's name without escapes, which could hide what it is,
// if it might then be one of the names of a placeholder.
func plainName(name []byte) []byte {
	const longest = len(`"_placeholder"`) * len(`\u0000`)
	if len(name) > longest || bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	unquoted, err := jsontext.AppendUnquote(nil, name)
	if err != nil {
		return name // a lone surrogate; neither name has one
	}
	quoted, _ := jsontext.AppendQuote(nil, unquoted)
	return quoted
}

// span is where a placeholder lies in a text, and its number.
type span struct {
	start, end int
	num        int
}

// mark ends the object that began at start, before which outside spans were known.
func (s *scanner) mark(p placeholder, start, outside int) error {
	if !p.marked || s.attachments == plainData {
		return nil
	}
	if !p.numbered || p.num >= s.attachments {
		return errPlaceholder
	}
	s.placeholders++
	if s.wantSpans {
		// What a placeholder holds besides its number goes with it.
		s.spans = append(s.spans[:outside], span{start, s.pos, p.num})
	}
	return nil
}

// appendPlaceholder appends the placeholder of attachment num.
func appendPlaceholder(dst []byte, num int) []byte {
	dst = append(dst, `{"_placeholder":true,"num":`...)
	dst = strconv.AppendInt(dst, int64(num), 10)
	return append(dst, '}')
}

// parseDigits reads a whole number in plain decimal digits, the only form that
// writes back as it was read: no sign, no leading zeros, no overflow.
func parseDigits(digits []byte) (n uint64, ok bool) {
	if len(digits) == 0 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	for _, c := range digits {
		if !isDigit(c) {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
