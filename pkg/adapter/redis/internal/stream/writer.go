package stream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Limits of one batch. They keep its round trip well below a time limit.
const (
	maxBatch      = 1024
	maxBatchBytes = 1 << 20
)

// writer hands entries to Redis: one goroutine, one batch at a time, each whole or
// not at all. What a lost reply leaves open is looked up before anything is written
// again.
type writer struct {
	*Log
	name  string // of this writer, in the entries
	queue *queue
	stale atomic.Bool // the session may be dead

	// What follows belongs to the goroutine.
	session *session
	floor   id     // all entries of this writer that are not safe come behind it
	begun   bool   // floor is known
	sent    uint64 // number of the last entry that may be in the log
	few     bool   // replicas were too few the last time
	trimmed time.Time
	ageless bool // Redis cannot trim by age
}

func newWriter(l *Log, name string) *writer {
	return &writer{Log: l, name: name, queue: newQueue(l.QueueBytes)}
}

func (w *writer) append(e *Entry) error {
	return w.queue.push(e, w.prepare)
}

// prepare numbers an entry. It is called in the order of the numbers.
func (w *writer) prepare(p *pending) {
	p.seq = appendSeq(make(sealed, 0, len(w.name)+8), w.name, p.number)
	if w.Seal != nil {
		p.mark = w.Seal(p.entry, string(p.seq))
	}
}

func (w *writer) close() { w.queue.close() }

func (w *writer) giveUp() int { return w.queue.giveUp() }

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	wait := w.Timing.backoff()
	defer w.disconnect()
	for ctx.Err() == nil {
		err := w.step(ctx)
		switch {
		case err == nil:
			wait.reset()
			w.queue.fail(nil)
			w.condition.works(writing)
			w.idle(ctx)
		case ctx.Err() != nil:
			return
		case w.place.follow(err) && wait.failures < maxRedirects:
			w.disconnect()
			wait.failures++
		default:
			w.failed(ctx, err, &wait)
		}
	}
}

// failed says why nothing can be written, and waits a while.
func (w *writer) failed(ctx context.Context, err error, wait *backoff) {
	if hopeless(err) {
		wait.longest()
	}
	w.disconnect() // the next attempt may find another server
	w.place.forget(ctx)
	w.queue.fail(err)
	w.condition.fails(writing, err)
	pause(ctx, wait.next())
}

// hopeless says that Redis will refuse an entry until somebody changes its data or
// its rights.
func hopeless(err error) bool {
	r, ok := errors.AsType[refusal](err)
	return ok && r.is("WRONGTYPE", "NOPERM", "NOAUTH", "ERR")
}

func (w *writer) disconnect() {
	if w.session != nil {
		w.session.close()
		w.session = nil
	}
}

// idle waits until there is something to write, or entries have become old.
func (w *writer) idle(ctx context.Context) {
	var old <-chan time.Time
	if w.MaxAge > 0 && !w.ageless {
		timer := time.NewTimer(time.Until(w.trimmed.Add(w.trimEvery())))
		defer timer.Stop()
		old = timer.C
	}
	select {
	case <-w.queue.wake:
	case <-old:
	case <-ctx.Done():
	}
}

// renew makes the writer connect again before it writes: the reader has lost its
// connection, so that of a writer that had nothing to write may be gone as well.
func (w *writer) renew() {
	w.stale.Store(true)
	signal(w.queue.wake)
}

// step connects if need be and writes all that may be written. Without an error
// Redis has answered.
func (w *writer) step(ctx context.Context) error {
	if w.stale.Swap(false) {
		w.disconnect()
	}
	if err := w.connect(ctx); err != nil {
		return err
	}
	for {
		if err := w.reader.begin(ctx, w.session); err != nil {
			return err
		}
		batch := w.queue.batch(w.window())
		if len(batch) == 0 {
			return w.trimByAge(ctx)
		}
		if err := w.write(ctx, batch); err != nil {
			return err
		}
	}
}

// window is how many entries may be in the log without having come back.
func (w *writer) window() int { return int(max(w.MaxLen/4, 1)) }

// connect opens a session, if there is none, and proves that it works. What was
// written through an earlier one and is not safe is looked up: replies may have been
// lost, and another server may have taken over.
func (w *writer) connect(ctx context.Context) error {
	if w.session != nil {
		return nil
	}
	session, err := w.place.open(ctx, w.Timing.Answer+w.WaitTimeout, w.Timing.Dial)
	if err != nil {
		return err
	}
	w.session = session
	s, err := w.end(ctx, session)
	if err != nil {
		return fmt.Errorf("stream: connect: %w", err)
	}
	if !w.begun {
		w.floor, w.begun = s.last, true
		return nil
	}
	w.queue.unsure()
	if w.queue.reaches(w.sent) {
		return nil
	}
	return w.check(ctx)
}

