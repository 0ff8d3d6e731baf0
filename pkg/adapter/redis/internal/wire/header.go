package wire

import (
	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Header is a received message of which all but the event has been read. It refers to
// the bytes that it was read from.
type Header struct {
	// UID is who has sent the message, as it says itself; see From.
	UID string
	// Topic is the namespace.
	Topic string
	// Type says what the message is about.
	Type Type
	// Rooms selects the sockets that are in any of these rooms; none selects all.
	Rooms []string
	// Except removes the sockets that are in any of these rooms.
	Except []string
	// Order is the number that a roomcast node has given the message; 0 is none.
	Order uint64

	flags
	own      bool // a roomcast node has sent it
	unsaid   unsaid
	id       string   // of the request that it makes or answers
	selected bool     // it says which rooms, if only that it means all
	targets  []string // the rooms of TypeJoin and TypeLeave
	listed   bool     // it has targets
	close    bool     // of TypeDisconnect
	counted  bool     // it has receivers
	fetched  bool     // it has sockets
	// receivers is how many sockets a call reaches.
	receivers int64
	sockets   []adapter.Socket
	// packet is the event, or the value of an answer, in the form that json says.
	packet []byte
	json   bool
	// whole is a message that came in package adapter's own form.
	whole *adapter.Message
}

// ReadHeader reads a message that was sent over pub/sub, without decoding its event. It
// fails with an error that wraps adapter.ErrMalformed for what no server or emitter of
// any version sends. The Header, and what comes of it, refers to payload.
func ReadHeader(payload []byte) (Header, error) {
	r := newReader(payload)
	var h Header
	h.readMessage(&r)
	r.end()
	return h, h.complete(r.err)
}

// complete fails unless the header has all that its type needs.
func (h *Header) complete(err error) error {
	if err != nil || h.UID == "" || h.Topic == "" || h.own && h.unsaid.version != version || !h.suffices() {
		return malformed("read message")
	}
	return nil
}

func (h *Header) suffices() bool {
	switch h.Type {
	case TypeHello, TypeHeartbeat, TypeGoodbye:
		return true
	case TypeBroadcast:
		return h.selected && h.packet != nil
	case TypeJoin, TypeLeave:
		return h.selected && h.listed
	case TypeDisconnect:
		return h.selected
	case TypeFetch:
		return h.selected && h.id != ""
	case TypeEvent:
		return isEvent(h.packet, h.json)
	case TypeSockets:
		return h.id != "" && h.fetched
	case TypeReceivers:
		return h.id != "" && h.counted
	case TypeEventAnswer, TypeAnswer:
		return h.id != ""
	}
	return h.whole != nil
}

func (h *Header) readMessage(r *reader) {
	var untyped []byte // data, if it came before the type
	for o := r.object(); r.next(&o); {
		switch string(o.key) {
		case "type":
			h.Type = Type(r.int(int64(TypeGoodbye)))
		case "data":
			if h.Type == 0 {
				untyped = r.skip()
			} else {
				h.readData(r)
			}
		case "uid":
			h.UID = r.id()
		case "nsp":
			h.Topic = r.string()
		case ownMember:
			h.readOwn(r)
		default:
			r.skip()
		}
	}
	if untyped != nil && r.err == nil {
		late := newReader(untyped)
		h.readData(&late)
		r.check(late.err == nil)
	}
}

// readData reads the member data. Its own members mean the same in all types, but for
// the packet.
func (h *Header) readData(r *reader) {
	h.json = r.json
	for o := r.object(); r.next(&o); {
		switch string(o.key) {
		case "requestId":
			h.id = r.id()
		case "opts":
			h.readOptions(r)
		case "rooms":
			h.listed, h.targets = true, r.names()
		case "close":
			h.close = r.bool()
		case "clientCount":
			h.counted, h.receivers = true, r.int(maxReceivers)
		case "sockets":
			h.fetched = true
			h.readSockets(r)
		case "packet":
			if h.Type == TypeBroadcast {
				h.readPacket(r)
			} else {
				h.packet = r.skip()
			}
		default:
			r.skip()
		}
	}
}

// readPacket reads the packet of a broadcast. That has an acknowledgement id where a
// Node.js server keeps what it emits to one of its own sockets; it is of no use here.
func (h *Header) readPacket(r *reader) {
	for o := r.object(); r.next(&o); {
		switch string(o.key) {
		case "type":
			kind := packet.Type(r.int(int64(packet.BinaryAck)))
			r.check(kind == packet.Event || kind == packet.BinaryEvent)
		case "data":
			h.packet = r.skip()
			r.check(isEvent(h.packet, r.json))
		default:
			r.skip()
		}
	}
}

func (h *Header) readOptions(r *reader) {
	for o := r.object(); r.next(&o); {
		switch string(o.key) {
		case "rooms":
			// Every sender gives a list. What is none did not mean everybody.
			r.check(r.kind() == msgpack.Array)
			h.selected, h.Rooms = true, r.names()
		case "except":
			h.Except = r.names()
		case "flags":
			if r.kind() == msgpack.Map {
				h.readFlags(r)
			} else {
				r.skip()
			}
		default:
			r.skip()
		}
	}
}

func (h *Header) readSockets(r *reader) {
	h.sockets = nil
	for list := r.array(); r.next(&list); {
		s := readSocket(r)
		r.check(s.ID != "")
		h.sockets = append(h.sockets, s)
	}
}

func readSocket(r *reader) (s adapter.Socket) {
	for o := r.object(); r.next(&o); {
		switch string(o.key) {
		case "id":
			s.ID = r.id()
		case "rooms":
			s.Rooms = r.names()
		case "handshake":
			s.Handshake = r.plain()
		case "data":
			s.Data = r.plain()
		default:
			r.skip()
		}
	}
	return s
}

// isEvent says that data is an array that begins with an event's name.
func isEvent(data []byte, json bool) bool {
	if json {
		_, ok := packet.EventName(data)
		return ok
	}
	r := msgpack.NewReader(data)
	n, err := r.ArrayLen()
	kind := r.Peek()
	return err == nil && n > 0 && (kind == msgpack.String || kind == msgpack.Int)
}
