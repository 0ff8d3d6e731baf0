package wire

import (
	"slices"
	"time"

	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// defaultTimeout is for how long a Node.js server waits for answers if it has not said
// it.
const defaultTimeout = 5 * time.Second

// FromNodeJS says that a Node.js server has sent the message.
func (h *Header) FromNodeJS() bool { return !h.own && NodeJS(h.UID) }

// Calls says that the message is a call, a broadcast that wants acknowledgements.
func (h *Header) Calls() bool { return h.Type == TypeBroadcast && h.id != "" }

// Kind returns what kind of Message the header begins, and 0 for a heartbeat, which is
// none.
func (h *Header) Kind() adapter.Kind {
	switch {
	case h.whole != nil:
		return h.whole.Kind
	case h.Type == TypeBroadcast && !h.Calls():
		return adapter.KindBroadcast
	case h.Type.responds():
		return adapter.KindResponse
	case actions[h.Type] != 0:
		return adapter.KindRequest
	}
	return 0
}

// From returns under which id the message arrives: an Asker's if it is a request of a
// server that reads no answers in our own form.
func (h *Header) From() adapter.NodeID {
	if h.own || h.UID == string(Emitter) || h.Kind() != adapter.KindRequest {
		return adapter.NodeID(h.UID)
	}
	return Asker{Type: h.Type, UID: h.UID}.ID()
}

// Message decodes the event and returns the message; nil for a heartbeat, which says
// nothing to a roomcast node. It fails with an error that wraps adapter.ErrMalformed.
func (h *Header) Message() (*adapter.Message, error) {
	m := &adapter.Message{From: h.From(), Kind: h.Kind()}
	var err error
	switch {
	case h.whole != nil:
		*m = *h.whole
		m.From = h.From()
	case m.Kind == adapter.KindBroadcast:
		m.Broadcast, err = h.broadcast()
	case m.Kind == adapter.KindRequest:
		m.Request, err = h.request()
	case m.Kind == adapter.KindResponse:
		m.Response, err = h.response()
	default:
		return nil, nil
	}
	if err != nil {
		return nil, malformed("read event")
	}
	return m, nil
}

func (h *Header) broadcast() (*adapter.Broadcast, error) {
	p, err := h.event()
	return &adapter.Broadcast{
		Packet: p, Rooms: h.Rooms, Except: h.Except, Volatile: h.volatile, Uncompressed: h.uncompressed,
		Trace: h.unsaid.trace,
	}, err
}

func (h *Header) request() (q *adapter.Request, err error) {
	q = &adapter.Request{
		ID: h.id, Action: actions[h.Type], Rooms: h.Rooms, Except: h.Except, Targets: h.targets, Close: h.close,
		Volatile: h.volatile, Uncompressed: h.uncompressed, Timeout: h.timeout, Whole: h.Type == TypeFetch,
	}
	switch {
	case h.own:
		h.complement(q)
	case h.Type.changes():
		q.ID = "" // Node.js does not answer
	case q.ID != "" && q.Timeout == 0:
		q.Timeout = defaultTimeout
	}
	if h.Type == TypeBroadcast || h.Type == TypeEvent {
		q.Packet, err = h.event()
	}
	return q, err
}

// complement adds what only roomcast nodes say.
func (h *Header) complement(q *adapter.Request) {
	u := &h.unsaid
	q.Timeout, q.Whole, q.Trace = u.timeout, u.whole, u.trace
	if h.Type.changes() {
		q.ID = u.id
	}
	if h.Type == TypeEvent {
		q.Rooms, q.Except, q.Volatile, q.Uncompressed = u.rooms, u.except, u.volatile, u.uncompressed
	}
}

func (h *Header) response() (r *adapter.Response, err error) {
	r = &adapter.Response{ID: h.id}
	switch h.Type {
	case TypeSockets:
		r.Action, r.Done, r.Receivers, r.Sockets = adapter.ActionFetch, true, len(h.sockets), h.sockets
	case TypeReceivers:
		r.Action, r.Receivers = adapter.ActionCall, int(h.receivers)
	case TypeEventAnswer:
		r.Action, r.Done = adapter.ActionEvent, true
		r.Answer, err = h.answer()
	case TypeAnswer:
		r.Action = adapter.ActionCall
		r.Answer, err = h.answer()
	}
	return r, err
}

// event decodes a packet's data.
func (h *Header) event() (packet.Packet, error) {
	// Who appends to the data must not write to what follows it in the message.
	p := packet.Packet{Type: packet.Event, Namespace: h.Topic, Data: slices.Clip(h.packet)}
	if h.json {
		return p, nil
	}
	r := msgpack.NewReader(h.packet)
	var err error
	p.Data, p.Attachments, err = r.AppendJSON(make([]byte, 0, len(h.packet)+len(h.packet)/2+16), nil)
	return p, err
}

// answer decodes the only argument of an acknowledgement. Undefined is none.
func (h *Header) answer() (*packet.Packet, error) {
	p := &packet.Packet{Type: packet.Ack, Namespace: h.Topic, Data: []byte("[]")}
	if h.packet == nil {
		return p, nil
	}
	data := []byte("[")
	var err error
	if h.json {
		data = append(data, h.packet...)
	} else {
		r := msgpack.NewReader(h.packet)
		data, p.Attachments, err = r.AppendJSON(data, nil)
	}
	p.Data = append(data, ']')
	return p, err
}
