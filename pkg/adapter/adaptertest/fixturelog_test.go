package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// fixtureLog does what its functions say, so that a fault may replace some.
type fixtureLog struct {
	adapter.RecoveryLink
	fixture *fixture
	topic   string
	self    adapter.NodeID

	retention adapter.Retention
	deliver   func(*adapter.Message)
	publish   func(context.Context, *adapter.Message) error
	close     func(context.Context) error
	save      func(context.Context, *adapter.Record) error
	find      func(context.Context, string, string) (*adapter.Record, error)
	take      func(context.Context, *adapter.Record) (*adapter.Record, error)
	renew     func(context.Context, []*adapter.Record) ([]int, error)
	forget    func(context.Context, *adapter.Record) error
	missed    func(context.Context, string) iter.Seq2[*adapter.Message, error]
	start     func() string
	compare   func(a, b string) int

	mu     sync.Mutex
	behind string // the newest broadcast that was not delivered
}

// ordered is the namespace of a broadcast that holds a request in its place in the
// order.
const ordered = "a request in the fixture's order"

func (f *fixture) JoinRecoverable(ctx context.Context, topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) (adapter.RecoveryLink, error) {
	l := &fixtureLog{fixture: f, topic: topic, self: self, retention: r, deliver: deliver}
	if f.fault.retain != nil {
		f.fault.retain(&l.retention)
	}
	inner, err := f.hub.JoinRecoverable(ctx, topic, self, l.retention, l.receive)
	if err != nil {
		return nil, err
	}
	l.RecoveryLink, l.behind = inner, inner.Start()
	l.publish, l.close = l.send, inner.Close
	l.save, l.find, l.take = l.saveOwn, inner.Find, l.takeOnce
	l.renew, l.forget = l.saveAgain, l.takeAway
	l.missed, l.start, l.compare = inner.Missed, l.began, inner.Compare
	if f.fault.logged != nil {
		f.fault.logged(l)
	}
	if !f.reached() {
		return l, fmt.Errorf("fixture: join: %w", adapter.ErrDegraded)
	}
	return l, nil
}

// receive passes on what comes while the backend is there.
func (l *fixtureLog) receive(m *adapter.Message) {
	if l.fixture.reached() {
		l.deliver(unwrap(m))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.Offset != "" {
		l.behind = m.Offset
	}
}

func (l *fixtureLog) send(ctx context.Context, m *adapter.Message) error {
	if !l.fixture.reached() {
		return nil // lost
	}
	if r := m.Request; m.To == "" && r != nil && r.Action <= adapter.ActionDisconnect {
		m = wrap(m)
	}
	return l.RecoveryLink.Publish(ctx, m)
}

func wrap(m *adapter.Message) *adapter.Message {
	data, _ := m.MarshalBinary()
	b := &adapter.Broadcast{Volatile: true, Packet: packet.Packet{Namespace: ordered, Data: data}}
	return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: b}
}

func unwrap(m *adapter.Message) *adapter.Message {
	if m.Broadcast == nil || m.Broadcast.Packet.Namespace != ordered {
		return m
	}
	inside := &adapter.Message{}
	_ = inside.UnmarshalBinary(m.Broadcast.Packet.Data)
	inside.From = m.From
	return inside
}

// began is Start.
func (l *fixtureLog) began() string {
	if !l.fixture.reached() {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.behind
}

// tombs are the records that were taken or forgotten, with their incarnations, of
// all topics of a backend.
type tombs struct {
	mu   sync.Mutex
	live map[string]string // incarnation by topic and private id; empty for a tomb
}

// saveOwn is Save: not for a record that was taken, or is another incarnation's.
func (l *fixtureLog) saveOwn(ctx context.Context, r *adapter.Record) error {
	t := l.fixture.tombs
	t.mu.Lock()
	defer t.mu.Unlock()
	if owner, known := t.live[l.topic+r.PrivateID]; known && owner != r.Incarnation && !r.First {
		return adapter.ErrTaken
	}
	err := l.RecoveryLink.Save(ctx, r)
	if err == nil {
		t.live[l.topic+r.PrivateID] = r.Incarnation
	}
	return err
}

// takeOnce is Take.
func (l *fixtureLog) takeOnce(ctx context.Context, found *adapter.Record) (*adapter.Record, error) {
	t := l.fixture.tombs
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := l.RecoveryLink.Take(ctx, found)
	if !errors.Is(err, adapter.ErrTaken) {
		t.live[l.topic+found.PrivateID] = ""
	}
	return r, err
}

// saveAgain is Renew.
func (l *fixtureLog) saveAgain(ctx context.Context, records []*adapter.Record) (missing []int, err error) {
	for i, known := range records {
		if l.owner(known.PrivateID) != known.Incarnation {
			missing = append(missing, i)
			continue
		}
		r, err := l.RecoveryLink.Take(ctx, known)
		switch {
		case errors.Is(err, adapter.ErrNoRecord):
			missing = append(missing, i)
			continue
		case err == nil:
			err = l.RecoveryLink.Save(ctx, r)
		}
		if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// takeAway is Forget.
func (l *fixtureLog) takeAway(ctx context.Context, r *adapter.Record) error {
	if owner := l.owner(r.PrivateID); owner != "" && owner != r.Incarnation {
		return adapter.ErrTaken
	}
	if _, err := l.takeOnce(ctx, r); !errors.Is(err, adapter.ErrNoRecord) {
		return err
	}
	return nil
}

func (l *fixtureLog) Publish(ctx context.Context, m *adapter.Message) error { return l.publish(ctx, m) }
func (l *fixtureLog) Close(ctx context.Context) error                       { return l.close(ctx) }
func (l *fixtureLog) Save(ctx context.Context, r *adapter.Record) error     { return l.save(ctx, r) }
func (l *fixtureLog) Find(ctx context.Context, id, offset string) (*adapter.Record, error) {
	return l.find(ctx, id, offset)
}
func (l *fixtureLog) Take(ctx context.Context, found *adapter.Record) (*adapter.Record, error) {
	return l.take(ctx, found)
}
func (l *fixtureLog) Renew(ctx context.Context, records []*adapter.Record) ([]int, error) {
	return l.renew(ctx, records)
}
func (l *fixtureLog) Forget(ctx context.Context, r *adapter.Record) error { return l.forget(ctx, r) }
func (l *fixtureLog) Missed(ctx context.Context, offset string) iter.Seq2[*adapter.Message, error] {
	return l.missed(ctx, offset)
}
func (l *fixtureLog) Start() string           { return l.start() }
func (l *fixtureLog) Compare(a, b string) int { return l.compare(a, b) }
