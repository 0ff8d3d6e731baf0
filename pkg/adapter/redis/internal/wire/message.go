package wire

import (
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// AppendMessage appends to dst a message that self sends to topic over pub/sub. With an
// order that is not 0 the message carries that number, unless it is a response, which only
// the Asker that its To names hears. A response to a call that holds no acknowledgement
// tells it how many sockets it reaches: it is for the caller to say that only once.
//
// It fails with ErrNoForm for what only roomcast nodes say to each other, and with
// adapter.ErrMalformed for a packet whose data is no JSON; then it returns dst as it was.
func AppendMessage(dst []byte, form Form, self adapter.NodeID, topic string, m *adapter.Message, order uint64) ([]byte, error) {
	t, err := typeOfMessage(m)
	if err != nil {
		return dst, err
	}
	w := writer{out: dst, packed: form == MessagePack || len(attachmentsOf(m)) > 0}
	o := w.begin()
	o.number("type", uint64(t))
	if err := o.writeData(t, self, topic, m); err != nil {
		return dst, err
	}
	o.text("uid", string(self))
	o.text("nsp", topic)
	if self != Emitter {
		o.writeUnsaid(m, order)
	}
	o.end()
	return w.out, nil
}

// typeOfMessage returns the type in which a message travels.
func typeOfMessage(m *adapter.Message) (Type, error) {
	switch {
	case m.Kind == adapter.KindBroadcast && m.Broadcast != nil && m.To == "" && hasForm(&m.Broadcast.Packet):
		return TypeBroadcast, nil
	case m.Kind == adapter.KindRequest && m.Request != nil && m.To == "":
		return typeOfRequest(m.Request)
	case m.Kind == adapter.KindResponse && m.Response != nil:
		return typeOfResponse(m.To, m.Response)
	}
	return 0, ErrNoForm
}

func typeOfRequest(q *adapter.Request) (Type, error) {
	t, ok := typeOf(q.Action)
	answerable := q.ID != "" || t != TypeBroadcast && t != TypeFetch
	eventful := hasForm(&q.Packet) || t != TypeBroadcast && t != TypeEvent
	if !ok || !answerable || !eventful {
		return 0, ErrNoForm
	}
	return t, nil
}

// typeOfResponse depends on what the Node.js server has asked.
func typeOfResponse(to adapter.NodeID, r *adapter.Response) (Type, error) {
	a, ok := ParseAsker(to)
	switch {
	case ok && a.Type == TypeFetch:
		return TypeSockets, nil
	case ok && a.Type == TypeEvent:
		return TypeEventAnswer, nil
	case ok && r.Answer != nil:
		return TypeAnswer, nil
	case ok:
		return TypeReceivers, nil
	}
	return 0, ErrNoForm
}

// hasForm says whether p is an event as Node.js has them.
func hasForm(p *packet.Packet) bool {
	return (p.Type == packet.Event || p.Type == packet.BinaryEvent) && !p.HasID && isEvent(p.Data, true)
}

// attachmentsOf returns the attachments of the packet in m, which has the body that its
// kind demands.
func attachmentsOf(m *adapter.Message) [][]byte {
	switch {
	case m.Kind == adapter.KindBroadcast:
		return m.Broadcast.Packet.Attachments
	case m.Kind == adapter.KindRequest:
		return m.Request.Packet.Attachments
	case m.Response.Answer != nil:
		return m.Response.Answer.Attachments
	}
	return nil
}

// writeData adds the member data. The order of members is that of Node.js.
func (o *object) writeData(t Type, self adapter.NodeID, topic string, m *adapter.Message) error {
	data := o.object("data")
	err := data.writeBody(t, self, topic, m)
	data.end()
	return err
}

func (o *object) writeBody(t Type, self adapter.NodeID, topic string, m *adapter.Message) error {
	switch m.Kind {
	case adapter.KindBroadcast:
		b := m.Broadcast
		if err := o.writePacket(&b.Packet, self, topic); err != nil {
			return err
		}
		o.writeOptions(self, selection{b.Rooms, b.Except, flags{b.Volatile, b.Uncompressed, 0}})
		return nil
	case adapter.KindRequest:
		return o.writeRequest(t, self, topic, m.Request)
	}
	return o.writeResponse(t, m.Response)
}

func (o *object) writeRequest(t Type, self adapter.NodeID, topic string, q *adapter.Request) error {
	s := selection{q.Rooms, q.Except, flags{q.Volatile, q.Uncompressed, 0}}
	switch t {
	case TypeBroadcast:
		if err := o.writePacket(&q.Packet, self, topic); err != nil {
			return err
		}
		o.text("requestId", q.ID)
		s.timeout = q.Timeout
		o.writeOptions(self, s)
	case TypeJoin, TypeLeave:
		o.writeOptions("", s)
		o.names("rooms", q.Targets)
	case TypeDisconnect:
		o.writeOptions("", s)
		o.bool("close", q.Close)
	case TypeFetch:
		s.timeout = q.Timeout
		o.writeOptions("", s)
		o.text("requestId", q.ID)
	case TypeEvent:
		if q.ID != "" {
			o.text("requestId", q.ID)
		}
		return o.value("packet", q.Packet.Data, q.Packet.Attachments)
	}
	return nil
}

// writePacket adds the packet of a broadcast, in which only emitters say the namespace.
func (o *object) writePacket(p *packet.Packet, self adapter.NodeID, topic string) error {
	inner := o.object("packet")
	inner.number("type", uint64(packet.Event))
	if err := inner.value("data", p.Data, p.Attachments); err != nil {
		return err
	}
	if self == Emitter {
		inner.text("nsp", topic)
	}
	inner.end()
	return nil
}

// selection is what opts says.
type selection struct {
	rooms, except []string
	flags
}

// writeOptions adds the member opts. In emitters' broadcasts it has another order.
func (o *object) writeOptions(self adapter.NodeID, s selection) {
	opts := o.object("opts")
	opts.names("rooms", s.rooms)
	if self != Emitter {
		opts.names("except", s.except)
	}
	set := opts.object("flags")
	set.writeFlags(s.volatile, s.uncompressed, s.timeout)
	set.end()
	if self == Emitter {
		opts.names("except", s.except)
	}
	opts.end()
}

func (o *object) writeResponse(t Type, r *adapter.Response) error {
	o.text("requestId", r.ID)
	switch t {
	case TypeSockets:
		return o.writeSockets(r.Sockets)
	case TypeReceivers:
		o.number("clientCount", uint64(max(0, r.Receivers)))
		return nil
	}
	return o.writeAnswer(r.Answer)
}

// writeAnswer adds the first argument of an acknowledgement. Without one it is
// undefined, which is left out of JSON.
func (o *object) writeAnswer(p *packet.Packet) error {
	const name = "packet"
	var args []packet.Raw
	if p != nil {
		var err error
		if args, err = p.Args(); err != nil {
			return malformed("write answer")
		}
	}
	switch {
	case len(args) > 0:
		return o.value(name, args[0].Value, p.Attachments)
	case o.packed:
		o.null(name)
	}
	return nil
}

func (o *object) writeSockets(list []adapter.Socket) (err error) {
	o.key("sockets")
	o.array(len(list), func(i int) {
		s := o.begin()
		if fault := s.writeSocket(&list[i]); fault != nil {
			err = fault
		}
		s.end()
	})
	return err
}

// writeSocket adds what a socket is. Node.js always has a handshake and data.
func (o *object) writeSocket(s *adapter.Socket) error {
	o.text("id", s.ID)
	if err := o.value("handshake", orEmpty(s.Handshake), nil); err != nil {
		return err
	}
	o.names("rooms", s.Rooms)
	return o.value("data", orEmpty(s.Data), nil)
}

func orEmpty(value []byte) []byte {
	if len(value) == 0 {
		return []byte("{}")
	}
	return value
}
