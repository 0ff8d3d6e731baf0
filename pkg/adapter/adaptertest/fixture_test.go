package adaptertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

// fixture is one node's adapter over memory that has all the abilities: it routes
// by interest, reports, is watched, keeps records, may be far from its backend (delay)
// or lose it.
type fixture struct {
	hub   *memory.Adapter
	tombs *tombs // of all nodes
	crowd *crowd // all nodes
	delay time.Duration
	fault fault

	mu     sync.Mutex
	joins  map[string]int // by topic and node
	links  []*fixtureLink
	status adapter.Status
	lost   time.Time // when the backend was lost; zero if it was never there
	alerts []*fixtureAlert
}

// fixtureConfig is a backend of fixtures, spoilt by the fault that spoil returns.
func fixtureConfig(spoil func() fault) Config {
	hub, fault := memory.New(), spoil()
	buried, everybody := &tombs{live: map[string]string{}}, &crowd{here: map[string]map[*fixtureLink]bool{}}
	node := func(delay time.Duration, state adapter.State) *fixture {
		return &fixture{
			hub: hub, tombs: buried, crowd: everybody, delay: delay, fault: fault,
			joins: map[string]int{}, status: adapter.Status{State: state},
		}
	}
	return Config{
		New:     func(testing.TB) adapter.Adapter { return node(0, adapter.Up) },
		Delayed: func(_ testing.TB, d time.Duration) adapter.Adapter { return node(d, adapter.Up) },
		Cut: func(testing.TB) (adapter.Adapter, func()) {
			f := node(0, adapter.Degraded)
			return f, f.heal
		},
		Lose: func(testing.TB) (a adapter.Adapter, lose, heal func()) {
			f := node(0, adapter.Up)
			return f, f.lose, f.heal
		},
	}
}

func (f *fixture) reached() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status.State == adapter.Up
}

func (f *fixture) TotalOrder() {}

func (f *fixture) Status() adapter.Status {
	if f.fault.status != nil {
		return f.fault.status()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fixture) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	if f.fault.join != nil {
		if link, err, done := f.fault.join(ctx, &topic); done {
			return link, err
		}
	}
	if err := wait(ctx, f.delay); err != nil {
		return nil, fmt.Errorf("fixture: join: %w", err)
	}
	l := newFixtureLink(f, topic, self, deliver)
	receive := l.receive
	if deliver == nil {
		receive = nil
	}
	inner, err := f.hub.Join(ctx, topic, self, receive)
	if err != nil {
		return nil, err
	}
	l.inner = inner
	f.crowd.note(l, true)
	f.mu.Lock()
	f.links = append(f.links, l)
	f.mu.Unlock()
	if !f.reached() {
		return l, fmt.Errorf("fixture: join: %w", adapter.ErrDegraded)
	}
	return l, nil
}

// wait lets d go by on the bubble's clock.
func wait(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d == 0 {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fixtureLink does what its functions say, so that a fault may replace some.
type fixtureLink struct {
	*fixture
	topic string
	self  adapter.NodeID
	inner adapter.Link

	publish  func(context.Context, *adapter.Message) error
	close    func(context.Context) error
	deliver  func(*adapter.Message)
	occupied func(context.Context, string) error
	empty    func(string)
	claim    func(context.Context, string) error
	count    func(context.Context) (int, error)

	mu       sync.Mutex
	since    time.Time // of the last step that a delayed backend confirmed
	rooms    map[string]bool
	suffixes []string
	outbox   []*adapter.Message // of a delayed link
	sending  *time.Timer
	closed   bool
}

func newFixtureLink(f *fixture, topic string, self adapter.NodeID, deliver func(*adapter.Message)) *fixtureLink {
	l := &fixtureLink{fixture: f, topic: topic, self: self, deliver: deliver, since: time.Now(), rooms: map[string]bool{}}
	l.publish, l.close = l.queue, l.flushAndClose
	l.occupied, l.empty, l.claim, l.count = l.addRoom, l.removeRoom, l.addSuffix, l.countNodes
	f.mu.Lock()
	f.joins[topic+string(self)]++
	f.mu.Unlock()
	if f.fault.link != nil {
		f.fault.link(l)
	}
	return l
}

func (l *fixtureLink) Publish(ctx context.Context, m *adapter.Message) error {
	return l.publish(ctx, m)
}
func (l *fixtureLink) Close(ctx context.Context) error { return l.close(ctx) }
func (l *fixtureLink) RoomOccupied(ctx context.Context, room string) error {
	return l.occupied(ctx, room)
}
func (l *fixtureLink) RoomEmpty(room string) { l.empty(room) }
func (l *fixtureLink) SocketIDs(ctx context.Context, suffix string) error {
	return l.claim(ctx, suffix)
}

func (l *fixtureLink) CountNodes(ctx context.Context) (int, error) { return l.count(ctx) }

// receive passes on what the node is interested in.
func (l *fixtureLink) receive(m *adapter.Message) {
	if !l.reached() {
		return
	}
	b := m.Broadcast
	if b == nil || len(b.Rooms) == 0 || slices.ContainsFunc(b.Rooms, l.interested) {
		l.deliver(m)
	}
}

func (l *fixtureLink) interested(room string) bool { return l.occupies(room) || l.claims(room) }

func (l *fixtureLink) occupies(room string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rooms[room]
}

func (l *fixtureLink) claims(room string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(room) == 20 && slices.ContainsFunc(l.suffixes, func(s string) bool { return strings.HasSuffix(room, s) })
}

// young says that a link with a delay has joined or asked for something less than
// that delay ago: what a backend would not have heard of if nobody had waited.
func (l *fixtureLink) young() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.since) < l.delay
}

func (l *fixtureLink) addRoom(ctx context.Context, room string) error {
	if err := wait(ctx, l.delay); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = time.Now()
	l.rooms[room] = true
	return nil
}

func (l *fixtureLink) removeRoom(room string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rooms, room)
}

func (l *fixtureLink) addSuffix(ctx context.Context, suffix string) error {
	if err := wait(ctx, l.delay); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = time.Now()
	l.suffixes = append(l.suffixes, suffix)
	return nil
}

// queue publishes at once, or after the link's delay.
func (l *fixtureLink) queue(ctx context.Context, m *adapter.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return adapter.ErrClosed
	case !l.reached():
		return nil // lost, as while a real backend is away
	case l.delay == 0:
		return l.inner.Publish(ctx, m)
	}
	l.outbox = append(l.outbox, m.Clone())
	if len(l.outbox) == 1 {
		l.sending = time.AfterFunc(l.delay, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.flush()
		})
	}
	return nil
}

// flush publishes the outbox. The caller holds mu.
func (l *fixtureLink) flush() {
	for _, m := range l.outbox {
		_ = l.inner.Publish(context.Background(), m)
	}
	l.outbox = nil
}

func (l *fixtureLink) flushAndClose(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	if l.sending != nil {
		l.sending.Stop()
	}
	l.flush()
	l.mu.Unlock()
	l.crowd.note(l, false)
	return l.inner.Close(ctx)
}
