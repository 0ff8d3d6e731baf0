package memory

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// batch is how many broadcasts a reader takes out of a log at a time.
const batch = 128

// broadcastLog keeps the newest broadcasts of a topic. They have numbers without a
// gap, from 1; an offset is the log's epoch, which no other log has, and the number.
type broadcastLog struct {
	adapter *Adapter
	epoch   string // with the dash that ends it

	mu        sync.Mutex // held while a broadcast goes into all queues: one order
	retention adapter.Retention
	entries   ring[logEntry]
	next      uint64 // number of the broadcast to come
	bytes     int64
}

// logEntry is a broadcast in the log. Nobody changes its message.
type logEntry struct {
	message *adapter.Message
	at      time.Duration // since the adapter began
	size    int64
}

func newBroadcastLog(a *Adapter) *broadcastLog {
	return &broadcastLog{adapter: a, epoch: rand.Text()[:16] + "-", next: 1}
}

// spread logs m and puts it into the queues of all links of the topic, but not of
// an ordinary one of the node that sends it. It returns the ticket of m in from's
// queue, 0 if from does not get it. The caller holds the adapter's mu.
func (g *broadcastLog) spread(from *link, m *adapter.Message) (ticket uint64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept := m.Clone()
	kept.From, kept.Offset = from.self, ""
	if !m.Broadcast.Volatile {
		g.keep(kept)
	}
	for to := range from.topic.links {
		if to.self == from.self && !to.logged {
			continue
		}
		ok := false
		if to == from {
			ticket, ok = to.inbox.place(kept.Clone())
		} else {
			ok = to.inbox.put(kept.Clone())
		}
		if !ok {
			g.adapter.queueFull.Add(1)
			err = adapter.ErrQueueFull
		}
	}
	return ticket, err
}

// end returns the offset of the newest broadcast, or of the place before the first.
func (g *broadcastLog) end() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.offset(g.next - 1)
}

func (g *broadcastLog) offset(number uint64) string { return g.epoch + strconv.FormatUint(number, 10) }

// keep gives m its offset and appends it. The caller holds mu.
func (g *broadcastLog) keep(m *adapter.Message) {
	m.Offset = g.offset(g.next)
	now := time.Since(g.adapter.started)
	e := logEntry{message: m, at: now, size: int64(m.Size())}
	g.entries.push(e)
	g.next++
	g.bytes += e.size
	g.trim(now)
	if g.entries.count == 1 {
		g.adapter.sweeper.wake(g.window())
	}
}

// trim removes what is too old or too much. The caller holds mu.
func (g *broadcastLog) trim(now time.Duration) {
	for g.entries.count > 0 {
		e := g.entries.at(0)
		if g.bytes <= g.retention.MaxLogBytes && now-e.at < g.window() {
			return
		}
		g.bytes -= e.size
		g.entries.shift()
	}
}

// sweep removes what is too old. It returns how long the oldest that is left may
// stay, and false if nothing is.
func (g *broadcastLog) sweep(now time.Duration) (stay time.Duration, left bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trim(now)
	if g.entries.count == 0 {
		return 0, false
	}
	return g.entries.at(0).at + g.window() - now, true
}

func (g *broadcastLog) isEmpty() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.entries.count == 0
}

func (g *broadcastLog) retain(r adapter.Retention) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retention = r
}

// covers says whether all that followed offset is still there.
func (g *broadcastLog) covers(offset string) bool {
	number, ok := g.number(offset)
	if !ok {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trim(time.Since(g.adapter.started))
	return g.follows(number)
}

// follows says whether all broadcasts after that with number are there. It may be
// the newest, and it may itself be gone. The caller holds mu.
func (g *broadcastLog) follows(number uint64) bool {
	oldest := g.next - uint64(g.entries.count)
	return number < g.next && number+1 >= oldest
}

// number reads an offset, which comes from a client, without an allocation. Only
// the text that this log has written for a number counts as that.
func (g *broadcastLog) number(offset string) (uint64, bool) {
	const longest = 18 // digits that any uint64 has room for
	digits, ok := strings.CutPrefix(offset, g.epoch)
	if !ok || len(digits) == 0 || len(digits) > longest || (digits[0] == '0' && len(digits) > 1) {
		return 0, false
	}
	number := uint64(0)
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		number = number*10 + uint64(c-'0')
	}
	return number, true
}

// rank says where an offset of this log is; what is none comes before all.
func (g *broadcastLog) rank(offset string) int64 {
	number, ok := g.number(offset)
	if !ok {
		return -1
	}
	return int64(number)
}

// read fills to with the broadcasts after that with number, and returns how many
// they are; it fails with ErrNoOffset when some of them are gone.
func (g *broadcastLog) read(number uint64, to []*adapter.Message) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trim(time.Since(g.adapter.started))
	if !g.follows(number) {
		return 0, adapter.ErrNoOffset
	}
	n := min(len(to), int(g.next-1-number))
	start := g.entries.count - int(g.next-1-number)
	for i := range n {
		to[i] = g.entries.at(start + i).message
	}
	return n, nil
}

// missed passes on each broadcast after offset, with no lock held, until yield
// returns false or the end of the log is reached.
func (g *broadcastLog) missed(ctx context.Context, offset string, yield func(*adapter.Message) bool) error {
	number, ok := g.number(offset)
	if !ok {
		return adapter.ErrNoOffset
	}
	var read [batch]*adapter.Message
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := g.read(number, read[:])
		if err != nil || n == 0 {
			return err
		}
		for _, m := range read[:n] {
			if !yield(m.Clone()) {
				return nil
			}
		}
		number += uint64(n)
	}
}

// window is how long broadcasts are kept.
func (g *broadcastLog) window() time.Duration { return g.retention.Window + g.retention.Unnoticed }
