package redis

import (
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
)

// NewSharded returns an Adapter over the sharded pub/sub of Redis 7, as the Node.js
// function createShardedAdapter of @socket.io/redis-adapter. With a ClusterClient it uses
// all masters, follows slots that move, and keeps a sender's messages in order for each
// channel; with another client, in one order. The client remains the caller's and must
// stay open until the last Link is closed. NewSharded does not use the network. It fails
// for a nil client, for a Ring, for a ClusterClient that reads from replicas, and for
// options that cannot be meant.
func NewSharded(client goredis.UniversalClient, opts ShardedOptions) (*Adapter, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkClient(client); err != nil {
		return nil, err
	}
	if readsReplicas(client) {
		return nil, errors.New("redis: a client that reads from replicas cannot be used: the channels of sharded pub/sub are the masters'")
	}
	a := newAdapter(client, opts.Options, shardedForm(opts.SubscriptionMode))
	a.sharded = true
	return a, nil
}

// sharded is the form of @socket.io/redis-adapter's createShardedAdapter.
type sharded struct {
	*link
	mark  wire.Mark
	calls calls
}

var _ form = (*sharded)(nil)

// shardedForm returns what makes the forms of links. Private rooms have channels of their
// own in one mode only.
func shardedForm(mode SubscriptionMode) func(*link) form {
	return func(l *link) form {
		l.routing.rooms = mode != Static
		l.routing.selective = mode != Static
		switch {
		case l.adapter.opts.InterestRouting:
			l.routing.ids = byTag
		case mode == DynamicPrivate:
			l.routing.ids = byName
		}
		l.routing.compatible = byAll
		return &sharded{link: l, mark: wire.NewMark(l.self, l.topic)}
	}
}

func (s *sharded) requests() string { return s.routing.common }

// channels implements form. Node.js servers wait for an answer from each subscriber of
// the common channel.
func (s *sharded) channels() []membership {
	own := []membership{{bus.Channel{Name: s.routing.common}, routeNamespace}}
	if s.adapter.opts.NodeJS {
		own = append(own, membership{bus.Channel{Name: s.responses(string(s.self))}, routeResponses})
	}
	return own
}

// responses is the channel on which a server hears the answers to its requests.
func (s *sharded) responses(uid string) string { return s.routing.common + uid + "#" }

// write implements form.
func (s *sharded) write(o *bus.Outgoing, m *adapter.Message) (err error) {
	channel := s.routing.common
	switch {
	case m.Kind == adapter.KindResponse && strings.HasPrefix(string(m.To), nodejsPrefix):
		to, ok := wire.ParseAsker(m.To)
		if !ok || m.Response == nil {
			return adapter.ErrMalformed
		}
		if to.Type == wire.TypeBroadcast && m.Response.Answer == nil && !s.calls.first(call{m.To, m.Response.ID}) {
			return nil // it was told how many sockets the call reaches
		}
		channel = s.responses(to.UID)
	case m.Kind == adapter.KindBroadcast && m.Broadcast != nil && len(m.Broadcast.Rooms) == 1:
		channel = s.routing.way(m.Broadcast.Rooms[0])
	}
	if o.Body, err = wire.AppendMessage(o.Body, wire.JSON, s.self, s.topic, m, 0); err == nil {
		o.Channel = channel
	}
	return err
}

// read implements form.
func (s *sharded) read(a bus.Arrival) (*adapter.Message, error) {
	if s.mark.On(a.Payload) {
		return nil, nil
	}
	h, err := wire.ReadHeader(wire.Bytes(a.Payload))
	if err != nil {
		return nil, err
	}
	if h.UID == string(s.self) {
		return nil, nil
	}
	if h.Topic != s.topic || !s.belongs(&h, a) {
		return nil, errForeign
	}
	if h.FromNodeJS() {
		s.adapter.nodeJSHeard()
	}
	if a.Kind == routeTag && s.routing.complied.Load() {
		s.remind()
	}
	switch h.Kind() {
	case adapter.KindBroadcast:
		if !s.concerned(h.Rooms) {
			return nil, nil
		}
	case adapter.KindResponse:
		if !s.adapter.opts.NodeJS {
			return nil, nil // nobody waits for it
		}
	}
	return s.message(&h)
}

// belongs says whether a message has come on a channel where such ones are sent. Answers
// may come on the common one too.
func (s *sharded) belongs(h *wire.Header, a bus.Arrival) bool {
	switch {
	case a.Kind == routeResponses:
		return h.Kind() == adapter.KindResponse
	case a.Kind == routeNamespace:
		return true
	}
	return h.Kind() == adapter.KindBroadcast && s.routing.carries(a, h.Rooms)
}

// message decodes the event.
func (s *sharded) message(h *wire.Header) (*adapter.Message, error) {
	m, err := h.Message()
	if err != nil || m == nil {
		return nil, err
	}
	switch m.Kind {
	case adapter.KindRequest:
		if _, asks := wire.ParseAsker(m.From); asks && h.Calls() {
			s.calls.begin(call{m.From, m.Request.ID})
		}
	case adapter.KindResponse:
		m.To = s.self
	}
	return m, nil
}
