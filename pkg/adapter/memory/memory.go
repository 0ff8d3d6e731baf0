package memory

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Adapter connects the nodes that share it, and is an adapter.RecoveryStore. It is
// safe for concurrent use.
type Adapter struct {
	started   time.Time
	queueFull atomic.Uint64
	records   recordStore
	sweeper   sweeper

	mu     sync.RWMutex
	topics map[string]*topic
}

// topic is what its links share. The adapter's mu guards it.
type topic struct {
	name  string
	links map[*link]struct{}
	log   *broadcastLog // nil until a node joins with a retention
}

var (
	_ adapter.Adapter       = (*Adapter)(nil)
	_ adapter.Reporter      = (*Adapter)(nil)
	_ adapter.RecoveryStore = (*Adapter)(nil)
)

// New returns an adapter without nodes. It starts nothing and needs no closing.
func New() *Adapter {
	a := &Adapter{started: time.Now(), topics: make(map[string]*topic)}
	a.sweeper.sweep = a.sweep
	return a
}

// Join enters topic as self; see adapter.Adapter. It does not block and fails
// only with the error of a ctx that has ended.
func (a *Adapter) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: join %q: %w", topic, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.enter(topic, self, deliver), nil
}

// enter makes a link to the topic. The caller holds mu.
func (a *Adapter) enter(name string, self adapter.NodeID, deliver func(*adapter.Message)) *link {
	t := a.topics[name]
	if t == nil {
		t = &topic{name: name, links: make(map[*link]struct{})}
		a.topics[name] = t
	}
	l := &link{adapter: a, topic: t, self: self, inbox: newInbox(deliver)}
	t.links[l] = struct{}{}
	return l
}

// Status is always up. Dropped counts, under "queue_full", the messages that a
// slow receiver's queue had no room for.
func (a *Adapter) Status() adapter.Status {
	s := adapter.Status{State: adapter.Up, Since: a.started, Dropped: map[string]uint64{}}
	if n := a.queueFull.Load(); n > 0 {
		s.Dropped["queue_full"] = n
	}
	return s
}

// spread puts m into the queues of the links that from speaks to. The ticket is
// that of m in from's own queue, 0 if from does not wait for it.
func (a *Adapter) spread(from *link, m *adapter.Message) (ticket uint64, err error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	t := from.topic
	if _, joined := t.links[from]; !joined {
		return 0, adapter.ErrClosed
	}
	if t.log != nil && m.Kind == adapter.KindBroadcast && m.To == "" {
		return t.log.spread(from, m)
	}
	for to := range t.links {
		if to.self == from.self || (m.To != "" && m.To != to.self) {
			continue
		}
		received := m.Clone()
		received.From = from.self
		if !to.inbox.put(received) {
			a.queueFull.Add(1)
			err = adapter.ErrQueueFull
		}
	}
	return 0, err
}

// leave takes l out of its topic and says whether it was in it.
func (a *Adapter) leave(l *link) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, joined := l.topic.links[l]
	delete(l.topic.links, l)
	a.forget(l.topic)
	return joined
}

// forget drops a topic that nobody has joined and that keeps nothing. The caller
// holds mu.
func (a *Adapter) forget(t *topic) {
	if a.topics[t.name] == t && len(t.links) == 0 && (t.log == nil || t.log.isEmpty() && !a.records.concern(t.log)) {
		delete(a.topics, t.name)
	}
}
