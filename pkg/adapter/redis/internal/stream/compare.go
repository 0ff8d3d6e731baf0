package stream

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// scanCount is how many entries are read at once, at most, where nobody waits for each.
const scanCount = 1000

// compare finds out whether the stream still is what the position belongs to, and puts
// the position right if it is not.
func (r *reader) compare(ctx context.Context, s *session) error {
	r.mu.Lock()
	p := r.position
	r.mu.Unlock()
	// In this order: what is gone in the first answer is gone in the second.
	at, info := r.entryAt(ctx, p.at), r.info(ctx)
	if err := s.run(ctx, at, info); err != nil && !isMissing(err) {
		return fmt.Errorf("stream: compare %q: %w", r.Name, err)
	}
	found := at.reply()
	there := len(found.records()) > 0
	state, err := parseState(info.reply())
	if err != nil || found.err != nil {
		return fmt.Errorf("stream: compare %q: %w", r.Name, firstOf(err, found.err))
	}
	finding, p, missed := judge(p, state, there)
	switch finding {
	case whole:
		r.move(p)
	case trimmed:
		r.move(p)
		r.gap(missed)
	case strange:
		if err := r.rollback(ctx, s); err != nil {
			return err
		}
	case lost:
		r.restart()
	}
	r.forget(state)
	r.last = state.last
	r.checked = time.Now()
	r.heard, r.trusted = r.checked, true
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// entryAt asks for the entry at one place.
func (l *Log) entryAt(ctx context.Context, at id) command {
	return newCommand(ctx, "xrange", l.Name, at.String(), at.String(), "count", 1)
}

// exists says whether there is an entry at that place.
func (l *Log) exists(ctx context.Context, c commander, at id) (bool, error) {
	entry := l.entryAt(ctx, at)
	if err := c.run(ctx, entry); err != nil {
		return false, fmt.Errorf("stream: look for %v in %q: %w", at, l.Name, err)
	}
	reply := entry.reply()
	there := len(reply.records()) > 0
	return there, reply.wrap("look for an entry")
}

func (r *reader) move(p position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.position = p
}

// gap reports that entries were trimmed before they were read, or may have been.
func (r *reader) gap(missed uint64) {
	r.writer.queue.lost()
	r.Part.LogGap(r.missing(missed))
}

func (r *reader) missing(missed uint64) adapter.Gap {
	r.mu.Lock()
	defer r.mu.Unlock()
	return adapter.Gap{Topics: r.listeners.topics(), From: r.heard, To: time.Now(), Missed: missed}
}

// rollback goes on behind the newest entry that was read and is still there: the
// server that has the stream had not been told of all that was read. What it was given
// since then may have smaller ids than that.
func (r *reader) rollback(ctx context.Context, s *session) error {
	read, oldest := r.ring.all(), r.ring.first()
	for last := maxID; ; {
		count := r.pace.count(scanCount)
		c := newCommand(ctx, "xrevrange", r.Name, last.String(), "-", "count", count)
		if err := s.run(ctx, c); err != nil {
			return fmt.Errorf("stream: find the newest known entry of %q: %w", r.Name, err)
		}
		reply := c.reply()
		entries := reply.records()
		if err := reply.wrap("find the newest known entry"); err != nil {
			return err
		}
		for i := range entries {
			if read[entries[i].at] {
				r.goBack(entries[i].at)
				return nil
			}
		}
		if len(entries) < count || entries[len(entries)-1].at.before(oldest) {
			r.restart()
			return nil
		}
		last = entries[len(entries)-1].at.previous()
	}
}

// goBack makes at the position. All that follows it was not read, and is for every
// listener that was there.
func (r *reader) goBack(at id) {
	r.mu.Lock()
	from := r.position.at
	r.position, r.original = position{at: at, count: -1}, false
	for _, n := range r.listeners.all() {
		if at.before(n.start) {
			n.start = at
		}
	}
	r.mu.Unlock()
	r.ring.cut(at)
	r.tail.cut()
	r.index.reset()
	r.writer.queue.lost()
	r.Logger.Warn("redis: the stream was rolled back", slog.String("stream", r.Name),
		slog.String("from", from.String()), slog.String("to", at.String()))
}

// restart begins with the first entry of a stream that is not the one that was read.
// It may be an old state of that, so what is not newer than all that was read is
// delivered only if its writer's number says that it is new.
func (r *reader) restart() {
	gap := r.missing(0)
	r.mu.Lock()
	if r.floor.before(r.position.at) {
		r.floor = r.position.at
	}
	r.reset, r.original = true, false
	r.position = position{count: -1}
	r.mu.Unlock()
	r.ring.clear()
	r.tail.cut()
	r.index.reset()
	r.writer.queue.lost()
	r.Part.LogReset(gap)
}

// forget gives up what is only about entries that the log has no more.
func (r *reader) forget(s state) {
	old := s.last.less(rememberWriter)
	r.numbers.forget(s.first, old)
	r.index.forget(s.first, old)
}
