package emitter_test

import (
	"context"
	"slices"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// stubAdapter is an adapter whose failures a test decides on.
type stubAdapter struct {
	// join answers a call of Join, for which a link was made. Nil: the link is given out.
	join func(context.Context, *stubLink) (adapter.Link, error)
	// refusal is what Publish fails with.
	refusal error
	// closing answers a call of Close. Nil: it succeeds.
	closing func(context.Context) error

	mu    sync.Mutex
	links []*stubLink
}

type stubLink struct {
	adapter  *stubAdapter
	topic    string
	self     adapter.NodeID
	receives bool

	mu        sync.Mutex
	published []*adapter.Message
	closed    bool
}

func (a *stubAdapter) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	l := &stubLink{adapter: a, topic: topic, self: self, receives: deliver != nil}
	a.mu.Lock()
	a.links = append(a.links, l)
	a.mu.Unlock()
	if a.join != nil {
		return a.join(ctx, l)
	}
	return l, nil
}

// all returns the links that were asked for.
func (a *stubAdapter) all() []*stubLink {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.links)
}

func (l *stubLink) Publish(_ context.Context, m *adapter.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return adapter.ErrClosed
	}
	if l.adapter.refusal == nil {
		l.published = append(l.published, m.Clone())
	}
	return l.adapter.refusal
}

func (l *stubLink) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if l.adapter.closing != nil {
		return l.adapter.closing(ctx)
	}
	return nil
}
