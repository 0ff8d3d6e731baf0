package stream

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// sealed is a text that go-redis writes without a copy.
type sealed []byte

// MarshalBinary implements encoding.BinaryMarshaler.
func (s *sealed) MarshalBinary() ([]byte, error) { return *s, nil }

// pending is an entry on its way into the log, and back to this node.
type pending struct {
	entry  *Entry
	number uint64
	seq    sealed
	mark   string
	bytes  int64
}

// command returns the XADD that writes p.
func (p *pending) command(ctx context.Context, l *Log) command {
	args := make([]any, 0, 20)
	args = append(args, "xadd", &l.Name, "maxlen", "~", &l.MaxLen, "*",
		fieldUID, &p.entry.UID, fieldTopic, &p.entry.Topic, fieldType, &p.entry.Type, fieldData, &p.entry.Data)
	if p.entry.Own != "" {
		args = append(args, fieldOwn, &p.entry.Own)
	}
	args = append(args, fieldSeq, &p.seq)
	if p.mark != "" {
		args = append(args, fieldMark, &p.mark)
	}
	return command{goredis.NewRawCmd(ctx, args...)}
}

// queue holds the entries from their Append until they are in the log and, where
// there is a reader, have come back. So it bounds what this node may be ahead of its
// own reader, and a burst does not trim the log under all readers.
//
// Its entries have consecutive numbers. Those up to written are in the log; of
// these, those up to returned were read, and those up to safe are on replicas.
type queue struct {
	maxBytes int64
	wake     chan struct{} // one token: there may be something to do for the writer

	mu       sync.Mutex
	list     []*pending // those after done()
	bytes    int64
	number   uint64 // of the last entry that was queued
	written  uint64
	returned uint64
	safe     uint64
	follows  bool          // there is a reader, which entries come back to
	progress chan struct{} // closed when written grows; nil while nobody waits
	failure  error         // why nothing can be written at the moment
	closed   bool
}

func newQueue(maxBytes int64) *queue {
	return &queue{maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// signal puts a token into a channel that has room for one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// push gives e the next number.
func (q *queue) push(e *Entry, prepare func(*pending)) error {
	p := &pending{entry: e, bytes: e.size()}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return adapter.ErrClosed
	}
	if q.bytes+p.bytes > q.maxBytes {
		q.spare(p.bytes)
	}
	if q.bytes+p.bytes > q.maxBytes {
		return adapter.ErrQueueFull
	}
	q.number++
	p.number = q.number
	prepare(p)
	q.bytes += p.bytes
	q.list = append(q.list, p)
	signal(q.wake)
	return nil
}

// spare gives up entries that are in the log and are only kept for the replicas'
// sake, until there is room for as many bytes.
func (q *queue) spare(bytes int64) {
	for len(q.list) > 0 && q.list[0].number <= q.written && q.bytes+bytes > q.maxBytes {
		if q.follows && q.list[0].number > q.returned {
			return
		}
		q.safe = q.list[0].number
		q.trim()
	}
}

// trim drops the entries that nothing is left to do for.
func (q *queue) trim() {
	done := min(q.written, q.safe)
	if q.follows {
		done = min(done, q.returned)
	}
	n := 0
	for n < len(q.list) && q.list[n].number <= done {
		q.bytes -= q.list[n].bytes
		q.list[n] = nil
		n++
	}
	if q.list = q.list[n:]; len(q.list) == 0 {
		q.list = nil
	}
}

// batch returns the entries to be written next, at most so many that no more than
// window are ahead of the reader.
func (q *queue) batch(window int) []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	rest := q.list[q.place(q.written):]
	if q.follows {
		window -= int(q.written - q.returned)
	}
	n, bytes := 0, int64(0)
	for n < min(len(rest), maxBatch, window) && bytes < maxBatchBytes {
		bytes += rest[n].bytes
		n++
	}
	return rest[:n:n]
}

// place returns where in list the entries after number begin.
func (q *queue) place(number uint64) int {
	if len(q.list) == 0 || number < q.list[0].number {
		return 0
	}
	return min(int(number-q.list[0].number)+1, len(q.list))
}

// wrote says that the entries up to number are in the log, and on replicas if safe.
func (q *queue) wrote(number uint64, safe bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written = max(q.written, number)
	if safe {
		q.safe = q.written
	}
	q.trim()
	q.announce()
}

// announce wakes those who wait for written to grow.
func (q *queue) announce() {
	if q.progress != nil {
		close(q.progress)
		q.progress = nil
	}
}

// unsure says that what is not known to be on replicas may not be in the log.
func (q *queue) unsure() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written = min(q.written, q.safe)
}

// follow says that entries come back from now on.
func (q *queue) follow() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.follows {
		q.follows, q.returned = true, q.written
	}
}

// back notes that the entry of that number was read, and returns its Value.
func (q *queue) back(number uint64) any {
	q.mu.Lock()
	defer q.mu.Unlock()
	if number <= q.returned || number > q.number {
		return nil
	}
	var value any
	if i := q.place(number - 1); i < len(q.list) && q.list[i].number == number {
		value = q.list[i].entry.Value
	}
	q.returned = number
	q.trim()
	signal(q.wake)
	return value
}

// lost says that entries which are in the log may never come back: some of the log
// was not read.
func (q *queue) lost() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.returned = max(q.returned, q.written)
	q.trim()
	signal(q.wake)
}

// fail says why nothing can be written, or that it can.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failure = err
	if err != nil {
		q.announce()
	}
}

// last returns the number of the entry that was queued last.
func (q *queue) last() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.number
}

// reached returns nil when the entries up to number are in the log. Otherwise it
// returns a channel that is closed when that may have changed, and why nothing can be
// written if so.
func (q *queue) reached(number uint64) (<-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.written >= number {
		return nil, nil
	}
	if q.progress == nil {
		q.progress = make(chan struct{})
	}
	return q.progress, q.failure
}

// reaches says whether the entries up to number are in the log.
func (q *queue) reaches(number uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.written >= number
}

// close refuses what follows.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// giveUp drops what is not in the log and returns how many entries that are.
func (q *queue) giveUp() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := int(q.number - q.written)
	q.written, q.safe, q.returned = q.number, q.number, q.number
	q.trim()
	q.announce()
	return n
}
