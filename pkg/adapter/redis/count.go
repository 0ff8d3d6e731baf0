package redis

import (
	"context"
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// countingLink is a link to a namespace in which Node.js servers count.
type countingLink struct {
	*link
	counter
}

// countingRoomLink is such a link that also listens to the channels of its rooms.
type countingRoomLink struct {
	*link
	occupancy
	counter
}

var (
	_ adapter.NodeCounter  = (*countingLink)(nil)
	_ adapter.NodeCounter  = (*countingRoomLink)(nil)
	_ adapter.RoomObserver = (*countingRoomLink)(nil)
)

// counter makes a link an adapter.NodeCounter.
type counter struct{ counted *link }

// CountNodes returns how many connections to Redis listen to the namespace's
// requests; see adapter.NodeCounter.
func (c counter) CountNodes(ctx context.Context) (int, error) {
	l := c.counted
	n, err := 0, adapter.ErrClosed
	if !l.closed.Load() {
		n, err = l.bus.Subscribers(ctx, l.form.requests())
	}
	if err != nil {
		return 0, fmt.Errorf("redis: count nodes of %q: %w", l.topic, err)
	}
	return n, nil
}
