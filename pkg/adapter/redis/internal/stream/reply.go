package stream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errReply means that Redis answered in a form that was not expected.
var errReply = errors.New("stream: unexpected reply of Redis")

// refusal is an error that Redis has answered with: it did not do what it was asked.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// RedisError makes a refusal an error of Redis to go-redis.
func (r refusal) RedisError() {}

// is says whether the refusal begins with one of those words.
func (r refusal) is(words ...string) bool {
	first, _, _ := strings.Cut(string(r), " ")
	for _, w := range words {
		if first == w {
			return true
		}
	}
	return false
}

// reply is what is left to read of a reply of Redis. The texts it returns are parts
// of it: an array of entries costs no copy of theirs.
//
// Once something is not as expected, all further calls return nothing, and err says
// so.
type reply struct {
	rest string
	err  error
}

func (r *reply) fail() {
	if r.err == nil {
		r.err = errReply
	}
	r.rest = ""
}

// line takes the next line without its first byte, which is its type.
func (r *reply) line() (kind byte, text string) {
	line, rest, ok := strings.Cut(r.rest, "\r\n")
	if !ok || line == "" {
		r.fail()
		return 0, ""
	}
	r.rest = rest
	if line[0] == '-' {
		r.err = refusal(line[1:])
		r.rest = ""
	}
	return line[0], line[1:]
}

// length reads the number of a line; -1 stands for null.
func (r *reply) length(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 {
		r.fail()
		return 0
	}
	return n
}

// array returns the number of elements that follow, -1 for null. Those of a map are
// its keys and its values.
func (r *reply) array() int {
	kind, text := r.line()
	switch kind {
	case '_':
		return -1
	case '*', '~':
		return r.length(text)
	case '%':
		return 2 * r.length(text)
	}
	r.fail()
	return 0
}

// text returns a text or a number.
func (r *reply) text() string {
	kind, text := r.line()
	switch kind {
	case '+', ':':
		return text
	case '_':
		return ""
	case '$':
		n := r.length(text)
		if n < 0 {
			return ""
		}
		if len(r.rest) < n+2 {
			break
		}
		text, r.rest = r.rest[:n], r.rest[n+2:]
		return text
	}
	r.fail()
	return ""
}

func (r *reply) number() int64 {
	n, err := strconv.ParseInt(r.text(), 10, 64)
	if err != nil {
		r.fail()
	}
	return n
}

// maxDepth is deeper than any reply that is skipped.
const maxDepth = 16

// skip passes over one value of any kind.
func (r *reply) skip(depth int) {
	if r.rest == "" || depth == maxDepth {
		r.fail()
		return
	}
	switch r.rest[0] {
	case '*', '~', '%':
		for range max(r.array(), 0) {
			if r.skip(depth + 1); r.err != nil {
				return
			}
		}
	case '$', '=':
		r.rest = "$" + r.rest[1:]
		r.text()
	default:
		r.line()
	}
}

// wrap adds what was being done to an error of the reply.
func (r *reply) wrap(what string) error {
	if r.err == nil {
		return nil
	}
	return fmt.Errorf("stream: %s: %w", what, r.err)
}
