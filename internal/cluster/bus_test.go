package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus is one node's adapter over memory, which tests may take away. It notes what
// its links are told as adapter.RoomObserver.
type bus struct {
	hub  *memory.Adapter
	away atomic.Bool
	slow atomic.Bool // Join and SocketIDs last as long as their context
	sick atomic.Bool // the backend is said to be away, but works

	refusal error // what Publish in a namespace fails with

	mu       sync.Mutex
	suffixes map[string][]string // by topic
	rooms    []string
}

func newBus(hub *memory.Adapter) *bus {
	return &bus{hub: hub, suffixes: make(map[string][]string)}
}

func (b *bus) Status() adapter.Status {
	if b.away.Load() || b.sick.Load() {
		return adapter.Status{State: adapter.Degraded}
	}
	return adapter.Status{State: adapter.Up}
}

func (b *bus) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	link, err := b.hub.Join(ctx, topic, self, func(m *adapter.Message) {
		if !b.away.Load() {
			deliver(m)
		}
	})
	if err != nil {
		return nil, err
	}
	if b.away.Load() {
		return &busLink{link, b, topic}, fmt.Errorf("bus: join: %w", adapter.ErrDegraded)
	}
	return &busLink{link, b, topic}, nil
}

func (b *bus) told(topic string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.suffixes[topic])
}

type busLink struct {
	adapter.Link
	bus   *bus
	topic string
}

func (l *busLink) Publish(ctx context.Context, m *adapter.Message) error {
	if l.bus.away.Load() {
		return nil
	}
	if l.topic != membersTopic && l.bus.refusal != nil {
		return l.bus.refusal
	}
	return l.Link.Publish(ctx, m)
}

func (l *busLink) RoomOccupied(_ context.Context, room string) error {
	l.note("+" + room)
	if l.bus.away.Load() {
		return fmt.Errorf("bus: subscribe: %w", adapter.ErrDegraded)
	}
	return nil
}

func (l *busLink) RoomEmpty(room string) { l.note("-" + room) }

func (l *busLink) note(room string) {
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	l.bus.rooms = append(l.bus.rooms, room)
}

func (l *busLink) SocketIDs(ctx context.Context, suffix string) error {
	if l.bus.slow.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	l.bus.suffixes[l.topic] = append(l.bus.suffixes[l.topic], suffix)
	return nil
}

// census is a node's adapter whose links are NodeCounters.
type census struct {
	*memory.Adapter
	count func(context.Context) (int, error)
}

type censusLink struct {
	adapter.Link
	count func(context.Context) (int, error)
}

func (c *census) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	link, err := c.Adapter.Join(ctx, topic, self, deliver)
	return &censusLink{link, c.count}, err
}

func (l *censusLink) CountNodes(ctx context.Context) (int, error) { return l.count(ctx) }

// counts is a census that always gives n.
func counts(hub *memory.Adapter, n int) *census {
	return &census{hub, func(context.Context) (int, error) { return n, nil }}
}

// start starts a node that ends with the test.
func start(t *testing.T, a adapter.Adapter) *Node {
	t.Helper()
	return startWith(t, Options{Adapter: a})
}

func startWith(t *testing.T, o Options) *Node {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNode(t, n) })
	return n
}

func closeNode(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// join joins namespace for its broadcasts; requests are answered at once.
func join(t *testing.T, n *Node, namespace string, deliver func(*adapter.Broadcast)) *Topic {
	t.Helper()
	return joinWith(t, n, namespace, handle(deliver))
}

func joinWith(t *testing.T, n *Node, namespace string, h Handler) *Topic {
	t.Helper()
	topic, err := n.Join(t.Context(), namespace, h)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func handle(deliver func(*adapter.Broadcast)) Handler {
	return Handler{
		Broadcast: func(b *adapter.Broadcast, _ string, _ bool) {
			if deliver != nil {
				deliver(b)
			}
		},
		Request: func(_ *adapter.Request, answer func(*adapter.Response)) {
			answer(&adapter.Response{Done: true})
		},
	}
}

// witness is a member of the members' topic that only the test speaks for.
type witness struct {
	t    *testing.T
	link adapter.Link

	mu    sync.Mutex
	heard []*adapter.Message
}

func watch(t *testing.T, hub *memory.Adapter, id adapter.NodeID) *witness {
	t.Helper()
	w := &witness{t: t}
	link, err := hub.Join(t.Context(), membersTopic, id, func(m *adapter.Message) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heard = append(w.heard, m)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.link = link
	t.Cleanup(func() { _ = link.Close(context.Background()) })
	return w
}

func (w *witness) say(m *adapter.Message) {
	w.t.Helper()
	if err := w.link.Publish(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

// take returns what was heard since the last call.
func (w *witness) take() []*adapter.Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	heard := w.heard
	w.heard = nil
	return heard
}

func ids(members []Member) []adapter.NodeID {
	var ids []adapter.NodeID
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return ids
}
