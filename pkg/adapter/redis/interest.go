package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

// socketIDLen is the length of a socket id; see adapter.RoomObserver.
const socketIDLen = 20

// interest is which rooms of a namespace have members on this node.
type interest struct {
	occupied map[string]struct{}
	// named are the occupied rooms that are subscribed to by name: all but those
	// that a pattern covers already.
	named    map[string]bus.Channel
	patterns []idPattern
}

// idPattern is the subscription to all socket ids with one suffix.
type idPattern struct {
	suffix  string
	pattern bus.Channel
}

func newInterest() interest {
	return interest{occupied: make(map[string]struct{}), named: make(map[string]bus.Channel)}
}

// covering returns the pattern that covers room, if there is one; of several,
// always the same.
func (i *interest) covering(room string) (idPattern, bool) {
	if len(room) == socketIDLen {
		for _, p := range i.patterns {
			if strings.HasSuffix(room, p.suffix) {
				return p, true
			}
		}
	}
	return idPattern{}, false
}

// wants says that room has a member here, or may have.
func (i *interest) wants(room string) bool {
	if _, ok := i.occupied[room]; ok {
		return true
	}
	_, ok := i.covering(room)
	return ok
}

// hears says whether a message to room that has arrived counts. Redis sends a
// message once for its channel and once for each pattern that matches it.
func (i *interest) hears(room string, a bus.Arrival) bool {
	_, named := i.named[room]
	if a.Kind == routeRoom {
		return named
	}
	p, covered := i.covering(room)
	return covered && !named && p.pattern.Name == a.Pattern
}

// roomLink is a link to a namespace.
type roomLink struct{ *link }

var _ adapter.RoomObserver = (*roomLink)(nil)

// RoomOccupied subscribes to room; see adapter.RoomObserver. It costs nothing if
// the room emptied less than about two seconds before.
func (l *roomLink) RoomOccupied(ctx context.Context, room string) error {
	c, err := l.occupy(room)
	if err == nil && c.Name != "" {
		err = l.bus.Await(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("redis: subscribe to room %q of %q: %w", room, l.topic, err)
	}
	return nil
}

// occupy notes that room has members and returns what will bring its messages,
// which has no name for a link that only publishes.
func (l *roomLink) occupy(room string) (c bus.Channel, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left {
		return c, adapter.ErrClosed
	}
	if l.deliver == nil {
		return c, nil
	}
	l.interest.occupied[room] = struct{}{}
	if c, ok := l.interest.named[room]; ok {
		return c, nil
	}
	if p, ok := l.interest.covering(room); ok {
		return p.pattern, nil
	}
	c.Name = l.broadcasts + room + "#"
	l.bus.Subscribe(c, bus.Route{To: l.link, Kind: routeRoom})
	l.interest.named[room] = c
	return c, nil
}

// RoomEmpty lets the subscription to room go after a while; see
// adapter.RoomObserver.
func (l *roomLink) RoomEmpty(room string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.interest.occupied, room)
	if c, ok := l.interest.named[room]; ok {
		delete(l.interest.named, room)
		l.bus.Unsubscribe(c, bus.Route{To: l.link, Kind: routeRoom}, true)
	}
}

// SocketIDs subscribes to all ids with suffix, by one pattern; see
// adapter.RoomObserver.
func (l *roomLink) SocketIDs(ctx context.Context, suffix string) error {
	c, err := l.own(suffix)
	if err == nil && c.Name != "" {
		err = l.bus.Await(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("redis: subscribe to socket ids of %q: %w", l.topic, err)
	}
	return nil
}

func (l *roomLink) own(suffix string) (c bus.Channel, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.left:
		return c, adapter.ErrClosed
	case len(suffix) > socketIDLen:
		return c, fmt.Errorf("suffix %q is longer than a socket id", suffix)
	case l.deliver == nil:
		return c, nil
	}
	i := slices.IndexFunc(l.interest.patterns, func(p idPattern) bool { return p.suffix == suffix })
	if i >= 0 {
		return l.interest.patterns[i].pattern, nil
	}
	pattern := escapeGlob(l.broadcasts) + strings.Repeat("?", socketIDLen-len(suffix)) + escapeGlob(suffix) + "#"
	c = l.holdLocked(pattern, true, routeIDs)
	l.interest.patterns = append(l.interest.patterns, idPattern{suffix, c})
	return c, nil
}

var globEscapes = strings.NewReplacer(
	`*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`, `-`, `\-`, `\`, `\\`,
)

// escapeGlob makes a pattern that matches text alone.
func escapeGlob(text string) string { return globEscapes.Replace(text) }
