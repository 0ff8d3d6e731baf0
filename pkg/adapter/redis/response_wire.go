package redis

import (
	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/packet"
)

// The wire form of a response to a Node.js server, and of its responses, depends on
// the type of the request:
//
//	0     {requestId, sockets: ["id", …]}
//	1     {requestId, rooms: […]}
//	2,3,4 {requestId}, in the form of older versions only
//	5     {requestId, sockets: [{id, handshake, rooms, data}]}
//	6     {type: 6, requestId, data}
//	7     {type: 8, requestId, clientCount}, then {type: 9, requestId, packet} for each acknowledgement
//
// Type 9 is MessagePack, the others JSON. Of an acknowledgement's arguments there is
// only the first.

// writeResponse makes o carry an answer to a Node.js server. It leaves o without a
// channel if there is nothing that Node.js would understand.
func (c *classic) writeResponse(o *bus.Outgoing, to adapter.NodeID, r *adapter.Response) (err error) {
	a, ok := parseAsker(to)
	if !ok {
		return adapter.ErrMalformed
	}
	form := newObject(nil)
	switch said, err := form.response(a.kind, r, func() bool { return c.calls.first(call{to, r.ID}) }); {
	case err != nil:
		return err
	case !said:
		return nil
	}
	if r.Answer != nil && (a.kind == typeCall || len(r.Answer.Attachments) > 0) {
		o.Body = append(o.Body, form.packed...)
	} else if o.Body, err = appendJSON(o.Body, form.packed); err != nil {
		return err
	}
	o.Channel = c.responses
	if c.adapter.opts.PublishOnSpecificResponseChannel && a.kind != typeEvent && a.uid != "" {
		o.Channel += a.uid + "#"
	}
	return nil
}

// response adds the members and says whether there is something to say. First tells
// whether no response to this call was sent.
func (o *object) response(kind requestType, r *adapter.Response, first func() bool) (said bool, err error) {
	switch kind {
	case typeEvent:
		o.number("type", uint64(typeEvent))
		o.text("requestId", r.ID)
		return true, o.answer("data", r.Answer)
	case typeCall:
		if r.Answer != nil {
			o.number("type", uint64(typeAnswer))
			o.text("requestId", r.ID)
			return true, o.answer("packet", r.Answer)
		}
		o.number("type", uint64(typeReceivers))
		o.text("requestId", r.ID)
		o.number("clientCount", uint64(max(0, r.Receivers)))
		return first(), nil
	}
	o.text("requestId", r.ID)
	switch kind {
	case typeIDs, typeFetch:
		return true, o.sockets(r.Sockets, kind == typeIDs)
	case typeRooms:
		o.names("rooms", r.Rooms)
		return true, nil
	}
	return r.Receivers > 0, nil
}

// answer adds the first argument of an acknowledgement. Without one it is undefined,
// and left out.
func (o *object) answer(name string, p *packet.Packet) error {
	if p == nil {
		return nil
	}
	args, err := p.Args()
	if err != nil {
		return adapter.ErrMalformed
	}
	if len(args) == 0 {
		return nil
	}
	return o.value(name, args[0].Value, p.Attachments)
}

func (o *object) sockets(list []adapter.Socket, idsOnly bool) error {
	o.key("sockets")
	o.packed = msgpack.AppendArrayHeader(o.packed, len(list))
	for i := range list {
		if idsOnly {
			o.packed = msgpack.AppendString(o.packed, list[i].ID)
			continue
		}
		s := newObject(o.packed)
		if err := s.socket(&list[i]); err != nil {
			return err
		}
		o.packed = s.packed
	}
	return nil
}

// socket adds what a socket is. Node.js always has a handshake and data.
func (o *object) socket(s *adapter.Socket) error {
	const empty = "{}"
	handshake, data := s.Handshake, s.Data
	if len(handshake) == 0 {
		handshake = []byte(empty)
	}
	if len(data) == 0 {
		data = []byte(empty)
	}
	o.text("id", s.ID)
	if err := o.value("handshake", handshake, nil); err != nil {
		return err
	}
	o.names("rooms", s.Rooms)
	return o.value("data", data, nil)
}
