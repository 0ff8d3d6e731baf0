package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// fault spoils fixtures in one respect.
type fault struct {
	// join runs before Join: it may change the topic, or answer in Join's place.
	join func(ctx context.Context, topic *string) (adapter.Link, error, bool)
	// link changes the functions of a link that is being joined.
	link func(*fixtureLink)
	// retain changes with what a topic with a log is joined.
	retain func(*adapter.Retention)
	// logged changes the functions of a link to a topic with a log.
	logged func(*fixtureLog)
	// status answers in Status's place.
	status func() adapter.Status
	// watch answers in Watch's place; it is given the real one.
	watch func(real func(func(adapter.Event)) func(), call func(adapter.Event)) func()
}

var errBrokenPipe = errors.New("broken pipe")

// onDeliver is a fault that changes, drops or repeats what is delivered. spoil is
// called for each link, with its deliver.
func onDeliver(spoil func(l *fixtureLink, next func(*adapter.Message)) func(*adapter.Message)) func() fault {
	return func() fault {
		return fault{link: func(l *fixtureLink) { l.deliver = spoil(l, l.deliver) }}
	}
}

// changing is a fault that changes what is delivered.
func changing(change func(m *adapter.Message)) func() fault {
	return onDeliver(func(_ *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
		return func(m *adapter.Message) {
			change(m)
			next(m)
		}
	})
}

// changingBroadcasts is a fault that changes the broadcasts that are delivered.
func changingBroadcasts(change func(b *adapter.Broadcast)) func() fault {
	return changing(func(m *adapter.Message) {
		if m.Broadcast != nil {
			change(m.Broadcast)
		}
	})
}

// losing is a fault that loses what lost is true for.
func losing(lost func(l *fixtureLink, m *adapter.Message) bool) func() fault {
	return onDeliver(func(l *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
		return func(m *adapter.Message) {
			if !lost(l, m) {
				next(m)
			}
		}
	})
}

// repeating is a fault that delivers as often as times says.
func repeating(times func(l *fixtureLink, m *adapter.Message) int) func() fault {
	return onDeliver(func(l *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
		return func(m *adapter.Message) {
			for range times(l, m) {
				next(m.Clone())
			}
		}
	})
}

// onLink is a fault in a link's other functions.
func onLink(spoil func(*fixtureLink)) func() fault {
	return func() fault { return fault{link: spoil} }
}

func roomsOf(m *adapter.Message) []string {
	if m.Broadcast == nil {
		return nil
	}
	return m.Broadcast.Rooms
}

