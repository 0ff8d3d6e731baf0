package redis

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

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
	if err == nil {
		return n, nil
	}
	_, refused := errors.AsType[goredis.Error](err)
	if !refused && ctx.Err() == nil && !errors.Is(err, adapter.ErrClosed) && !errors.Is(err, adapter.ErrDegraded) {
		// The question failed on its way, before the adapter's own connections did.
		err = fmt.Errorf("%w: %w", adapter.ErrDegraded, err)
	}
	return 0, fmt.Errorf("redis: count nodes of %q: %w", l.topic, err)
}
