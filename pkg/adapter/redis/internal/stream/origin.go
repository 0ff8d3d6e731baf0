package stream

import (
	"context"
	"fmt"
	"time"
)

// add makes n hear what follows s, or, where that is not known, what is written from now
// on, as far as that can be told later. It starts the reader with the first listener.
func (r *reader) add(n *Listener, s *state) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started {
		if err := r.start(func() { r.run(r.ctx) }); err != nil {
			return err
		}
		r.started, r.since = true, time.Now()
		r.writer.queue.follow()
		if s != nil {
			r.settle(position{at: s.last, count: s.added})
		}
	}
	r.listeners = r.listeners.with(n)
	if r.placed {
		n.start, n.known = r.position.at, true
	}
	if s != nil && !s.last.before(n.start) {
		n.start, n.known = s.last, true
	}
	return nil
}

func (r *reader) remove(n *Listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners = r.listeners.without(n)
}

// settle makes p the position from which reading begins, and that of the listeners that
// came before it was known.
func (r *reader) settle(p position) {
	r.position, r.origin = p, p
	r.original, r.placed = true, true
	for _, n := range r.listeners.all() {
		if !n.known {
			n.start, n.known = p.at, true
		}
	}
}

// begun returns where reading began, unless the log was another one since.
func (r *reader) begun() (position, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.origin, r.original
}

// begin makes sure that the reader knows where to begin, if there is one: before this
// node writes anything, which its listeners want to hear. Redis was away when they came.
// What others have written since, because they reached it earlier, is for them as well.
func (r *reader) begin(ctx context.Context, c commander) error {
	r.mu.Lock()
	known, since := r.placed || !r.started, r.since
	r.mu.Unlock()
	if known {
		return nil
	}
	p, err := r.endAt(ctx, c, since)
	if err != nil {
		return fmt.Errorf("stream: find where to begin in %q: %w", r.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.placed {
		r.settle(p)
	}
	return nil
}

// endAt returns the last entry that was there at some time, by the clock of Redis, which
// is asked first: what is written meanwhile is not among them.
func (l *Log) endAt(ctx context.Context, c commander, at time.Time) (position, error) {
	now, err := l.now(ctx, c)
	if err != nil {
		return position{}, err
	}
	// Both times are cut to milliseconds; one more is that in which at was.
	latest := now.less(time.Since(at) + 2*time.Millisecond)
	entry, info := newCommand(ctx, "xrevrange", l.Name, latest.String(), "-", "count", 1), l.info(ctx)
	if err := c.run(ctx, entry, info); err != nil && !isMissing(err) {
		return position{}, err
	}
	s, err := parseState(info.reply())
	if err != nil {
		return position{}, err
	}
	reply := entry.reply()
	p := position{count: -1}
	if entries := reply.records(); len(entries) > 0 {
		p.at = entries[0].at
	}
	if p.at == s.last {
		p.count = s.added
	}
	return p, reply.wrap("read the log")
}

// now returns the id that Redis would give at the beginning of this millisecond.
func (l *Log) now(ctx context.Context, c commander) (id, error) {
	now := newCommand(ctx, "time")
	if err := c.run(ctx, now); err != nil {
		return id{}, err
	}
	r := now.reply()
	if r.array() != 2 {
		r.fail()
	}
	seconds, micros := r.number(), r.number()
	return id{ms: uint64(seconds)*1000 + uint64(micros)/1000}, r.wrap("ask for the time")
}
