package msgpack

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// escapes are the escapes of one letter.
var escapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// appendUnescaped appends what the inside of a JSON string stands for. jsontext
// does not tell a lone surrogate, which JavaScript can write, from a broken
// escape; here the first becomes U+FFFD and the second is refused.
func appendUnescaped(dst, body []byte) ([]byte, bool) {
	for len(body) > 0 {
		if body[0] != '\\' {
			r, size := utf8.DecodeRune(body)
			dst = utf8.AppendRune(dst, r)
			body = body[size:]
			continue
		}
		if len(body) < 2 {
			return dst, false
		}
		if c := escapes[body[1]]; c != 0 {
			dst = append(dst, c)
			body = body[2:]
			continue
		}
		r, ok := unicodeEscape(body)
		if !ok {
			return dst, false
		}
		body = body[6:]
		if utf16.IsSurrogate(r) {
			low, _ := unicodeEscape(body)
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				body = body[6:]
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, true
}

// unicodeEscape reads an escape of \u and four hexadecimal digits.
func unicodeEscape(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(unit), err == nil
}
