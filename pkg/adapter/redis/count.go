package redis

import (
	"context"
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// countingLink is a link to a namespace in which Node.js servers count. It hears every
// broadcast, and so it is no adapter.RoomObserver.
type countingLink struct{ *link }

var _ adapter.NodeCounter = (*countingLink)(nil)

// CountNodes returns how many connections to Redis listen to the namespace's
// requests; see adapter.NodeCounter.
func (l *countingLink) CountNodes(ctx context.Context) (int, error) {
	n, err := 0, adapter.ErrClosed
	if !l.closed.Load() {
		n, err = l.bus.Subscribers(ctx, l.requests)
	}
	if err != nil {
		return 0, fmt.Errorf("redis: count nodes of %q: %w", l.topic, err)
	}
	return n, nil
}