// commonFaults has an adapter that breaks one rule alone, for each common rule.
var commonFaults = map[string]func() fault{
	"Delivery_EveryOtherNodeHears": changing(func(m *adapter.Message) { m.From = "" }),
	"Delivery_NotToTheSender":      onLink(echo),
	"Delivery_ExactlyOnce":         onDeliver(everyHundredthTwice),
	"Delivery_InOrderPerSender":    onDeliver(oneOvertaken),
	"Delivery_OneAtATime":          onLink(impatient),
	"Delivery_MayPublish":          onLink(busyInDeliver),
	"Delivery_ReceiverMayKeep":     onDeliver(overwritten),

	"Address_OnlyTheNodeMeant": onLink(func(l *fixtureLink) {
		publish := l.publish
		l.publish = func(ctx context.Context, m *adapter.Message) error {
			all := m.Clone()
			if m.Heartbeat != nil {
				all.To = ""
			}
			return publish(ctx, all)
		}
	}),
	"Address_UnknownNodeIsHarmless": onLink(func(l *fixtureLink) {
		publish := l.publish
		l.publish = func(ctx context.Context, m *adapter.Message) error {
			if m.To == "nobody" {
				return errors.New("no such node")
			}
			return publish(ctx, m)
		}
	}),
	"Address_TopicsAreApart": func() fault {
		return fault{join: func(_ context.Context, topic *string) (adapter.Link, error, bool) {
			*topic = strings.TrimSuffix(*topic, ".more")
			return nil, nil, false
		}}
	},
	"Address_AnyTopicName": losing(func(l *fixtureLink, _ *adapter.Message) bool { return strings.Contains(l.topic, "[") }),
	"Address_TwoTopicsOfOneNode": onLink(func(l *fixtureLink) {
		closeThis := l.close
		l.close = func(ctx context.Context) error {
			l.fixture.mu.Lock()
			links := slices.Clone(l.links)
			l.fixture.mu.Unlock()
			for _, other := range links {
				if other != l {
					_ = other.flushAndClose(ctx)
				}
			}
			return closeThis(ctx)
		}
	}),
	"Address_NodesShareAnAdapter": losing(func(l *fixtureLink, m *adapter.Message) bool {
		l.fixture.mu.Lock()
		defer l.fixture.mu.Unlock()
		return l.joins[l.topic+string(m.From)] > 0
	}),

	"Join_ReturnsWhenReady": losing(func(l *fixtureLink, _ *adapter.Message) bool { return l.topic[0] != '/' && l.young() }),
	"Join_NeverNeitherNor": func() fault {
		return fault{join: func(ctx context.Context, _ *string) (adapter.Link, error, bool) { return nil, nil, ctx.Err() != nil }}
	},
	"Join_AgainAfterClose": losing(func(l *fixtureLink, _ *adapter.Message) bool {
		l.fixture.mu.Lock()
		defer l.fixture.mu.Unlock()
		return l.joins[l.topic+string(l.self)] > 1
	}),
	"Join_ToPublishOnly": onLink(func(l *fixtureLink) {
		if l.deliver == nil {
			l.publish = func(context.Context, *adapter.Message) error { return nil }
		}
	}),

	"Publish_DoesNotWaitForReceivers": lockstep,
	"Publish_IsConcurrent":            onLink(loseOverlapping),
	"Publish_SenderMayReuse":          onLink(cachedByPointer),
	"Publish_AfterCloseIsRefused": onLink(func(l *fixtureLink) {
		publish := l.publish
		l.publish = func(ctx context.Context, m *adapter.Message) error {
			if err := publish(ctx, m); !errors.Is(err, adapter.ErrClosed) {
				return err
			}
			return nil
		}
	}),

	"Close_WaitsForDeliver": onLink(func(l *fixtureLink) {
		calls, closeAndWait := atomic.Int32{}, l.close
		l.close = func(ctx context.Context) error {
			if calls.Add(1) > 1 {
				return closeAndWait(ctx)
			}
			hasty, cancel := context.WithTimeout(ctx, moment/5)
			defer cancel()
			_ = closeAndWait(hasty)
			return nil
		}
	}),
	"Close_EachCallWaits": onLink(func(l *fixtureLink) {
		calls, closeAndWait := atomic.Int32{}, l.close
		l.close = func(ctx context.Context) error {
			if calls.Add(1) > 1 {
				return nil
			}
			return closeAndWait(ctx)
		}
	}),
	"Close_TwiceIsHarmless": onLink(func(l *fixtureLink) {
		calls, closeAndWait := atomic.Int32{}, l.close
		l.close = func(ctx context.Context) error {
			err := closeAndWait(ctx)
			if calls.Add(1) > 1 && err == nil {
				return adapter.ErrClosed
			}
			return err
		}
	}),
	"Close_WhilePublishing": onLink(func(l *fixtureLink) {
		var closing atomic.Bool
		publish, closeAndWait := l.publish, l.close
		l.close = func(ctx context.Context) error {
			closing.Store(true)
			defer closing.Store(false)
			return closeAndWait(ctx)
		}
		l.publish = func(ctx context.Context, m *adapter.Message) error {
			if closing.Load() {
				return errBrokenPipe
			}
			return publish(ctx, m)
		}
	}),
	"Close_EndsDelivery": onLink(straggler),
	"Close_HandsOverWhatIsQueued": onLink(func(l *fixtureLink) {
		l.close = func(ctx context.Context) error {
			l.mu.Lock()
			l.outbox = nil
			l.mu.Unlock()
			return l.flushAndClose(ctx)
		}
	}),
	"Close_EndsGoroutines": onLink(func(*fixtureLink) {
		go func() { <-time.NewTimer(time.Hour).C }()
	}),

	"Content_EveryKind": changing(func(m *adapter.Message) {
		if m.Kind == adapter.KindHello {
			m.Kind = adapter.KindHeartbeat
		}
	}),
	"Content_Selection": changingBroadcasts(func(b *adapter.Broadcast) { b.Except = nil }),
	"Content_Flags":     changingBroadcasts(func(b *adapter.Broadcast) { b.Volatile = false }),
	"Content_JSON": changingBroadcasts(func(b *adapter.Broadcast) {
		b.Packet.Data = bytes.ReplaceAll(b.Packet.Data, []byte("null"), []byte("0"))
	}),
	"Content_Attachments": changingBroadcasts(func(b *adapter.Broadcast) {
		b.Packet.Attachments = slices.DeleteFunc(slices.Clone(b.Packet.Attachments), func(a []byte) bool { return len(a) == 0 })
	}),
	"Content_Large": changingBroadcasts(func(b *adapter.Broadcast) {
		b.Packet.Data = b.Packet.Data[:min(len(b.Packet.Data), 1<<19)]
	}),

	"Request_Whole": changing(func(m *adapter.Message) {
		if m.Request != nil {
			m.Request.Targets = nil
		}
	}),
	"Request_ToOneNode": onLink(func(l *fixtureLink) {
		publish := l.publish
		l.publish = func(ctx context.Context, m *adapter.Message) error {
			all := m.Clone()
			if m.Kind == adapter.KindRequest {
				all.To = ""
			}
			return publish(ctx, all)
		}
	}),
	"Request_WithoutAnswer": changing(func(m *adapter.Message) {
		if m.Request != nil && m.Request.ID == "" {
			m.Request.ID = "made up"
		}
	}),
	"Request_ResponseWhole": changing(func(m *adapter.Message) {
		if m.Response != nil {
			m.Response.Sockets = nil
		}
	}),
	"Request_ResponseToTheAsker": onLink(func(l *fixtureLink) {
		publish := l.publish
		l.publish = func(ctx context.Context, m *adapter.Message) error {
			all := m.Clone()
			if m.Kind == adapter.KindResponse {
				all.To = ""
			}
			return publish(ctx, all)
		}
	}),
	"Request_InOrderWithBroadcasts": onDeliver(requestsFirst),

	"Rooms_OccupiedIsReady": losing(func(l *fixtureLink, m *adapter.Message) bool {
		return len(roomsOf(m)) == 1 && !l.claims(roomsOf(m)[0]) && l.young()
	}),
	"Rooms_AnyOfSeveral": losing(func(l *fixtureLink, m *adapter.Message) bool {
		return len(roomsOf(m)) > 1 && !l.occupies(roomsOf(m)[0])
	}),
	"Rooms_NoneMeansAll": losing(func(l *fixtureLink, m *adapter.Message) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(roomsOf(m)) == 0 && len(l.rooms) == 1 && len(l.suffixes) == 0
	}),
	"Rooms_Once": repeating(func(l *fixtureLink, m *adapter.Message) int {
		return max(1, len(slices.DeleteFunc(slices.Clone(roomsOf(m)), func(room string) bool { return !l.occupies(room) })))
	}),
	"Rooms_InOrder": onDeliver(roomsLag),
	"Rooms_AnyName": losing(func(_ *fixtureLink, m *adapter.Message) bool { return slices.Equal(roomsOf(m), []string{"?"}) }),
	"Rooms_EmptyAndOccupiedAgain": onLink(func(l *fixtureLink) {
		gone, occupied, empty := sync.Map{}, l.occupied, l.empty
		l.empty = func(room string) {
			gone.Store(room, true)
			empty(room)
		}
		l.occupied = func(ctx context.Context, room string) error {
			if _, ok := gone.Load(room); ok {
				return nil
			}
			return occupied(ctx, room)
		}
	}),
	"Rooms_EmptyConcernsOneRoom": onLink(func(l *fixtureLink) {
		l.empty = func(string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			clear(l.rooms)
		}
	}),
	"Rooms_SocketIDs": losing(func(l *fixtureLink, m *adapter.Message) bool {
		return len(roomsOf(m)) == 1 && l.claims(roomsOf(m)[0]) && l.young()
	}),
	"Rooms_SocketIDsOnce": repeating(func(l *fixtureLink, m *adapter.Message) int {
		if rooms := roomsOf(m); len(rooms) == 1 && l.claims(rooms[0]) && l.occupies(rooms[0]) {
			return 2
		}
		return 1
	}),
	"Rooms_LaterSuffix": onLink(func(l *fixtureLink) {
		claim := l.claim
		l.claim = func(ctx context.Context, suffix string) error {
			l.mu.Lock()
			l.suffixes = nil
			l.mu.Unlock()
			return claim(ctx, suffix)
		}
	}),
	"Rooms_WaitEndsWithContext": onLink(func(l *fixtureLink) {
		occupied := l.occupied
		l.occupied = func(ctx context.Context, room string) error {
			if ctx.Err() != nil {
				<-time.NewTimer(10 * patience).C
			}
			return occupied(ctx, room)
		}
	}),
}
