package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
)

// form is how the messages of a namespace travel in one of the ways of Node.js. Each link
// has its own.
type form interface {
	// channels are what a link listens to from its beginning to its end.
	channels() []membership
	// requests is the channel whose subscribers are the namespace's nodes.
	requests() string
	// write makes o carry m. It fails with wire.ErrNoForm for what Node.js could not have
	// sent, and leaves o without a channel when nobody is to hear of m.
	write(o *bus.Outgoing, m *adapter.Message) error
	// read returns the message that has arrived, nil if it is not for this node. It
	// fails with errForeign for what is somebody else's.
	read(a bus.Arrival) (*adapter.Message, error)
}

var (
	// errForeign means that a message is for somebody else who shares the channel.
	errForeign = errors.New("redis: message is for another namespace, room or node")
)

// Why a link listens to a channel.
const (
	routeNamespace uint8 = iota // a namespace's own channel
	routeRoom                   // one room's channel
	routeTag                    // the channel of private rooms with one tag
	routeEvery                  // the pattern of all broadcasts of a namespace
	routeRequests               // the requests in a namespace, in the form of Node.js
	routeResponses              // the responses of Node.js servers
	routeTopic                  // the roomcast channel of a topic
	routeNode                   // the same, for one node
)

// membership is a subscription that a link holds until it closes.
type membership struct {
	channel bus.Channel
	kind    uint8
}

// link is one node's membership of one topic.
type link struct {
	adapter *Adapter
	bus     *bus.Bus
	topic   string
	self    adapter.NodeID
	deliver func(*adapter.Message) // nil to publish only
	form    form                   // nil if the topic is no namespace
	routing routing
	to      bus.Receiver // who is told of what arrives: this link, or what embeds it
	private string       // the channel of what has no other form; a node's id and "#" may follow
	inbox   *bus.Inbox
	closed  atomic.Bool
	release sync.Once
	// reminded is when the other nodes were last told of a Node.js server; see mixed.
	reminded time.Time

	mu         sync.RWMutex
	left       bool
	joined     []membership
	everything bus.Channel // the pattern, once Node.js servers are heard; see mixed
	interest   interest
}

var _ adapter.Link = (*link)(nil)

func newLink(a *Adapter, b *bus.Bus, topic string, self adapter.NodeID, deliver func(*adapter.Message)) *link {
	l := &link{
		adapter: a, bus: b, topic: topic, self: self, deliver: deliver,
		private:  a.opts.Prefix + "-roomcast#" + topic + "#",
		interest: newInterest(),
	}
	l.routing.common = a.opts.Prefix + "#" + topic + "#"
	l.routing.tags = a.opts.Prefix + "-roomcast-ids#" + topic + "#"
	l.to = l
	if isNamespace(topic) {
		l.form = a.newForm(l)
	}
	l.inbox = bus.NewInbox(l.handle)
	return l
}

// isNamespace says whether a topic is a namespace, whose messages have the form of
// Node.js, or internal.
func isNamespace(topic string) bool { return strings.HasPrefix(topic, "/") }

// Topic implements bus.Receiver.
func (l *link) Topic() string { return l.topic }

// subscribe subscribes to the link's own channels and waits for them.
func (l *link) subscribe(ctx context.Context) error {
	var own []bus.Channel
	for _, m := range l.channels() {
		own = append(own, l.hold(m))
	}
	if l.form != nil && l.adapter.opts.InterestRouting {
		if l.adapter.enlist(l) {
			l.comply()
		}
	}
	err := l.bus.Await(ctx, own...)
	if err == nil && l.routing.ids == byTag {
		l.notify(noticeAsk)
	}
	return err
}

// channels are what the link listens to from its beginning to its end.
func (l *link) channels() []membership {
	if l.deliver == nil {
		return nil
	}
	own := []membership{
		{bus.Channel{Name: l.private}, routeTopic},
		{bus.Channel{Name: l.private + string(l.self) + "#"}, routeNode},
	}
	if l.form != nil {
		own = append(own, l.form.channels()...)
	}
	return own
}

// hold subscribes until the link closes.
func (l *link) hold(m membership) bus.Channel {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holdLocked(m)
}

