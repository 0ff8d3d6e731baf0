package adaptertest

import (
	"context"
	"iter"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// fixtureLog does what its functions say, so that a fault may replace some.
type fixtureLog struct {
	adapter.RecoveryLink
	topic string
	self  adapter.NodeID

	retention adapter.Retention
	deliver   func(*adapter.Message)
	publish   func(context.Context, *adapter.Message) error
	save      func(context.Context, *adapter.Record) error
	find      func(context.Context, string, string) (*adapter.Record, error)
	take      func(context.Context, string) (*adapter.Record, error)
	missed    func(context.Context, string) iter.Seq2[*adapter.Message, error]
	start     func() string
}

func (f *fixture) JoinRecoverable(ctx context.Context, topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) (adapter.RecoveryLink, error) {
	l := &fixtureLog{topic: topic, self: self, retention: r, deliver: deliver}
	if f.fault.retain != nil {
		f.fault.retain(&l.retention)
	}
	inner, err := f.hub.JoinRecoverable(ctx, topic, self, l.retention, func(m *adapter.Message) { l.deliver(m) })
	if err != nil {
		return nil, err
	}
	l.RecoveryLink = inner
	l.publish, l.save, l.find, l.take = inner.Publish, inner.Save, inner.Find, inner.Take
	l.missed, l.start = inner.Missed, inner.Start
	if f.fault.logged != nil {
		f.fault.logged(l)
	}
	return l, nil
}

func (l *fixtureLog) Publish(ctx context.Context, m *adapter.Message) error { return l.publish(ctx, m) }
func (l *fixtureLog) Save(ctx context.Context, r *adapter.Record) error     { return l.save(ctx, r) }
func (l *fixtureLog) Find(ctx context.Context, id, offset string) (*adapter.Record, error) {
	return l.find(ctx, id, offset)
}
func (l *fixtureLog) Take(ctx context.Context, id string) (*adapter.Record, error) {
	return l.take(ctx, id)
}
func (l *fixtureLog) Missed(ctx context.Context, offset string) iter.Seq2[*adapter.Message, error] {
	return l.missed(ctx, offset)
}
func (l *fixtureLog) Start() string { return l.start() }
