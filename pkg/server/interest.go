package server

import (
	"context"
	"errors"
	"sync"

	"github.com/roomcast/roomcast/internal/cluster"
)

// subscribeAtOnce bounds how many rooms of one Join are announced at a time.
const subscribeAtOnce = 32

// interest tells the adapter which rooms have members on this node. Joins and
// leaves of one room run concurrently, so it counts: the adapter hears of a
// room's end only after the last of those who asked for it has left.
type interest struct {
	topic *cluster.Topic

	mu    sync.Mutex
	rooms map[string]int
}

// acquire counts a member of room; the caller then calls announce. It is pure
// bookkeeping and may be called with a socket's lock held.
func (i *interest) acquire(room string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.rooms == nil {
		i.rooms = make(map[string]int)
	}
	i.rooms[room]++
}

// release takes back what acquire counted. The adapter is told under the lock,
// and does not block: so no later announce can overtake it.
func (i *interest) release(room string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.rooms[room]--; i.rooms[room] > 0 {
		return
	}
	delete(i.rooms, room)
	if i.topic != nil {
		i.topic.RoomEmpty(room)
	}
}

// note tells the adapter of rooms without waiting. Broadcasts to them arrive soon.
func (i *interest) note(ctx context.Context, rooms ...string) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_ = i.announce(ctx, rooms)
}

// announce returns when broadcasts of other nodes to rooms will arrive.
func (i *interest) announce(ctx context.Context, rooms []string) error {
	switch {
	case i.topic == nil:
		return ErrServerClosed
	case len(rooms) == 1:
		return i.announceOne(ctx, rooms[0])
	}
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, subscribeAtOnce)
		errs  = make([]error, len(rooms))
	)
	for n, room := range rooms {
		slots <- struct{}{}
		wg.Go(func() {
			errs[n] = i.announceOne(ctx, room)
			<-slots
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (i *interest) announceOne(ctx context.Context, room string) error {
	err := i.topic.RoomOccupied(ctx, room)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.rooms[room] == 0 {
		i.topic.RoomEmpty(room) // everybody left before the adapter heard of the room
	}
	return err
}