func (l *link) holdLocked(m membership) bus.Channel {
	l.bus.Subscribe(m.channel, bus.Route{To: l.to, Kind: m.kind})
	l.joined = append(l.joined, m)
	return m.channel
}

// Publish queues m; see adapter.Link.
func (l *link) Publish(_ context.Context, m *adapter.Message) error {
	if l.closed.Load() {
		return fmt.Errorf("redis: publish to %q: %w", l.topic, adapter.ErrClosed)
	}
	o := l.bus.Message()
	err := l.encode(o, m)
	if err == nil && o.Channel == "" {
		l.bus.Discard(o)
		return nil
	}
	if err == nil {
		err = l.bus.Enqueue(o)
	}
	if err != nil {
		l.bus.Discard(o)
		return fmt.Errorf("redis: publish to %q: %w", l.topic, err)
	}
	return nil
}

// encode makes o carry m, as Node.js would send it or else in our own form, on channels
// where Node.js does not listen. O is left without a channel when nobody is to hear of m.
func (l *link) encode(o *bus.Outgoing, m *adapter.Message) error {
	err := wire.ErrNoForm
	if l.form != nil {
		err = l.form.write(o, m)
	}
	if err == wire.ErrNoForm {
		err = l.writePrivate(o, m)
	}
	if err != nil {
		return err
	}
	return l.finish(o)
}

// finish signs what o carries and refuses what is too large.
func (l *link) finish(o *bus.Outgoing) error {
	if o.Channel == "" {
		return nil
	}
	l.seal(o)
	if int64(len(o.Body)) > l.adapter.opts.MaxMessageBytes {
		l.drop(bus.TooLarge, o.Channel)
		return adapter.ErrTooLarge
	}
	return nil
}

// Receive implements bus.Receiver.
func (l *link) Receive(a bus.Arrival) {
	if int64(len(a.Payload)) > l.adapter.opts.MaxMessageBytes {
		l.drop(bus.TooLarge, a.Channel)
		return
	}
	if !l.inbox.Put(a) {
		l.drop(bus.QueueFull, a.Channel)
	}
}

// handle decodes a message and passes it on, unless it is not for this link.
func (l *link) handle(a bus.Arrival) {
	m, err := l.open(a)
	if err != nil {
		l.dropUnread(err, a.Channel)
	} else if m != nil {
		l.deliver(m)
	}
}

// dropUnread counts a message that could not be read.
func (l *link) dropUnread(err error, channel string) {
	switch err {
	case errForeign:
		l.drop(bus.Foreign, channel)
	case wire.ErrUnsigned:
		l.drop(bus.Unsigned, channel)
	default:
		l.drop(bus.Malformed, channel)
	}
}

func (l *link) open(a bus.Arrival) (*adapter.Message, error) {
	if err := l.unseal(&a); err != nil {
		return nil, err
	}
	if a.Kind == routeTopic || a.Kind == routeNode {
		return l.readPrivate(a)
	}
	return l.form.read(a)
}

// maxLoggedChannel bounds a channel's name in a log line: rooms may be named by
// clients.
const maxLoggedChannel = 256

func (l *link) drop(why bus.Reason, channel string) {
	l.adapter.health.Drop(why, 1, slog.String("channel", channel[:min(len(channel), maxLoggedChannel)]))
}

// Close leaves the topic; see adapter.Link. The last Close also ends the
// adapter's goroutines and connections.
func (l *link) Close(ctx context.Context) error {
	l.leave()
	err := l.inbox.Close(ctx)
	if err == nil {
		err = l.bus.Flush(ctx)
	}
	if released := l.letGo(ctx); err == nil {
		err = released
	}
	if err != nil {
		return fmt.Errorf("redis: close %q: %w", l.topic, err)
	}
	return nil
}

// letGo gives the bus back, once.
func (l *link) letGo(ctx context.Context) (err error) {
	l.release.Do(func() { err = l.adapter.releaseBus(ctx) })
	return err
}

// leave refuses what is published from then on and gives up the subscriptions.
func (l *link) leave() {
	l.closed.Store(true)
	l.adapter.strike(l)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = true
	for _, m := range l.joined {
		l.bus.Unsubscribe(m.channel, bus.Route{To: l.to, Kind: m.kind}, false)
	}
	l.joined = nil
	l.forgetRooms()
}
