package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

// interest is which rooms of a namespace have members on this node, and what is
// subscribed to for them.
type interest struct {
	occupied map[string]string // rooms, each with the channel subscribed to for it, or ""
	suffixes []string          // of the ids of this node's sockets
	uses     map[string]use    // by channel
}

// use is a subscription to a channel: the private rooms with one tag share theirs.
type use struct {
	kind  uint8
	users int // rooms and suffixes
}

func newInterest() interest {
	return interest{occupied: make(map[string]string), uses: make(map[string]use)}
}

// has says that room has a member here, or may have.
func (i *interest) has(room string) bool {
	if _, ok := i.occupied[room]; ok {
		return true
	}
	return isID(room) && slices.ContainsFunc(i.suffixes, func(suffix string) bool { return strings.HasSuffix(room, suffix) })
}

// concerned says whether a broadcast to rooms may have receivers here. A link that is
// not told of its rooms cannot know.
func (l *link) concerned(rooms []string) bool {
	if !l.routing.selective || len(rooms) == 0 {
		return true
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.ContainsFunc(rooms, l.interest.has)
}

// roomLink is a link to a namespace that listens to the channels of its rooms.
type roomLink struct {
	*link
	occupancy
}

var _ adapter.RoomObserver = (*roomLink)(nil)

// occupancy makes a link an adapter.RoomObserver.
type occupancy struct{ observed *link }

// RoomOccupied subscribes to room's channel, if it has one; see adapter.RoomObserver. It
// costs nothing if the room emptied less than about two seconds before.
func (o occupancy) RoomOccupied(ctx context.Context, room string) error {
	l := o.observed
	channels, err := l.occupy(room)
	if err == nil {
		err = l.bus.Await(ctx, channels...)
	}
	if err != nil {
		return fmt.Errorf("redis: subscribe to room %q of %q: %w", room, l.topic, err)
	}
	return nil
}

// occupy notes that room has members and returns what will bring its messages.
func (l *link) occupy(room string) ([]bus.Channel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left {
		return nil, adapter.ErrClosed
	}
	channel, known := l.interest.occupied[room]
	if !known {
		channel = l.listen(room)
		l.interest.occupied[room] = channel
	}
	return l.bringing(channel), nil
}

// bringing returns what brings the messages of a channel: that and, where Node.js
// servers are heard, the pattern.
func (l *link) bringing(channel string) []bus.Channel {
	var all []bus.Channel
	if channel != "" {
		all = append(all, bus.Channel{Name: channel})
	}
	if l.everything.Name != "" {
		all = append(all, l.everything)
	}
	return all
}

// listen subscribes to the channel of a room and returns it, or "" if the room's messages
// come on what the link listens to anyway.
func (l *link) listen(room string) string {
	channel, kind := l.routing.channel(room, l.routing.ids)
	if kind == routeNamespace || kind == routeRoom && l.everything.Name != "" {
		return ""
	}
	l.use(channel, kind)
	return channel
}

func (l *link) use(channel string, kind uint8) {
	u := l.interest.uses[channel]
	if u.users == 0 {
		l.bus.Subscribe(bus.Channel{Name: channel}, bus.Route{To: l.to, Kind: kind})
	}
	l.interest.uses[channel] = use{kind, u.users + 1}
}

// disuse takes back one use.
func (l *link) disuse(channel string) {
	u := l.interest.uses[channel]
	if u.users > 1 {
		l.interest.uses[channel] = use{u.kind, u.users - 1}
		return
	}
	delete(l.interest.uses, channel)
	l.bus.Unsubscribe(bus.Channel{Name: channel}, bus.Route{To: l.to, Kind: u.kind}, true)
}

// RoomEmpty lets the subscription to room's channel go after a while; see
// adapter.RoomObserver.
func (o occupancy) RoomEmpty(room string) {
	l := o.observed
	l.mu.Lock()
	defer l.mu.Unlock()
	if channel := l.interest.occupied[room]; channel != "" {
		l.disuse(channel)
	}
	delete(l.interest.occupied, room)
}

// SocketIDs subscribes to the channel of the tag that suffix ends in, if ids are routed
// by their tags; a suffix is then no shorter than a tag. Where each id has a channel of
// its own it fails with an error that wraps errors.ErrUnsupported. See
// adapter.RoomObserver.
func (o occupancy) SocketIDs(ctx context.Context, suffix string) error {
	l := o.observed
	channels, err := l.own(suffix)
	if err == nil {
		err = l.bus.Await(ctx, channels...)
	}
	if err != nil {
		return fmt.Errorf("redis: subscribe to socket ids of %q: %w", l.topic, err)
	}
	return nil
}

func (l *link) own(suffix string) ([]bus.Channel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.left:
		return nil, adapter.ErrClosed
	case l.routing.ids == byName:
		return nil, errors.ErrUnsupported
	case len(suffix) > idLen:
		return nil, fmt.Errorf("suffix %q is longer than a socket id", suffix)
	case len(suffix) < tagLen && l.routing.ids == byTag:
		return nil, fmt.Errorf("suffix %q is shorter than a node's tag", suffix)
	}
	channel := ""
	if l.routing.ids == byTag {
		channel = l.routing.tagChannel(suffix)
	}
	if !slices.Contains(l.interest.suffixes, suffix) {
		l.interest.suffixes = append(l.interest.suffixes, suffix)
		if channel != "" {
			l.use(channel, routeTag)
		}
	}
	return l.bringing(channel), nil
}

// forgetRooms gives up the subscriptions to rooms.
func (l *link) forgetRooms() {
	for channel, u := range l.interest.uses {
		l.bus.Unsubscribe(bus.Channel{Name: channel}, bus.Route{To: l.to, Kind: u.kind}, false)
	}
	l.interest = newInterest()
}
