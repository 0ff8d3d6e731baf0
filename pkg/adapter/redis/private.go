package redis

import (
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

// What only roomcast nodes say to each other travels in adapter's own byte form on
// private channels, one of a topic and one of each of its nodes.

// writePrivate makes o carry m in our own form.
func (l *link) writePrivate(o *bus.Outgoing, m *adapter.Message) error {
	o.Channel = l.private
	if m.To != "" {
		o.Channel += string(m.To) + "#"
	}
	sent := *m
	sent.From = l.self
	body, err := sent.AppendBinary(o.Body)
	if err != nil {
		return err
	}
	o.Body = body
	return nil
}

// readPrivate reads a message in our own form. The names of the channels are not
// injective (topic "a" and node "b" give that of topic "a#b"), so what the message says
// of its address is compared with why we listen.
func (l *link) readPrivate(a bus.Arrival) (*adapter.Message, error) {
	if a.Kind == routeTopic && (a.Payload == noticeHeard || a.Payload == noticeAsk) {
		l.noticed(a.Payload)
		return nil, nil
	}
	m := &adapter.Message{}
	if err := m.UnmarshalBinary([]byte(a.Payload)); err != nil {
		return nil, err
	}
	to := adapter.NodeID("")
	if a.Kind == routeNode {
		to = l.self
	}
	if m.To != to || l.form != nil && m.Broadcast != nil && !sameNamespace(m.Broadcast.Packet.Namespace, l.topic) {
		return nil, errForeign
	}
	if m.From == l.self {
		return nil, nil
	}
	return m, nil
}

// sameNamespace compares a packet's namespace, in which nothing means "/".
func sameNamespace(inside, topic string) bool {
	return inside == topic || inside == "" && topic == "/"
}
