package memory

import (
	"context"
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// link is one node's membership of one topic.
type link struct {
	adapter *Adapter
	topic   string
	self    adapter.NodeID
	inbox   *inbox
}

var _ adapter.Link = (*link)(nil)

// Publish hands m to the other nodes' queues; see adapter.Link. With ErrQueueFull
// the nodes whose queue had room get it all the same.
func (l *link) Publish(_ context.Context, m *adapter.Message) error {
	if err := l.adapter.spread(l, m); err != nil {
		return fmt.Errorf("memory: publish to %q: %w", l.topic, err)
	}
	return nil
}

// Close leaves the topic; see adapter.Link. What it has published is in the
// receivers' queues already; what waits in its own is dropped.
func (l *link) Close(ctx context.Context) error {
	l.adapter.leave(l)
	if err := l.inbox.close(ctx); err != nil {
		return fmt.Errorf("memory: close %q: %w", l.topic, err)
	}
	return nil
}
