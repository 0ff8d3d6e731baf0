package msgpack

import (
	"bytes"

	"github.com/tinylib/msgp/msgp"
)

// placeholder transcodes the object at pos if it stands for an attachment. It
// leaves pos alone otherwise.
func (s *jsonScanner) placeholder() (bool, error) {
	if len(s.attachments) == 0 {
		return false, nil
	}
	start := s.pos
	num, ok := s.placeholderNumber()
	if !ok {
		s.pos = start
		return false, nil
	}
	if num >= len(s.attachments) {
		return false, ErrMalformed
	}
	s.dst = msgp.AppendBytes(s.dst, s.attachments[num])
	return true, nil
}

// placeholderNumber reads {"_placeholder":true,"num":N}, with its two members in
// either order, and moves pos behind it.
func (s *jsonScanner) placeholderNumber() (num int, ok bool) {
	flagged, numbered := false, false
	s.pos++
	for i := range 2 {
		if i == 1 && !s.accept(",") {
			return 0, false
		}
		switch {
		case s.accept(`"_placeholder"`):
			flagged = s.accept(":") && s.accept("true")
		case s.accept(`"num"`):
			num, numbered = s.placeholderDigits()
		default:
			return 0, false
		}
	}
	return num, flagged && numbered && s.accept("}")
}

// placeholderDigits reads a number small enough to count attachments.
func (s *jsonScanner) placeholderDigits() (num int, ok bool) {
	if !s.accept(":") {
		return 0, false
	}
	s.skipSpace()
	start := s.pos
	if n := s.digits(); n == 0 || n > 9 {
		return 0, false
	}
	for _, c := range s.src[start:s.pos] {
		num = num*10 + int(c-'0')
	}
	return num, true
}

// accept skips space and then text, if that is what comes.
func (s *jsonScanner) accept(text string) bool {
	s.skipSpace()
	if !bytes.HasPrefix(s.src[s.pos:], []byte(text)) {
		return false
	}
	s.pos += len(text)
	return true
}
