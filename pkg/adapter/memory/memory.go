package memory

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Adapter connects the nodes that share it. It is safe for concurrent use.
type Adapter struct {
	started   time.Time
	queueFull atomic.Uint64

	mu     sync.RWMutex
	topics map[string]map[*link]struct{}
}

var (
	_ adapter.Adapter  = (*Adapter)(nil)
	_ adapter.Reporter = (*Adapter)(nil)
)

// New returns an adapter without nodes. It starts nothing and needs no closing.
func New() *Adapter {
	return &Adapter{started: time.Now(), topics: make(map[string]map[*link]struct{})}
}

// Join enters topic as self; see adapter.Adapter. It does not block and fails
// only with the error of a ctx that has ended.
func (a *Adapter) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: join %q: %w", topic, err)
	}
	l := &link{adapter: a, topic: topic, self: self, inbox: newInbox(deliver)}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.topics[topic] == nil {
		a.topics[topic] = make(map[*link]struct{})
	}
	a.topics[topic][l] = struct{}{}
	return l, nil
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

// spread puts m into the queues of the links that from speaks to.
func (a *Adapter) spread(from *link, m *adapter.Message) error {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if _, joined := a.topics[from.topic][from]; !joined {
		return adapter.ErrClosed
	}
	var err error
	for to := range a.topics[from.topic] {
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
	return err
}

func (a *Adapter) leave(l *link) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.topics[l.topic], l)
	if len(a.topics[l.topic]) == 0 {
		delete(a.topics, l.topic)
	}
}
