package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

// link is one node's membership of one topic.
type link struct {
	adapter *Adapter
	bus     *bus.Bus
	topic   string
	self    adapter.NodeID
	deliver func(*adapter.Message) // nil to publish only
	inbox   *bus.Inbox
	closed  atomic.Bool
	release sync.Once

	broadcasts string // the channel of a namespace's broadcasts; a room's name and "#" may follow
	requests   string // the channel of a namespace's requests
	responses  string // the channel of Node.js servers' responses; a uid and "#" may follow
	private    string // the channel of everything else; a node's id and "#" may follow
	calls      calls

	mu       sync.RWMutex
	left     bool
	joined   []membership
	interest interest
}

var _ adapter.Link = (*link)(nil)

// Why a link listens to a channel.
const (
	routeNamespace uint8 = iota // a namespace's own channel
	routeRoom                   // one room's channel
	routeIDs                    // the pattern of the node's socket ids
	routeTopic                  // the roomcast channel of a topic
	routeNode                   // the same, for one node
	routeEvery                  // the pattern of all broadcasts of a namespace
	routeRequests               // the requests in a namespace, in the form of Node.js
	routeResponses              // the responses of Node.js servers
)

// membership is a subscription that a link holds until it closes.
type membership struct {
	channel bus.Channel
	route   bus.Route
}

func newLink(a *Adapter, b *bus.Bus, topic string, self adapter.NodeID, deliver func(*adapter.Message)) *link {
	l := &link{
		adapter: a, bus: b, topic: topic, self: self, deliver: deliver,
		broadcasts: a.opts.Prefix + "#" + topic + "#",
		requests:   a.opts.Prefix + "-request#" + topic + "#",
		responses:  a.opts.Prefix + "-response#" + topic + "#",
		private:    a.opts.Prefix + "-roomcast#" + topic + "#",
		interest:   newInterest(),
	}
	l.inbox = bus.NewInbox(l.handle)
	return l
}

// namespace says that the topic is one, on which broadcasts have the wire form of
// Node.js.
func (l *link) namespace() bool { return strings.HasPrefix(l.topic, "/") }

// Topic implements bus.Receiver.
func (l *link) Topic() string { return l.topic }

// subscribe subscribes to the link's own channels and waits for them.
func (l *link) subscribe(ctx context.Context) error {
	if l.deliver == nil {
		return l.bus.Await(ctx)
	}
	own := []bus.Channel{
		l.hold(l.private, false, routeTopic),
		l.hold(l.private+string(l.self)+"#", false, routeNode),
	}
	if l.namespace() {
		// Node.js servers wait for an answer from each subscriber of the requests.
		own = append(own, l.hold(l.requests, false, routeRequests))
	}
	switch {
	case !l.namespace():
	case l.adapter.opts.NodeJS:
		// A Node.js server may emit to a room right after it has put a socket of this
		// node into it: like theirs, this node must be listening already.
		own = append(own, l.hold(escapeGlob(l.broadcasts)+"*", true, routeEvery),
			l.hold(l.responses, false, routeResponses),
			l.hold(l.responses+string(l.self)+"#", false, routeResponses))
	default:
		own = append(own, l.hold(l.broadcasts, false, routeNamespace))
	}
	return l.bus.Await(ctx, own...)
}

// hold subscribes to name until the link closes.
func (l *link) hold(name string, pattern bool, kind uint8) bus.Channel {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holdLocked(name, pattern, kind)
}

func (l *link) holdLocked(name string, pattern bool, kind uint8) bus.Channel {
	c, r := bus.Channel{Name: name, Pattern: pattern}, bus.Route{To: l, Kind: kind}
	l.bus.Subscribe(c, r)
	l.joined = append(l.joined, membership{c, r})
	return c
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

// encode makes o carry m. Requests, responses to Node.js and the broadcasts that
// Node.js could have made have its form; all else has our own, on channels where
// Node.js does not listen. O is left without a channel when nobody is to hear of m.
func (l *link) encode(o *bus.Outgoing, m *adapter.Message) (err error) {
	switch {
	case m.Kind == adapter.KindResponse && m.Response != nil && strings.HasPrefix(string(m.To), nodejsPrefix):
		err = l.encodeResponse(o, m.To, m.Response)
	case m.To == "" && l.namespace() && m.Kind == adapter.KindRequest && m.Request != nil:
		o.Channel = l.requests
		o.Body, err = appendRequest(o.Body, l.self, l.topic, m.Request)
	case m.To == "" && l.namespace() && isClassic(m):
		o.Channel = l.broadcasts
		if rooms := m.Broadcast.Rooms; len(rooms) == 1 {
			o.Channel += rooms[0] + "#"
		}
		o.Body, err = appendClassic(o.Body, l.self, l.topic, m.Broadcast)
	default:
		o.Channel = l.private
		if m.To != "" {
			o.Channel += string(m.To) + "#"
		}
		sent := *m
		sent.From = l.self
		var body []byte
		if body, err = sent.AppendBinary(o.Body); err == nil {
			o.Body = body
		}
	}
	if err == nil && int64(len(o.Body)) > l.adapter.opts.MaxMessageBytes {
		l.drop(bus.TooLarge, o.Channel)
		return adapter.ErrTooLarge
	}
	return err
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
	switch {
	case err == errForeign:
		l.drop(bus.Foreign, a.Channel)
	case err != nil:
		l.drop(bus.Malformed, a.Channel)
	case m != nil:
		l.deliver(m)
	}
}

func (l *link) open(a bus.Arrival) (*adapter.Message, error) {
	switch a.Kind {
	case routeTopic, routeNode:
		return l.openPrivate(a)
	case routeRequests:
		return l.openRequest(a)
	case routeResponses:
		return l.openResponse(a)
	}
	return l.openBroadcast(a)
}

// openPrivate reads a message in roomcast's own form. The names of the channels
// are not injective (topic "a" and node "b" give that of topic "a#b"), so what
// the message says of its address is compared with why we listen.
func (l *link) openPrivate(a bus.Arrival) (*adapter.Message, error) {
	m := &adapter.Message{}
	if err := m.UnmarshalBinary([]byte(a.Payload)); err != nil {
		return nil, err
	}
	to := adapter.NodeID("")
	if a.Kind == routeNode {
		to = l.self
	}
	if m.To != to || l.namespace() && m.Broadcast != nil && !sameNamespace(m.Broadcast.Packet.Namespace, l.topic) {
		return nil, errForeign
	}
	if m.From == l.self {
		return nil, nil
	}
	return m, nil
}

func (l *link) drop(why bus.Reason, channel string) {
	l.adapter.health.Drop(why, 1, channelAttr(channel))
}

// Close leaves the topic; see adapter.Link. The last Close also ends the
// adapter's goroutines and connections.
func (l *link) Close(ctx context.Context) error {
	l.closed.Store(true)
	l.leave()
	err := l.inbox.Close(ctx)
	if err == nil {
		err = l.bus.Flush(ctx)
	}
	l.release.Do(func() {
		if stopped := l.adapter.releaseBus(ctx); err == nil {
			err = stopped
		}
	})
	if err != nil {
		return fmt.Errorf("redis: close %q: %w", l.topic, err)
	}
	return nil
}

// leave gives up the subscriptions.
func (l *link) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = true
	for _, m := range l.joined {
		l.bus.Unsubscribe(m.channel, m.route, false)
	}
	for _, c := range l.interest.named {
		l.bus.Unsubscribe(c, bus.Route{To: l, Kind: routeRoom}, false)
	}
	l.joined, l.interest = nil, newInterest()
}
