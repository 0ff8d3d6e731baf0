package server

import (
	"context"
	"errors"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// upkeep is what a keeper knows of one socket. The keeper's mu guards it.
type upkeep struct {
	changed bool            // is waiting to be written
	writing bool            // is being written
	settled bool            // nothing more is written
	saved   bool            // has been written before
	moved   bool            // the client is another socket's: nothing may be written any more
	at      time.Time       // when the record was last written or renewed
	left    time.Time       // when the socket ended
	final   bool            // it has ended, and what is to be written then is known
	last    *adapter.Record // that; nil: the record is forgotten
	wake    chan struct{}   // closed when writing or settled changes; nil while nobody waits
}

// occupy waits for a write of s that runs, and takes its place. If that is not to be the
// last one and s has ended, it does not, and says false.
func (k *keeper) occupy(s *Socket, last bool) bool {
	u := &s.recovery.upkeep
	k.mu.Lock()
	defer k.mu.Unlock()
	for u.writing {
		wake := u.watch()
		k.mu.Unlock()
		<-wake
		k.mu.Lock()
	}
	if !last && !u.left.IsZero() {
		return false
	}
	u.changed, u.writing = false, true
	return true
}

// written ends a write of s, of its last state or not, and says whether it need not be
// repeated: it succeeded, or it is of no use any more.
func (k *keeper) written(s *Socket, last bool, err error) bool {
	u := &s.recovery.upkeep
	k.mu.Lock()
	defer k.mu.Unlock()
	u.writing = false
	u.notify()
	if err == nil {
		u.at = time.Now()
	}
	over := errors.Is(err, adapter.ErrClosed) || u.moved || last && k.tooLate(u)
	if err != nil && !over {
		return false
	}
	if last {
		k.settle(s)
	}
	return true
}

// tooLate says that what was to be written of one that has ended is of no use any more.
func (k *keeper) tooLate(u *upkeep) bool {
	return time.Since(u.left) > k.namespace.server.options.Recovery.MaxDisconnectionDuration
}

// again has s written once more, unless it has ended since: then finish decides.
func (k *keeper) again(s *Socket, ended bool) {
	u := &s.recovery.upkeep
	k.mu.Lock()
	defer k.mu.Unlock()
	if ended == !u.left.IsZero() && !u.changed {
		k.queue(s)
	}
}

// settle says that the record of s is final. The caller holds mu.
func (k *keeper) settle(s *Socket) {
	u := &s.recovery.upkeep
	u.settled = true
	u.notify()
	if k.ending[s.id] == s {
		delete(k.ending, s.id)
	}
}

// find returns the socket with that id whose record is not final though it has ended,
// or nil.
func (k *keeper) find(id string) *Socket {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ending[id]
}

// await returns when the record of s is final, or with ctx's error.
func (k *keeper) await(ctx context.Context, s *Socket) error {
	u := &s.recovery.upkeep
	for {
		k.mu.Lock()
		if u.settled {
			k.mu.Unlock()
			return nil
		}
		wake := u.watch()
		k.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watch returns what notify closes. The caller holds mu.
func (u *upkeep) watch() <-chan struct{} {
	if u.wake == nil {
		u.wake = make(chan struct{})
	}
	return u.wake
}

func (u *upkeep) notify() {
	if u.wake != nil {
		close(u.wake)
		u.wake = nil
	}
}
