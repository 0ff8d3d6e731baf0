package stream

import (
	"context"
	"fmt"
	"iter"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// slice reads count entries from one place on. more says whether there may be others
// behind them.
func (l *Log) slice(ctx context.Context, c commander, from id, count int) (entries []record, more bool, err error) {
	cmd := newCommand(ctx, "xrange", l.Name, from.String(), "+", "count", count)
	if err := c.run(ctx, cmd); err != nil {
		if ctx.Err() == nil {
			l.pace.failed()
		}
		return nil, false, err
	}
	reply := cmd.reply()
	entries = reply.records()
	l.pace.had(len(entries), len(cmd.Val()))
	return entries, len(entries) == count, reply.wrap("read the log")
}

// scan reads genuine entries behind after, as many as are worth a round trip, and says
// behind which place to go on; more says whether there may be others.
func (l *Log) scan(ctx context.Context, c commander, after id) (entries []record, last id, more bool, err error) {
	entries, more, err = l.slice(ctx, c, after.next(), l.pace.count(scanCount))
	last = after
	if len(entries) > 0 {
		last = entries[len(entries)-1].at
	}
	entries, _, _ = l.genuine(entries)
	return entries, last, more, err
}

// caller is a commander that returns with the context of the call.
type caller struct{ *Log }

func (c caller) run(ctx context.Context, commands ...command) error { return c.call(ctx, commands...) }

// Covers says whether Read could begin behind offset: nil if all that follows it is
// still there. It fails with ErrNoOffset if not, which includes what is no offset of
// this log, and with an error that wraps ErrDegraded if Redis does not answer. offset
// may be any text.
func (l *Log) Covers(ctx context.Context, offset string) error {
	at, ok := parseID(offset)
	if !ok {
		return adapter.ErrNoOffset
	}
	if l.tail.has(at) {
		return nil
	}
	there, err := l.exists(ctx, caller{l}, at)
	if err != nil {
		return degraded(ctx, err)
	}
	if there {
		return nil
	}
	return l.covers(ctx, at)
}

// covers says so of a place that has no entry. That is good where this node's reading
// began, unless the log was another one since: nothing else proves that the place is
// one of this log, and that nothing behind it is missing.
func (l *Log) covers(ctx context.Context, at id) error {
	s, err := l.end(ctx, caller{l})
	if err != nil {
		return degraded(ctx, err)
	}
	if origin, ok := l.reader.begun(); ok && origin.at == at && origin.count >= 0 && s.trimmed() == origin.count {
		return nil
	}
	return adapter.ErrNoOffset
}

// degraded returns ctx's error if it has ended, else err as what Redis being away is.
func degraded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", adapter.ErrDegraded, err)
}

// Read yields the entries of topic behind after, in order and each once, until the
// log's end at the time it is reached. What is in the tail comes from memory; of the rest
// it holds no more than Config.ReadCount at a time. An error ends it: those of Covers, ErrNoOffset also when entries are
// trimmed while they are read.
func (l *Log) Read(ctx context.Context, after, topic string) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		at, ok := parseID(after)
		if !ok {
			yield(nil, adapter.ErrNoOffset)
			return
		}
		if recent, end, ok := l.tail.since(at, topic); ok {
			for _, e := range recent {
				if !yield(e, nil) {
					return
				}
			}
			at = end
		}
		select {
		case l.reads <- struct{}{}:
			defer func() { <-l.reads }()
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
		if err := l.read(ctx, at, topic, yield); err != nil {
			yield(nil, err)
		}
	}
}

// read is Read with a place in the log. It returns nil if yield has had enough.
func (l *Log) read(ctx context.Context, at id, topic string, yield func(*Entry, error) bool) error {
	if err := l.catchUp(ctx, at); err != nil {
		return degraded(ctx, err)
	}
	for first := true; ; first = false {
		// Each batch begins with the last entry of the one before: if that is gone,
		// so may be others.
		entries, more, err := l.slice(ctx, caller{l}, at, l.pace.count(l.ReadCount)+1)
		if err != nil {
			return degraded(ctx, err)
		}
		switch {
		case len(entries) > 0 && entries[0].at == at:
			entries = entries[1:]
		case !first:
			return adapter.ErrNoOffset
		default:
			if err := l.covers(ctx, at); err != nil {
				return err
			}
		}
		if len(entries) == 0 {
			return nil
		}
		last := entries[len(entries)-1].at
		entries, _, _ = l.genuine(entries)
		l.index.extend(at, last, entries)
		for i := range entries {
			e := &entries[i]
			if e.Topic == topic && !l.index.repeated(e.at) && !yield(&e.Entry, nil) {
				return nil
			}
		}
		if at = last; !more {
			return nil
		}
	}
}

// catchUp makes the index know what was written before at, and before the place that
// the reader has come to. That is one scan in the life of a log, as a rule: the reader
// goes on from there.
func (l *Log) catchUp(ctx context.Context, at id) error {
	if !l.behind(at) {
		return nil
	}
	select {
	case l.scanning <- struct{}{}:
		defer func() { <-l.scanning }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for l.behind(at) {
		from := l.index.reach()
		entries, last, more, err := l.scan(ctx, caller{l}, from)
		if err != nil {
			return err
		}
		l.index.extend(from, last, entries)
		if !more {
			return nil
		}
	}
	return nil
}

// behind says whether the index knows less than is needed to read behind at.
func (l *Log) behind(at id) bool {
	reach := l.index.reach()
	return reach.before(at) || reach.before(l.reader.at())
}
