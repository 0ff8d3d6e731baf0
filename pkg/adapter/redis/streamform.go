package redis

import (
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
)

// streamForm is the form of what travels over pub/sub in a namespace whose broadcasts
// travel through a stream: calls, and answers to Node.js servers, all in MessagePack.
type streamForm struct {
	*link
	common string // the channel of calls; a uid and "#" may follow for answers
	calls  calls
}

func newStreamForm(l *link) *streamForm {
	return &streamForm{link: l, common: l.adapter.opts.Prefix + "#" + l.topic + "#"}
}

// channels are those to which Node.js subscribes too.
func (f *streamForm) channels() []membership {
	return []membership{
		{bus.Channel{Name: f.common}, routeRequests},
		{bus.Channel{Name: f.common + string(f.self) + "#"}, routeResponses},
	}
}

func (f *streamForm) requests() string { return f.common }

// write makes o carry m, without a number; see streamLink.
func (f *streamForm) write(o *bus.Outgoing, m *adapter.Message) error {
	return f.writeNumbered(o, m, 0)
}

func (f *streamForm) writeNumbered(o *bus.Outgoing, m *adapter.Message, number uint64) error {
	asker, asked := wire.ParseAsker(m.To)
	if asked && f.saidAlready(asker, m) {
		return nil
	}
	body, err := wire.AppendMessage(o.Body, wire.MessagePack, f.self, f.topic, m, number)
	if err != nil {
		return err
	}
	o.Body, o.Channel = body, f.common
	if asked {
		o.Channel += asker.UID + "#"
	}
	return nil
}

// saidAlready says of an answer to a call that it holds nothing new: Node.js is told once
// how many sockets it reaches, and not that the answers have ended.
func (f *streamForm) saidAlready(asker wire.Asker, m *adapter.Message) bool {
	r := m.Response
	return r != nil && r.Answer == nil && asker.Type == wire.TypeBroadcast && !f.calls.first(call{m.To, r.ID})
}

// read reads a message at once; see streamLink, which looks at its number first.
func (f *streamForm) read(a bus.Arrival) (*adapter.Message, error) {
	h, err := f.header(a)
	if h == nil || err != nil {
		return nil, err
	}
	return f.message(h)
}

// message decodes what has been read as far as its header; nil for a heartbeat of an
// older version.
func (f *streamForm) message(h *wire.Header) (*adapter.Message, error) {
	m, err := h.Message()
	if m == nil || err != nil {
		return nil, err
	}
	switch {
	case m.Kind == adapter.KindResponse:
		m.To = f.self
	case h.FromNodeJS() && h.Calls():
		f.calls.begin(call{m.From, m.Request.ID})
	}
	return m, nil
}

// header reads all but the event. It returns nil for this node's own message.
func (f *streamForm) header(a bus.Arrival) (*wire.Header, error) {
	h, err := wire.ReadHeader(wire.Bytes(a.Payload))
	switch {
	case err != nil:
		return nil, err
	case h.Topic != f.topic:
		return nil, errForeign
	case h.UID == string(f.self):
		return nil, nil
	}
	if h.FromNodeJS() {
		f.adapter.nodeJSHeard()
	}
	return &h, nil
}