// write hands a batch to Redis. It is in the log as a whole, or not at all: a batch
// whose middle were refused would be overtaken by its end.
func (w *writer) write(ctx context.Context, batch []*pending) error {
	commands := make([]command, 0, len(batch)+2)
	if len(batch) > 1 {
		commands = append(commands, newCommand(ctx, "multi"))
	}
	for _, p := range batch {
		commands = append(commands, p.command(ctx, w.Log))
	}
	if len(batch) > 1 {
		commands = append(commands, newCommand(ctx, "exec"))
	}
	w.sent = max(w.sent, batch[len(batch)-1].number)
	if err := w.session.run(ctx, commands...); err != nil {
		return fmt.Errorf("stream: write to %q: %w", w.Name, err)
	}
	last, err := lastID(commands[len(commands)-1], len(batch))
	if err != nil {
		return err
	}
	return w.wrote(ctx, batch[len(batch)-1].number, last)
}

// lastID reads the answer to XADD, or to EXEC of so many.
func lastID(c command, entries int) (id, error) {
	r := c.reply()
	if entries > 1 && r.array() != entries {
		r.fail()
	}
	var last id
	for range entries {
		if last = r.id(); r.err != nil {
			break
		}
	}
	return last, r.wrap("write")
}

// wrote notes that the entries up to number are in the log, the last of them at that
// place, and asks for the replicas if they are wanted.
func (w *writer) wrote(ctx context.Context, number uint64, last id) error {
	safe, err := w.replicated(ctx)
	if safe {
		w.floor = last
	}
	w.queue.wrote(number, safe)
	return err
}

// replicated says whether enough replicas have all that was written so far. When they
// were too few, it does not wait for them the next time.
func (w *writer) replicated(ctx context.Context) (bool, error) {
	if w.WaitReplicas <= 0 {
		return true, nil
	}
	limit := w.WaitTimeout.Milliseconds()
	if w.few {
		limit = 1
	}
	wait := newCommand(ctx, "wait", w.WaitReplicas, max(limit, 1))
	if err := w.session.run(ctx, wait); err != nil {
		return false, fmt.Errorf("stream: wait for replicas: %w", err)
	}
	r := wait.reply()
	enough := r.number() >= int64(w.WaitReplicas)
	if enough == w.few && r.err == nil {
		w.few = !enough
		w.Logger.Warn("redis: replicas of the stream", "stream", w.Name, "enough", enough, "wanted", w.WaitReplicas)
	}
	return enough, r.wrap("wait for replicas")
}

// check finds out how much of what is not safe is in the log. As each batch is whole
// and they are in order, that is all up to a number.
func (w *writer) check(ctx context.Context) error {
	var found uint64
	at := w.floor
	for after, more := w.floor, true; more && found < w.sent; {
		var entries []record
		var err error
		if entries, after, more, err = w.scan(ctx, w.session, after); err != nil {
			return fmt.Errorf("stream: look up what was written: %w", err)
		}
		for i := range entries {
			if e := &entries[i]; e.writer == w.name && e.number > found {
				found, at = e.number, e.at
			}
		}
	}
	if found == 0 {
		return nil
	}
	return w.wrote(ctx, found, at)
}

// trimEvery is the time between two trims by age.
func (w *writer) trimEvery() time.Duration {
	return min(max(w.MaxAge/8, time.Second), time.Minute)
}

// trimByAge removes old entries now and then, by the clock that gave them their ids.
func (w *writer) trimByAge(ctx context.Context) error {
	if w.MaxAge <= 0 || w.ageless || time.Since(w.trimmed) < w.trimEvery() {
		return nil
	}
	w.trimmed = time.Now()
	now, err := w.now(ctx, w.session)
	if err != nil {
		return fmt.Errorf("stream: trim by age: %w", err)
	}
	err = w.session.run(ctx, newCommand(ctx, "xtrim", w.Name, "minid", "~", now.less(w.MaxAge).String()))
	if r, ok := errors.AsType[refusal](err); ok && r.is("ERR") {
		w.ageless = true
		w.Logger.Warn("redis: this Redis cannot trim a stream by age", "error", err.Error())
		return nil
	}
	return err
}

// flush waits until all that is queued now is in the log.
func (w *writer) flush(ctx context.Context) error {
	target := w.queue.last()
	for {
		progress, err := w.queue.reached(target)
		if progress == nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", adapter.ErrDegraded, err)
		}
		select {
		case <-progress:
		case <-w.ended:
			return adapter.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
