package packet

import (
	"errors"
	"unicode/utf8"
)

// Why a text is not acceptable JSON. The scanner returns them bare: position and
// sentinel are added once, by whoever knows what was being read.
var (
	errSyntax      = errors.New("malformed JSON")
	errUTF8        = errors.New("malformed UTF-8")
	errDepth       = errors.New("nested too deeply")
	errPlaceholder = errors.New("placeholder refers to no attachment")
)

// scanner checks JSON in one pass, as a JavaScript JSON.parse would: names may
// repeat and a lone surrogate may be written as an escape, but the text itself is
// UTF-8. It decodes nothing and allocates nothing. Recursion is bounded by levels.
type scanner struct {
	data []byte
	// pos is where the next byte is read.
	pos int
	// levels is how many more arrays and objects may be opened inside each other.
	levels int
	// attachments is how many of them placeholders may refer to; with a negative
	// number placeholders are plain data.
	attachments int
	// placeholders counts the placeholders seen.
	placeholders int
	// spans has where the outermost placeholders lie, when wantSpans is set.
	spans     []span
	wantSpans bool
}

// deepest is the nesting at which the JSON package gives up. It bounds the scanner
// where no Limits do.
const deepest = 10_000

// plainData as a scanner's attachments says that there are no placeholders.
const plainData = -1

// scan checks that data is one JSON value with nothing around it.
func (s *scanner) scan() error {
	if err := s.value(); err != nil {
		return err
	}
	if s.pos != len(s.data) {
		return errSyntax
	}
	return nil
}

func (s *scanner) value() error {
	switch s.peek() {
	case '"':
		return s.string()
	case '{':
		return s.object()
	case '[':
		return s.array()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

func (s *scanner) array() error {
	if err := s.open(); err != nil {
		return err
	}
	if s.peek() == ']' {
		return s.close()
	}
	for {
		if err := s.value(); err != nil {
			return err
		}
		s.blanks()
		switch s.peek() {
		case ',':
			s.pos++
			s.blanks()
		case ']':
			return s.close()
		default:
			return errSyntax
		}
	}
}

func (s *scanner) object() error {
	start, outside := s.pos, len(s.spans)
	if err := s.open(); err != nil {
		return err
	}
	if s.peek() == '}' {
		return s.close()
	}
	var mark placeholder
	for {
		if err := s.member(&mark); err != nil {
			return err
		}
		s.blanks()
		switch s.peek() {
		case ',':
			s.pos++
			s.blanks()
		case '}':
			_ = s.close()
			return s.mark(mark, start, outside)
		default:
			return errSyntax
		}
	}
}

// member reads one name and its value.
func (s *scanner) member(mark *placeholder) error {
	if s.peek() != '"' {
		return errSyntax
	}
	name := s.pos
	if err := s.string(); err != nil {
		return err
	}
	nameEnd := s.pos
	s.blanks()
	if s.peek() != ':' {
		return errSyntax
	}
	s.pos++
	s.blanks()
	value := s.pos
	if err := s.value(); err != nil {
		return err
	}
	if s.attachments != plainData {
		mark.note(s.data[name:nameEnd], s.data[value:s.pos])
	}
	return nil
}

// open enters an array or object and stops at what follows its bracket.
func (s *scanner) open() error {
	if s.levels == 0 {
		return errDepth
	}
	s.levels--
	s.pos++
	s.blanks()
	return nil
}

// close leaves an array or object. Its nil error spares the callers a line.
func (s *scanner) close() error {
	s.levels++
	s.pos++
	return nil
}

// plain has the bytes that stand for themselves inside a string.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func (s *scanner) string() error {
	data, i := s.data, s.pos+1
	for {
		for i < len(data) && plain[data[i]] {
			i++
		}
		if i >= len(data) {
			s.pos = i
			return errSyntax
		}
		switch c := data[i]; {
		case c == '"':
			s.pos = i + 1
			return nil
		case c == '\\':
			n := escapeLen(data[i:])
			if n == 0 {
				s.pos = i
				return errSyntax
			}
			i += n
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && n == 1 {
				s.pos = i
				return errUTF8
			}
			i += n
		default:
			s.pos = i
			return errSyntax
		}
	}
}

// escapeLen returns the length of the escape sequence that data begins with, 0 if
// it is none.
func escapeLen(data []byte) int {
	if len(data) < 2 {
		return 0
	}
	switch data[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(data) >= 6 && isHex(data[2]) && isHex(data[3]) && isHex(data[4]) && isHex(data[5]) {
			return 6
		}
	}
	return 0
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.peek() == '.' {
		s.pos++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.peek()|0x20 == 'e' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return nil
}

// digits reads one digit or more.
func (s *scanner) digits() error {
	n := digitCount(s.data[s.pos:])
	s.pos += n
	if n == 0 {
		return errSyntax
	}
	return nil
}

func (s *scanner) literal(word string) error {
	if end := s.pos + len(word); end <= len(s.data) && string(s.data[s.pos:end]) == word {
		s.pos = end
		return nil
	}
	return errSyntax
}

func (s *scanner) blanks() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, and at the end 0, which JSON has nowhere.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}
