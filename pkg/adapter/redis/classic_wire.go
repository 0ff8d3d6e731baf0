package redis

import (
	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// The wire form of a broadcast is that of @socket.io/redis-adapter, a MessagePack
// array of the sender, the packet and the options:
//
//	["sender", {type: 2, data: ["event", …], nsp: "/"}, {rooms: […], except: […], flags: {…}}]
//
// Attachments are in their places in data. We write the members in the order in
// which Node.js does. A broadcast that belongs to a trace has a further option, trace.
const (
	classicHead   = "\x93"
	classicPacket = "\x83\xa4type\x02\xa4data"
	classicNsp    = "\xa3nsp"
	classicRooms  = "\x83\xa5rooms"
	classicExcept = "\xa6except"
	classicFlags  = "\xa5flags"
	classicTrace  = "\xa5trace"
	classicTraced = '\x84' // begins rooms, except, flags and trace
)

// isClassic says whether the wire form can carry all that m says.
func isClassic(m *adapter.Message) bool {
	if m.Kind != adapter.KindBroadcast || m.Broadcast == nil {
		return false
	}
	p := &m.Broadcast.Packet
	return (p.Type == packet.Event || p.Type == packet.BinaryEvent) && !p.HasID && p.Data.Kind() == '['
}

// appendClassic appends the wire form of a broadcast to dst, which it returns as
// it was if the packet's data is not what a packet's data must be.
func appendClassic(dst []byte, from adapter.NodeID, namespace string, b *adapter.Broadcast) ([]byte, error) {
	start := len(dst)
	out := append(dst, classicHead...)
	out = msgpack.AppendString(out, string(from))
	out = append(out, classicPacket...)
	out, err := msgpack.AppendFromJSON(out, b.Packet.Data, b.Packet.Attachments)
	if err != nil {
		return out[:start], adapter.ErrMalformed
	}
	out = append(out, classicNsp...)
	out = msgpack.AppendString(out, namespace)
	out = append(out, classicRooms...)
	if b.Trace != "" { // a fourth member, which Node.js does not look at
		out[len(out)-len(classicRooms)] = classicTraced
	}
	out = appendStrings(out, b.Rooms)
	if from == emitterID { // which has another order
		out = append(out, classicFlags...)
		out = appendFlags(out, b)
		out = append(out, classicExcept...)
		return appendTrace(appendStrings(out, b.Except), b), nil
	}
	out = append(out, classicExcept...)
	out = appendStrings(out, b.Except)
	out = append(out, classicFlags...)
	return appendTrace(appendFlags(out, b), b), nil
}

func appendTrace(dst []byte, b *adapter.Broadcast) []byte {
	if b.Trace == "" {
		return dst
	}
	return msgpack.AppendString(append(dst, classicTrace...), b.Trace)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = msgpack.AppendArrayHeader(dst, len(list))
	for _, text := range list {
		dst = msgpack.AppendString(dst, text)
	}
	return dst
}

func appendFlags(dst []byte, b *adapter.Broadcast) []byte {
	const (
		volatile     = "\xa8volatile\xc3"
		uncompressed = "\xa8compress\xc2"
	)
	switch {
	case b.Volatile && b.Uncompressed:
		return append(dst, "\x82"+volatile+uncompressed...)
	case b.Volatile:
		return append(dst, "\x81"+volatile...)
	case b.Uncompressed:
		return append(dst, "\x81"+uncompressed...)
	}
	return append(dst, 0x80)
}

// envelope is a received broadcast whose data has not been decoded.
type envelope struct {
	from      string
	namespace string
	broadcast adapter.Broadcast // without its packet
	selected  bool              // it says which rooms, if only that it means all
	data      []byte            // MessagePack
	reader    msgpack.Reader    // is here because a map's members are read through a function
}

// classicSender reads the beginning of a message, without a copy. It knows the
// short forms, which are all that matter for finding one's own messages.
func classicSender(payload string) (string, bool) {
	head, n := 0, 0
	switch {
	case len(payload) > 2 && payload[1]&0xe0 == 0xa0:
		head, n = 2, int(payload[1]&0x1f)
	case len(payload) > 3 && payload[1] == 0xd9:
		head, n = 3, int(payload[2])
	default:
		return "", false
	}
	if len(payload) < head+n {
		return "", false
	}
	return payload[head : head+n], true
}

// message decodes the data.
func (e *envelope) message(namespace string) (*adapter.Message, error) {
	p, err := e.packet(namespace)
	if err != nil {
		return nil, err
	}
	e.broadcast.Packet = p
	return &adapter.Message{From: adapter.NodeID(e.from), Kind: adapter.KindBroadcast, Broadcast: &e.broadcast}, nil
}

func (e *envelope) packet(namespace string) (packet.Packet, error) {
	r := msgpack.NewReader(e.data)
	data, attachments, err := r.AppendJSON(make([]byte, 0, len(e.data)+len(e.data)/2+16), nil)
	return packet.Packet{Type: packet.Event, Namespace: namespace, Data: data, Attachments: attachments}, err
}

// readEnvelope reads all but the data, which keeps to payload's memory. It takes
// what Node.js servers and emitters of any version send, and fails otherwise.
func readEnvelope(payload []byte) (*envelope, error) {
	e := &envelope{reader: msgpack.NewReader(payload)}
	r := &e.reader
	if n, err := r.ArrayLen(); err != nil || n < 3 || r.Peek() != msgpack.String {
		return e, adapter.ErrMalformed
	}
	from, err := r.Text()
	if err != nil {
		return e, err
	}
	e.from = string(from)
	if err := readMap(r, e.packetMember); err != nil {
		return e, err
	}
	if e.data == nil {
		return e, adapter.ErrMalformed
	}
	if err = readMap(r, e.optionsMember); err == nil && !e.selected {
		// Every sender says it. Who leaves it out did not mean everybody.
		err = adapter.ErrMalformed
	}
	return e, err
}

// readMap calls member for each key, which reads the value.
func readMap(r *msgpack.Reader, member func(key []byte, r *msgpack.Reader) error) error {
	n, err := r.MapLen()
	for ; n > 0 && err == nil; n-- {
		var key []byte
		if key, err = r.Text(); err == nil {
			err = member(key, r)
		}
	}
	return err
}

func (e *envelope) packetMember(key []byte, r *msgpack.Reader) (err error) {
	switch string(key) {
	case "type":
		kind, err := r.Int()
		if err == nil && kind != int64(packet.Event) && kind != int64(packet.BinaryEvent) {
			err = adapter.ErrMalformed
		}
		return err
	case "nsp":
		if r.Peek() != msgpack.String && r.Peek() != msgpack.Nil {
			return adapter.ErrMalformed
		}
		if r.Peek() == msgpack.String {
			name, err := r.Text()
			e.namespace = string(name)
			return err
		}
	case "data":
		return e.readEvent(r)
	}
	_, err = r.Skip()
	return err
}

func (e *envelope) readEvent(r *msgpack.Reader) (err error) {
	if e.data, err = r.Skip(); err == nil && !isEvent(e.data) {
		err = adapter.ErrMalformed
	}
	return err
}

// isEvent says that data is an array that begins with an event's name.
func isEvent(data []byte) bool {
	r := msgpack.NewReader(data)
	n, err := r.ArrayLen()
	kind := r.Peek()
	return err == nil && n > 0 && (kind == msgpack.String || kind == msgpack.Int)
}

func (e *envelope) optionsMember(key []byte, r *msgpack.Reader) (err error) {
	switch string(key) {
	case "rooms":
		e.selected = true
		e.broadcast.Rooms, err = readNames(r)
		return err
	case "except":
		e.broadcast.Except, err = readNames(r)
		return err
	case "trace":
		if r.Peek() == msgpack.String {
			trace, err := r.Text()
			e.broadcast.Trace = string(trace)
			return err
		}
	case "flags":
		if r.Peek() == msgpack.Map {
			return readMap(r, e.flag)
		}
	}
	_, err = r.Skip()
	return err
}

// maxElements bounds a list, so that a few bytes per element cannot become far more
// in memory.
const maxElements = 1 << 20

// readNames reads a list of rooms, which Node.js leaves out when undefined, and
// whose names may be numbers.
func readNames(r *msgpack.Reader) ([]string, error) {
	if r.Peek() == msgpack.Nil {
		_, err := r.Skip()
		return nil, err
	}
	n, err := r.ArrayLen()
	if err != nil || n == 0 {
		return nil, err
	}
	if n > maxElements {
		return nil, adapter.ErrMalformed
	}
	names := make([]string, 0, min(n, 64))
	for range n {
		name, err := r.Text()
		if err != nil {
			return nil, err
		}
		names = append(names, string(name))
	}
	return names, nil
}

func (e *envelope) flag(key []byte, r *msgpack.Reader) error {
	value, err := r.Skip()
	switch {
	case err != nil:
	case string(key) == "volatile":
		e.broadcast.Volatile = string(value) == "\xc3"
	case string(key) == "compress":
		e.broadcast.Uncompressed = string(value) == "\xc2"
	}
	return err
}
