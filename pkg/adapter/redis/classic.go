package redis

import (
	"strings"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
)

// classic is the form of @socket.io/redis-adapter's createAdapter.
type classic struct {
	*link
	asked     string // the channel of a namespace's requests
	responses string // the channel of Node.js servers' responses; a uid and "#" may follow
	calls     calls
	copies    copies
}

var _ form = (*classic)(nil)

func newClassic(l *link) form {
	l.routing.rooms, l.routing.ids, l.routing.compatible = true, byName, byName
	l.routing.pattern = escapeGlob(l.routing.common) + "*"
	if l.adapter.opts.InterestRouting {
		l.routing.selective, l.routing.ids = true, byTag
	}
	return &classic{
		link:      l,
		asked:     l.adapter.opts.Prefix + "-request#" + l.topic + "#",
		responses: l.adapter.opts.Prefix + "-response#" + l.topic + "#",
	}
}

func (c *classic) requests() string { return c.asked }

// channels implements form. Node.js servers wait for an answer from each subscriber of
// the requests.
func (c *classic) channels() []membership {
	own := []membership{{bus.Channel{Name: c.asked}, routeRequests}}
	if c.routing.selective {
		own = append(own, membership{bus.Channel{Name: c.routing.common}, routeNamespace})
	} else {
		own = append(own, membership{bus.Channel{Name: c.routing.pattern, Pattern: true}, routeEvery})
	}
	if c.adapter.opts.NodeJS {
		own = append(own,
			membership{bus.Channel{Name: c.responses}, routeResponses},
			membership{bus.Channel{Name: c.responses + string(c.self) + "#"}, routeResponses})
	}
	return own
}

// write implements form. Requests, responses to Node.js and the broadcasts that Node.js
// could have made have its form.
func (c *classic) write(o *bus.Outgoing, m *adapter.Message) (err error) {
	switch {
	case m.Kind == adapter.KindResponse && m.Response != nil && strings.HasPrefix(string(m.To), nodejsPrefix):
		return c.writeResponse(o, m.To, m.Response)
	case m.To == "" && m.Kind == adapter.KindRequest && m.Request != nil:
		o.Channel = c.asked
		o.Body, err = appendRequest(o.Body, c.self, c.topic, m.Request)
		return err
	case m.To == "" && isClassic(m):
		o.Channel = c.routing.common
		if rooms := m.Broadcast.Rooms; len(rooms) == 1 {
			o.Channel = c.routing.way(rooms[0])
		}
		o.Body, err = appendClassic(o.Body, c.self, c.topic, m.Broadcast)
		return err
	}
	return wire.ErrNoForm
}

// read implements form.
func (c *classic) read(a bus.Arrival) (*adapter.Message, error) {
	switch a.Kind {
	case routeRequests:
		return c.readRequest(a)
	case routeResponses:
		return c.readResponse(a)
	}
	if c.routing.complied.Load() {
		if a.Kind == routeTag {
			c.remind()
		} else if c.copies.again(a) {
			return nil, nil
		}
	}
	return c.readBroadcast(a)
}

// readBroadcast reads a broadcast. It returns nil for one that no socket here can
// want. Its data is decoded only after all else has been looked at.
func (c *classic) readBroadcast(a bus.Arrival) (*adapter.Message, error) {
	if sender, ok := classicSender(a.Payload); ok && sender == string(c.self) {
		return nil, nil
	}
	e, err := readEnvelope(wire.Bytes(a.Payload))
	if err != nil {
		return nil, err
	}
	if c.adapter.opts.InterestRouting && wire.ClassicNodeJS(e.from) {
		c.adapter.nodeJSHeard()
	}
	rooms := e.broadcast.Rooms
	if !sameNamespace(e.namespace, c.topic) || !c.routing.carries(a, rooms) {
		if a.Kind == routeEvery {
			// The pattern of "/a" also matches the channels of "/a#b", which is nobody's fault.
			return nil, nil
		}
		return nil, errForeign
	}
	if !c.concerned(rooms) {
		return nil, nil
	}
	return e.message(c.topic)
}

// copies tells the copies of a message apart that Redis sends to who has subscribed to
// its channel and also to a pattern that matches it: it sends one right after the other.
// That is so when a link with InterestRouting has heard a Node.js server.
type copies struct {
	// patterned says that the pattern is in force: the other copies do not count.
	patterned bool
	last      bus.Arrival // while it is not
}

// again says that the link has had a, or will have it by the pattern.
func (c *copies) again(a bus.Arrival) bool {
	switch {
	case a.Kind != routeEvery && !c.patterned:
		c.last = a
		return false
	case a.Kind != routeEvery:
		return true
	case !c.patterned:
		had := c.last.Channel == a.Channel && c.last.Payload == a.Payload
		*c = copies{patterned: true}
		return had
	}
	return false
}
