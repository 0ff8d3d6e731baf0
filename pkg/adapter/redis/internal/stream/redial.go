package stream

import (
	"context"
	"errors"
	"net"
	"time"
)

// A pool of go-redis that has failed to connect for a while answers with its last
// failure for up to a second more, although Redis is back.
const (
	redialFor   = 1500 * time.Millisecond
	redialPause = 50 * time.Millisecond
)

// redial calls f, and calls it again while it fails to connect, for as long as the
// pool's memory lasts. It gives up when ctx ends or away says that Redis is not there.
func redial(ctx context.Context, away func() bool, f func() error) error {
	until := time.Now().Add(redialFor)
	for {
		err := f()
		if !isDial(err) || away() || time.Now().After(until) {
			return err
		}
		pause(ctx, redialPause)
		if ctx.Err() != nil {
			return err
		}
	}
}

// isDial says that nothing was sent, because there is no connection.
func isDial(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "dial"
}

// unknown is what is known of Redis where nobody asks it all the time.
func unknown() bool { return false }
