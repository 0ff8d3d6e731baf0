package adaptertest

import (
	"cmp"
	"context"
	"iter"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// A log behind a network is no fault: what is published arrives later, offsets have
// gaps, and a link may start at an entry that is none of its topic's.
func TestRun_RemoteLogPassesEveryCheck(t *testing.T) {
	spoil := onLog(remote)
	for _, k := range checks() {
		if r := outcome(t, spoil, k); r.Failed() || r.Skipped() {
			t.Errorf("%s: failed %t, skipped %t: %s", k.name, r.Failed(), r.Skipped(), strings.Join(r.lines(), "\n"))
		}
	}
}

// remote puts a log behind a network, among the entries of other topics.
func remote(l *fixtureLog) {
	deliver, publish, closeThis := l.deliver, l.publish, l.close
	there, back := &wire{delay: 3 * time.Millisecond}, &wire{delay: 2 * time.Millisecond}
	l.deliver = func(m *adapter.Message) {
		back.carry(func() {
			m.Offset = sparse(m.Offset, 0)
			deliver(m)
		})
	}
	l.publish = func(ctx context.Context, m *adapter.Message) error {
		if err := ctx.Err(); err != nil || there.ended() {
			return cmp.Or(err, adapter.ErrClosed)
		}
		m = m.Clone()
		there.carry(func() { _ = publish(context.Background(), m) })
		return nil
	}
	l.close = func(ctx context.Context) error {
		there.end()
		return closeThis(ctx)
	}
	find, missed, start := l.find, l.missed, l.start
	l.start = func() string { return sparse(start(), 3) }
	l.find = func(ctx context.Context, id, offset string) (*adapter.Record, error) {
		return find(ctx, id, dense(offset))
	}
	l.missed = func(ctx context.Context, offset string) iter.Seq2[*adapter.Message, error] {
		return func(yield func(*adapter.Message, error) bool) {
			for m, err := range missed(ctx, dense(offset)) {
				if err == nil {
					m.Offset = sparse(m.Offset, 0)
				}
				if !yield(m, err) {
					return
				}
			}
		}
	}
	l.compare = func(a, b string) int { return cmp.Compare(place(a), place(b)) }
}

// stride is how far the topic's entries lie apart in the log.
const stride = 7

// sparse is where an offset of memory's log lies, or the entry beside that.
func sparse(offset string, beside int) string {
	epoch, number, ok := strings.Cut(offset, "-")
	if !ok {
		return offset
	}
	n, _ := strconv.Atoi(number)
	return epoch + "-" + strconv.Itoa(n*stride+beside)
}

// dense is the opposite of sparse, and leaves alone what that never returns.
func dense(offset string) string {
	epoch, number, _ := strings.Cut(offset, "-")
	n, err := strconv.Atoi(number)
	if err != nil || strconv.Itoa(n) != number || n%stride != 0 && n%stride != 3 {
		return "not in the log: " + offset
	}
	return epoch + "-" + strconv.Itoa(n/stride)
}

func place(offset string) int {
	_, number, ok := strings.Cut(offset, "-")
	n, _ := strconv.Atoi(number)
	if !ok {
		return -1
	}
	return n
}

// wire carries calls one after the other, each some time later.
type wire struct {
	delay time.Duration

	carrying sync.Mutex // held while a call runs: before mu
	mu       sync.Mutex
	waiting  []func()
	closed   bool
}

func (w *wire) carry(call func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, call)
	time.AfterFunc(w.delay, w.next)
}

func (w *wire) next() {
	w.carrying.Lock()
	defer w.carrying.Unlock()
	w.mu.Lock()
	if len(w.waiting) == 0 {
		w.mu.Unlock()
		return
	}
	call := w.waiting[0]
	w.waiting = w.waiting[1:]
	w.mu.Unlock()
	call()
}

// end carries what still waits, at once.
func (w *wire) end() {
	w.mu.Lock()
	w.closed = true
	n := len(w.waiting)
	w.mu.Unlock()
	for range n {
		w.next()
	}
}

func (w *wire) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}
