package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// link is one node's membership of one topic.
type link struct {
	adapter *Adapter
	bus     *bus
	topic   string
	self    adapter.NodeID
	deliver func(*adapter.Message) // nil to publish only
	inbox   inbox
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

// membership is a subscription that a link holds until it closes.
type membership struct {
	subscription *subscription
	route        route
}

func newLink(a *Adapter, b *bus, topic string, self adapter.NodeID, deliver func(*adapter.Message)) *link {
	l := &link{
		adapter: a, bus: b, topic: topic, self: self, deliver: deliver,
		broadcasts: a.opts.Prefix + "#" + topic + "#",
		requests:   a.opts.Prefix + "-request#" + topic + "#",
		responses:  a.opts.Prefix + "-response#" + topic + "#",
		private:    a.opts.Prefix + "-roomcast#" + topic + "#",
		interest:   newInterest(),
	}
	l.inbox.handle = l.handle
	return l
}

// namespace says that the topic is one, on which broadcasts have the wire form of
// Node.js.
func (l *link) namespace() bool { return strings.HasPrefix(l.topic, "/") }

// subscribe subscribes to the link's own channels and waits for them.
func (l *link) subscribe(ctx context.Context) error {
	if l.deliver == nil {
		return l.bus.subscriber.await(ctx)
	}
	subs := []*subscription{
		l.hold(l.private, false, routeTopic),
		l.hold(l.private+string(l.self)+"#", false, routeNode),
	}
	if l.namespace() {
		// Node.js servers wait for an answer from each subscriber of the requests.
		subs = append(subs, l.hold(l.requests, false, routeRequests))
	}
	switch {
	case !l.namespace():
	case l.adapter.opts.NodeJS:
		// A Node.js server may emit to a room right after it has put a socket of this
		// node into it: like theirs, this node must be listening already.
		subs = append(subs, l.hold(escapeGlob(l.broadcasts)+"*", true, routeEvery),
			l.hold(l.responses, false, routeResponses),
			l.hold(l.responses+string(l.self)+"#", false, routeResponses))
	default:
		subs = append(subs, l.hold(l.broadcasts, false, routeNamespace))
	}
	return l.bus.subscriber.await(ctx, subs...)
}

// hold subscribes to name until the link closes; nil once it has closed.
func (l *link) hold(name string, pattern bool, kind routeKind) *subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holdLocked(name, pattern, kind)
}

func (l *link) holdLocked(name string, pattern bool, kind routeKind) *subscription {
	r := route{link: l, kind: kind}
	s := l.bus.subscriber.table.add(name, pattern, r)
	l.joined = append(l.joined, membership{s, r})
	return s
}

// Publish queues m; see adapter.Link.
func (l *link) Publish(_ context.Context, m *adapter.Message) error {
	if l.closed.Load() {
		return fmt.Errorf("redis: publish to %q: %w", l.topic, adapter.ErrClosed)
	}
	p := l.bus.publisher
	o := p.message()
	err := l.encode(o, m)
	if err == nil && o.channel == "" {
		p.discard(o)
		return nil
	}
	if err == nil {
		err = p.enqueue(o)
	}
	if err != nil {
		p.discard(o)
		return fmt.Errorf("redis: publish to %q: %w", l.topic, err)
	}
	return nil
}

// encode makes o carry m. Requests, responses to Node.js and the broadcasts that
// Node.js could have made have its form; all else has our own, on channels where
// Node.js does not listen. O is left without a channel when nobody is to hear of m.
func (l *link) encode(o *outgoing, m *adapter.Message) (err error) {
	switch {
	case m.Kind == adapter.KindResponse && m.Response != nil && strings.HasPrefix(string(m.To), nodejsPrefix):
		err = l.encodeResponse(o, m.To, m.Response)
	case m.To == "" && l.namespace() && m.Kind == adapter.KindRequest && m.Request != nil:
		o.channel = l.requests
		o.body, err = appendRequest(o.body, l.self, l.topic, m.Request)
	case m.To == "" && l.namespace() && isClassic(m):
		o.channel = l.broadcasts
		if rooms := m.Broadcast.Rooms; len(rooms) == 1 {
			o.channel += rooms[0] + "#"
		}
		o.body, err = appendClassic(o.body, l.self, l.topic, m.Broadcast)
	default:
		o.channel = l.private
		if m.To != "" {
			o.channel += string(m.To) + "#"
		}
		sent := *m
		sent.From = l.self
		var body []byte
		if body, err = sent.AppendBinary(o.body); err == nil {
			o.body = body
		}
	}
	if err == nil && int64(len(o.body)) > l.adapter.opts.MaxMessageBytes {
		l.drop(tooLarge, o.channel)
		return adapter.ErrTooLarge
	}
	return err
}

// receive takes a message from the subscriber, which must not wait.
func (l *link) receive(a arrival) {
	if int64(len(a.payload)) > l.adapter.opts.MaxMessageBytes {
		l.drop(tooLarge, a.channel)
		return
	}
	if !l.inbox.put(a) {
		l.drop(queueFull, a.channel)
	}
}

// handle decodes a message and passes it on, unless it is not for this link.
func (l *link) handle(a arrival) {
	m, err := l.open(a)
	switch {
	case err == errForeign:
		l.drop(foreign, a.channel)
	case err != nil:
		l.drop(malformed, a.channel)
	case m != nil:
		l.deliver(m)
	}
}

func (l *link) open(a arrival) (*adapter.Message, error) {
	switch a.route {
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
func (l *link) openPrivate(a arrival) (*adapter.Message, error) {
	m := &adapter.Message{}
	if err := m.UnmarshalBinary([]byte(a.payload)); err != nil {
		return nil, err
	}
	to := adapter.NodeID("")
	if a.route == routeNode {
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

func (l *link) drop(why reason, channel string) {
	l.adapter.health.drop(why, 1, channelAttr(channel))
}

// Close leaves the topic; see adapter.Link. The last Close also ends the
// adapter's goroutines and connections.
func (l *link) Close(ctx context.Context) error {
	l.closed.Store(true)
	l.leave()
	err := l.inbox.close(ctx)
	if err == nil {
		err = l.bus.publisher.flush(ctx)
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
	table := l.bus.subscriber.table
	for _, m := range l.joined {
		table.remove(m.subscription, m.route, false)
	}
	for _, s := range l.interest.named {
		table.remove(s, route{l, routeRoom}, false)
	}
	l.joined, l.interest = nil, newInterest()
}
