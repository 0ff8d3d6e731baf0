package memory

import (
	"context"
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// link is one node's membership of one topic.
type link struct {
	adapter *Adapter
	topic   *topic
	self    adapter.NodeID
	inbox   *inbox
	logged  bool // broadcasts come from the log, the node's own included
}

var _ adapter.Link = (*link)(nil)

// Publish hands m to the other nodes' queues; see adapter.Link. With ErrQueueFull
// the nodes whose queue had room get it all the same. On a recoverable link it
// returns when the link's own deliver has had the broadcast, or with ctx's error
// while that waits its turn. Within a deliver it does not wait.
func (l *link) Publish(ctx context.Context, m *adapter.Message) error {
	ticket, err := l.adapter.spread(l, m)
	if ticket > 0 {
		if waited := l.inbox.await(ctx, ticket); waited != nil {
			err = waited
		}
	}
	if err != nil {
		return fmt.Errorf("memory: publish to %q: %w", l.topic.name, err)
	}
	return nil
}

// Close leaves the topic; see adapter.Link. What it has published is in the
// receivers' queues already; what waits in its own is dropped.
func (l *link) Close(ctx context.Context) error {
	if l.adapter.leave(l) && l.logged {
		l.adapter.sweeper.leave()
	}
	if err := l.inbox.close(ctx); err != nil {
		return fmt.Errorf("memory: close %q: %w", l.topic.name, err)
	}
	return nil
}
