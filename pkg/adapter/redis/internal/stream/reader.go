package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// reader reads the log for all listeners, on a connection of its own.
type reader struct {
	*Log

	// What follows belongs to the goroutine.
	numbers numbers   // what was passed on
	ring    *ring     // the places that were read
	heard   time.Time // when Redis answered last
	checked time.Time // when the position was compared last
	trusted bool      // nothing was read since
	full    bool      // the last read was
	last    id        // end of the log, when the position was compared
	ahead   id        // the same, as the client's pool saw it

	mu        sync.Mutex
	listeners listeners
	started   bool      // a goroutine reads
	since     time.Time // when that began
	origin    position  // where reading began
	original  bool      // and the log is the same since
	placed    bool      // position is known
	position  position
	reset     bool // the log was lost once
	floor     id   // since then entries up to here are new only if their number says so
}

func newReader(l *Log) *reader {
	return &reader{Log: l, numbers: make(numbers), ring: newRing(l.MaxLen)}
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	wait := r.Timing.backoff()
	for ctx.Err() == nil {
		err := r.serve(ctx, &wait)
		switch {
		case ctx.Err() != nil:
			return
		case r.place.follow(err) && wait.failures < maxRedirects:
			wait.failures++
		default:
			if hopeless(err) {
				wait.longest()
			}
			r.place.forget(ctx)
			r.condition.fails(reading, err)
			r.writer.renew()
			pause(ctx, wait.next())
		}
	}
}

// serve reads on one connection until that fails.
func (r *reader) serve(ctx context.Context, wait *backoff) error {
	s, err := r.place.open(ctx, r.Block+r.Timing.Answer, r.Timing.Dial)
	if err != nil {
		return err
	}
	defer s.close()
	if err := r.begin(ctx, s); err != nil {
		return err
	}
	if err := r.compare(ctx, s); err != nil {
		return err
	}
	for {
		wait.reset()
		r.condition.works(reading)
		if time.Since(r.checked) >= r.Timing.Check {
			if err := r.compare(ctx, s); err != nil {
				return err
			}
		}
		if err := r.read(ctx, s); err != nil {
			return err
		}
	}
}

// errElsewhere means that others find entries that a waiting read did not get: the
// connection leads to a server that is no longer told of what is written.
var errElsewhere = errors.New("stream: what is written does not arrive")

// read waits for entries and passes them on.
func (r *reader) read(ctx context.Context, s *session) error {
	at := r.at()
	count := r.pace.count(r.ReadCount)
	entries, inclusive, err := r.fetch(ctx, s, at, count)
	if err != nil {
		return fmt.Errorf("stream: read %q: %w", r.Name, err)
	}
	if len(entries) == 0 && !inclusive {
		return r.silent(ctx, s, at)
	}
	r.heard = time.Now()
	if inclusive {
		if len(entries) == 0 || entries[0].at != at {
			return r.compare(ctx, s)
		}
		entries = entries[1:]
	}
	full := len(entries) == count
	if full && !inclusive && !r.trusted {
		there, err := r.exists(ctx, s, at)
		if err != nil {
			return err
		}
		if !there {
			return r.compare(ctx, s)
		}
	}
	r.trusted, r.full = false, full
	r.deliver(entries)
	return nil
}

// fetch reads count entries behind at. Behind a full read it begins with the entry at
// that place: if that is gone, so may be others that were not read.
func (r *reader) fetch(ctx context.Context, s *session, at id, count int) (entries []record, inclusive bool, err error) {
	inclusive = r.full && !r.trusted && at != id{}
	from := at
	if inclusive {
		from = at.previous()
		count++
	}
	c := newCommand(ctx, "xread", "count", count, "block", r.Block.Milliseconds(), "streams", r.Name, from.String())
	if err := s.run(ctx, c); err != nil {
		r.pace.failed()
		return nil, inclusive, err
	}
	reply := c.reply()
	entries = reply.xread()
	r.pace.had(len(entries), len(c.Val()))
	return entries, inclusive, reply.err
}

// silent compares the stream with the position after a read that got nothing, here and
// as others see it.
func (r *reader) silent(ctx context.Context, s *session, at id) error {
	r.full = false
	deleted := at.before(r.last) // nothing came of what was there when the read began
	if err := r.compare(ctx, s); err != nil {
		return err
	}
	if deleted {
		r.writer.queue.lost()
	}
	if r.last.before(r.ahead) {
		r.ahead = id{}
		return errElsewhere
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timing.Answer)
	defer cancel()
	if elsewhere, err := r.here(ctx); err == nil {
		r.ahead = elsewhere.last
	}
	return nil
}

func (r *reader) at() id {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position.at
}

// deliver passes on entries, which follow the position.
func (r *reader) deliver(entries []record) {
	if len(entries) == 0 {
		return
	}
	last := entries[len(entries)-1].at
	r.mu.Lock()
	from := r.position.at
	r.position.at = last
	if r.position.count >= 0 {
		r.position.count += int64(len(entries))
	}
	route := route{listeners: r.listeners, floor: r.floor, reset: r.reset}
	r.mu.Unlock()

	for i := range entries {
		r.ring.add(entries[i].at)
	}
	entries = r.count(entries)
	r.index.extend(from, last, entries)
	repeats := 0
	tailed := r.tail.wanted()
	var fresh []tailEntry
	for i := range entries {
		e := &entries[i]
		if e.writer == r.writer.name {
			e.Value = r.writer.queue.back(e.number)
		}
		_, known := r.numbers[e.writer]
		if !r.numbers.fresh(e) || r.index.repeated(e.at) {
			repeats++
			continue
		}
		if tailed {
			fresh = append(fresh, tailEntry{e.compact(), e.at})
		}
		route.pass(e, known)
	}
	if tailed {
		r.tail.extend(from, last, fresh)
	}
	if repeats > 0 {
		r.Part.Repeated(repeats)
	}
}

// count leaves out what is no entry, and counts it.
func (r *reader) count(entries []record) []record {
	kept, broken, forged := r.genuine(entries)
	if broken > 0 {
		r.Part.Drop(malformed, broken)
	}
	if forged > 0 {
		r.Part.Drop(unsigned, forged)
	}
	return kept
}

// genuine leaves out what cannot be an entry of ours or of Node.js, and what somebody
// else has written in our name.
func (l *Log) genuine(entries []record) (kept []record, broken, forged int) {
	kept = entries
	for i := range entries {
		e := &entries[i]
		if bad := e.UID == "" || e.Topic == "" || e.Type == ""; bad {
			broken++
		} else if l.Open != nil && !l.Open(&e.Entry, e.seq, e.mark) {
			forged++
		} else if gone := broken + forged; gone > 0 {
			entries[i-gone] = *e
		}
	}
	return kept[:len(entries)-broken-forged], broken, forged
}

// route says who gets what is read.
type route struct {
	listeners listeners
	floor     id
	reset     bool
}

// pass gives e to the listeners of its topic that began before it. known says that its
// writer was heard before, so that its number proves that it is new.
func (r *route) pass(e *record, known bool) {
	proven := r.reset && known
	for _, n := range r.listeners[e.Topic] {
		if proven || r.floor.before(e.at) && n.start.before(e.at) {
			n.pass(&e.Entry)
		}
	}
}
