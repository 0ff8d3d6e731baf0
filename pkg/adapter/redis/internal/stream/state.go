package stream

import (
	"context"
	"errors"
)

// state is what Redis says of the stream as a whole.
type state struct {
	exists bool
	length int64
	last   id    // of the entry added last, even if it is there no more
	first  id    // of the oldest entry; zero if there is none
	added  int64 // how many entries were ever added; -1 where Redis does not count them
}

// trimmed returns how many entries came before the oldest that is left, or -1.
func (s state) trimmed() int64 {
	if s.added < 0 {
		return -1
	}
	return s.added - s.length
}

// info asks for the state. A stream that does not exist is an empty one.
func (l *Log) info(ctx context.Context) command {
	return newCommand(ctx, "xinfo", "stream", l.Name)
}

// parseState reads the answer to info.
func parseState(r *reply) (state, error) {
	s := state{added: -1}
	n := r.array()
	if e, ok := errors.AsType[refusal](r.err); ok && e == "ERR no such key" {
		return state{}, nil
	}
	s.exists = true
	for range max(n, 0) / 2 {
		switch name := r.text(); name {
		case "length":
			s.length = r.number()
		case "entries-added":
			s.added = r.number()
		case "last-generated-id":
			s.last = r.id()
		case "first-entry":
			s.first = r.first()
		default:
			r.skip(0)
		}
		if r.err != nil {
			break
		}
	}
	return s, r.wrap("read the state of the log")
}

func (r *reply) id() id {
	i, ok := parseID(r.text())
	if !ok {
		r.fail()
	}
	return i
}

// first reads the id of an entry that may be null.
func (r *reply) first() id {
	rest := r.rest
	if r.skip(0); r.err != nil {
		return id{}
	}
	entry := reply{rest: rest[:len(rest)-len(r.rest)]}
	if entry.rest[0] != '*' {
		return id{}
	}
	if entry.array() < 1 {
		return id{}
	}
	i := entry.id()
	r.err = entry.err
	return i
}

// end asks for the state of the stream.
func (l *Log) end(ctx context.Context, c commander) (state, error) {
	info := l.info(ctx)
	if err := c.run(ctx, info); err != nil && !isMissing(err) {
		return state{}, err
	}
	return parseState(info.reply())
}

// isMissing says whether Redis has refused because there is no stream.
func isMissing(err error) bool {
	e, ok := errors.AsType[refusal](err)
	return ok && e == "ERR no such key"
}
