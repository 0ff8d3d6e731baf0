package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Log is one Redis stream, which other nodes write to and read as well. It is safe
// for concurrent use.
type Log struct {
	Config
	place     *place
	calls     *batcher[*question]
	condition *condition
	writer    *writer
	reader    *reader
	index     *index
	tail      *tail
	pace      pace
	scanning  chan struct{} // holds a token while the log is scanned
	reads     chan struct{} // holds a token for each running Read

	ctx   context.Context // ends with the log
	stop  context.CancelFunc
	parts sync.WaitGroup
	owner sync.WaitGroup
	ended chan struct{} // closed when nothing runs any more

	mu     sync.Mutex
	closed bool
}

// maxReads is how many clients' reads may be under way at a time: each of them costs
// Redis, which has one thread, more than a live entry does.
const maxReads = 16

// Open starts a log: its writer at once, its reader with the first listener. The
// caller closes it.
func Open(c Config) *Log {
	l := &Log{
		Config: c.withDefaults(), index: newIndex(), tail: &tail{maxLen: c.withDefaults().MaxLen},
		scanning: make(chan struct{}, 1), reads: make(chan struct{}, maxReads),
		ended: make(chan struct{}),
	}
	l.place = &place{client: l.Client, name: l.Name}
	l.calls = newBatcher(l.start, l.ask)
	l.condition = &condition{part: l.Part}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.reader = newReader(l)
	l.writer = newWriter(l, rand.Text()[:16])
	l.parts.Go(func() { l.writer.run(l.ctx) })
	l.owner.Go(func() {
		<-l.ctx.Done()
		l.parts.Wait()
		close(l.ended)
	})
	return l
}

// start runs f as a part of the log, unless that is closed.
func (l *Log) start(f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return adapter.ErrClosed
	}
	l.parts.Go(f)
	return nil
}

// call sends commands through the client's pool. go-redis waits for replies as long
// as its own limits say; call returns with ctx.
func (l *Log) call(ctx context.Context, commands ...command) error {
	away := func() bool { return l.condition.why() != nil }
	return redial(ctx, away, func() error { return l.callOnce(ctx, commands...) })
}

func (l *Log) callOnce(ctx context.Context, commands ...command) error {
	q := &question{commands: commands}
	if err := l.calls.do(ctx, "", q); err != nil {
		return err
	}
	return q.err
}

// question is what one caller asks Redis.
type question struct {
	commands []command
	err      error
}

// ask sends questions in one round trip. Each fails with the first refusal of its own.
func (l *Log) ask(ctx context.Context, questions []*question) {
	trip, cancel := context.WithCancel(l.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	var all []command
	for _, q := range questions {
		all = append(all, q.commands...)
	}
	err := l.place.run(trip, all...)
	_, refused := errors.AsType[refusal](err)
	for _, q := range questions {
		if q.err = err; refused {
			q.err = firstRefusal(q.commands)
		}
	}
}

// KeepTail keeps the newest entries in memory from then on, up to MaxLen and 16 MiB of
// them: for a log that many clients will Read at a time.
func (l *Log) KeepTail() { l.tail.keep() }

// Await returns when the log works, as far as is known, and fails with an error that wraps
// ErrDegraded when ctx ends first.
func (l *Log) Await(ctx context.Context) error { return l.condition.await(ctx) }

// Append queues e, which is the log's from then on. It never waits. Entries are
// written in the order of the calls, and once more as often as needed until Redis has
// them. It fails with ErrClosed, and with ErrQueueFull when too many bytes wait.
func (l *Log) Append(e *Entry) error { return l.writer.append(e) }

// Flush waits until what was appended before has been written. It fails with an error
// that wraps ErrDegraded as soon as Redis is known to be away or to refuse entries,
// which stay queued, and with ctx's error.
func (l *Log) Flush(ctx context.Context) error { return l.writer.flush(ctx) }

// Close flushes and ends the log. What could not be written is counted as expired;
// the error is then that of Flush. It waits for calls of listeners that are running,
// and no longer than ctx, whose error it then returns. Closing twice is harmless.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.writer.close()
	err := l.Flush(ctx)
	l.stop()
	select {
	case <-l.ended:
		l.owner.Wait()
	case <-ctx.Done():
		return ctx.Err()
	}
	if left := l.writer.giveUp(); left > 0 {
		l.Part.Drop(expired, left)
		return fmt.Errorf("stream: %d entries were not written: %w", left, err)
	}
	return nil
}
