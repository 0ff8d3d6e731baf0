// Package natsadapter connects the nodes of a cluster through NATS. It is an example
// of a whole backend: README.md says what it does not have.
package natsadapter

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Adapter is an adapter.Adapter and an adapter.Reporter over one connection. It is
// safe for concurrent use and starts nothing beside its subscriptions.
type Adapter struct {
	conn               *nats.Conn
	prefix             string
	malformed, overrun atomic.Uint64 // messages dropped: no messages, and no room
}

// New returns an adapter whose subjects begin with prefix, a word without dots, spaces
// and wildcards that all nodes of a cluster share. The connection stays the caller's,
// who closes it after the last link, and should be one that reconnects without end.
func New(conn *nats.Conn, prefix string) *Adapter { return &Adapter{conn: conn, prefix: prefix} }

// Status reports the connection; see adapter.Reporter. Since is not known.
func (a *Adapter) Status() adapter.Status {
	// NATS keeps nothing for who is away: each interruption is a gap.
	s := adapter.Status{Interruptions: a.conn.Stats().Reconnects, Gaps: a.conn.Stats().Reconnects}
	s.Dropped = map[string]uint64{"malformed": a.malformed.Load(), "queue_full": a.overrun.Load()}
	if !a.conn.IsConnected() {
		s.State = adapter.Degraded
	}
	return s
}

// Join subscribes to the topic's subject; see adapter.Adapter. When the server does not
// confirm that within a second, the link comes with ErrDegraded.
func (a *Adapter) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (_ adapter.Link, err error) {
	// In hexadecimal: a topic is any text, and in a subject dots and wildcards mean something.
	subject := fmt.Sprintf("%s.topic-%x", a.prefix, topic)
	l := &link{adapter: a, topic: topic, subject: subject, self: self, deliver: deliver, turn: make(chan struct{}, 1)}
	if deliver != nil {
		if l.subscription, err = a.conn.Subscribe(subject, l.receive); err != nil {
			return nil, fmt.Errorf("nats: join %q: %w", topic, err)
		}
	}
	if err = a.flush(ctx); err != nil {
		return l, fmt.Errorf("nats: join %q: %w: %w", topic, adapter.ErrDegraded, err)
	}
	return l, nil
}

// flush waits until the server has answered a ping, and so has had what was written
// before it. A server that is away answers too late.
func (a *Adapter) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return a.conn.FlushWithContext(ctx)
}

// link is one node's membership of one topic.
type link struct {
	adapter        *Adapter
	topic, subject string
	self           adapter.NodeID
	deliver        func(*adapter.Message)
	subscription   *nats.Subscription // nil, which has no effect, without deliver
	turn           chan struct{}      // full while receive runs
	dropped        int                // by the client; receive has it
	closed         atomic.Bool
}

// receive is called by the client, one message at a time, from a queue that it bounds.
func (l *link) receive(raw *nats.Msg) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	n, _ := raw.Sub.Dropped() // -1 if the subscription has ended meanwhile
	l.adapter.overrun.Add(uint64(max(n-l.dropped, 0)))
	l.dropped = max(n, l.dropped)
	var m adapter.Message
	switch err := m.UnmarshalBinary(raw.Data); {
	case l.closed.Load():
	case err != nil:
		l.adapter.malformed.Add(1)
	case m.From != l.self && (m.To == "" || m.To == l.self):
		l.deliver(&m)
	}
}

// Publish hands m to the client, which buffers it; see adapter.Link.
func (l *link) Publish(_ context.Context, m *adapter.Message) error {
	signed := *m
	signed.From = l.self
	data, err := signed.MarshalBinary()
	if l.closed.Load() {
		err = adapter.ErrClosed
	}
	if err == nil {
		err = l.adapter.conn.Publish(l.subject, data)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		err = adapter.ErrTooLarge
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		err = adapter.ErrQueueFull
	}
	return fmt.Errorf("nats: publish to %q: %w", l.topic, err)
}

// Close leaves the topic; see adapter.Link. What was published while the server was
// away stays in the client's buffer.
func (l *link) Close(ctx context.Context) error {
	l.closed.Store(true)
	_ = l.subscription.Unsubscribe() // fails if it has ended already
	select {
	case l.turn <- struct{}{}: // no deliver runs, and receive begins no other
		<-l.turn
		if err := l.adapter.flush(ctx); err == nil || ctx.Err() == nil {
			return nil
		}
	case <-ctx.Done():
	}
	return fmt.Errorf("nats: close %q: %w", l.topic, ctx.Err())
}
