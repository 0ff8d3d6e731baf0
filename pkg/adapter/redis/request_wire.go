package redis

import (
	"slices"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// The wire form of a request is that of @socket.io/redis-adapter: an object with the
// sender's uid, a requestId if an answer is wanted, a type and what belongs to it.
//
//	{uid, requestId, type: 1}
//	{uid, type: 2 or 3, opts: {rooms, except}, rooms}
//	{uid, type: 4, opts: {rooms, except}, close}
//	{uid, requestId, type: 5, opts: {rooms, except}}
//	{uid, requestId, type: 6, data: ["event", …]}
//	{uid, requestId, type: 7, packet: {type, data, nsp}, opts: {rooms, except, flags}}
//
// It is JSON, or MessagePack with attachments and for type 7. A roomcast node adds a
// member roomcast, which Node.js ignores: it says that the answers go to the private
// channel, and all that the form has no place for.
const (
	roomcastMember  = "roomcast"
	roomcastVersion = 1
)

// actions are what the types ask for.
var actions = [...]adapter.Action{
	typeIDs:        adapter.ActionFetch,
	typeRooms:      adapter.ActionRooms,
	typeJoin:       adapter.ActionJoin,
	typeLeave:      adapter.ActionLeave,
	typeDisconnect: adapter.ActionDisconnect,
	typeFetch:      adapter.ActionFetch,
	typeEvent:      adapter.ActionEvent,
	typeCall:       adapter.ActionCall,
}

// typeOf returns the type that asks for an action. Node.js asks no longer with
// typeIDs.
func typeOf(action adapter.Action) (kind requestType, ok bool) {
	i := slices.Index(actions[typeIDs+1:], action)
	return typeIDs + 1 + requestType(i), i >= 0
}

// changes says that a request asks for no answer in the form of Node.js.
func (t requestType) changes() bool {
	return t == typeJoin || t == typeLeave || t == typeDisconnect
}

// selects says that a request has a member opts.
func (t requestType) selects() bool { return t.changes() || t == typeFetch || t == typeCall }

// appendRequest appends the wire form of a request to dst. It fails with
// ErrMalformed for an unknown action and for a packet that is no event.
func appendRequest(dst []byte, self adapter.NodeID, namespace string, r *adapter.Request) ([]byte, error) {
	kind, ok := typeOf(r.Action)
	if !ok {
		return dst, adapter.ErrMalformed
	}
	o := newObject(nil)
	if self != emitterID || !kind.changes() {
		o.text("uid", string(self))
	}
	if r.ID != "" && !kind.changes() {
		o.text("requestId", r.ID)
	}
	o.number("type", uint64(kind))
	if err := o.requested(kind, namespace, r); err != nil {
		return dst, err
	}
	if self != emitterID {
		o.object(roomcastMember, func(own *object) { own.unsaid(kind, r) })
	}
	if kind == typeCall || len(r.Packet.Attachments) > 0 {
		return append(dst, o.packed...), nil
	}
	return appendJSON(dst, o.packed)
}

// requested adds what belongs to the type.
func (o *object) requested(kind requestType, namespace string, r *adapter.Request) (err error) {
	switch kind {
	case typeEvent:
		return o.event(&r.Packet)
	case typeCall:
		o.object("packet", func(p *object) {
			p.number("type", uint64(packet.Event))
			err = p.event(&r.Packet)
			p.text("nsp", namespace)
		})
	}
	if kind.selects() {
		o.object("opts", func(opts *object) {
			opts.names("rooms", r.Rooms)
			opts.names("except", r.Except)
			if kind == typeCall {
				opts.object("flags", func(flags *object) { flags.flags(r) })
			}
		})
	}
	switch kind {
	case typeJoin, typeLeave:
		o.names("rooms", r.Targets)
	case typeDisconnect:
		o.bool("close", r.Close)
	}
	return err
}

// event adds a packet's data.
func (o *object) event(p *packet.Packet) error {
	const name = "data"
	at := len(o.packed) + 1 + len(name)
	if err := o.value(name, p.Data, p.Attachments); err != nil {
		return err
	}
	if !isEvent(o.packed[at:]) {
		return adapter.ErrMalformed
	}
	return nil
}

func (o *object) flags(r *adapter.Request) {
	if r.Volatile {
		o.bool("volatile", true)
	}
	if r.Uncompressed {
		o.bool("compress", false)
	}
	if r.Timeout > 0 {
		o.number("timeout", uint64((r.Timeout+time.Millisecond-1)/time.Millisecond))
	}
}

// unsaid adds what the form of Node.js has no place for.
func (o *object) unsaid(kind requestType, r *adapter.Request) {
	o.number("version", roomcastVersion)
	if r.Timeout > 0 {
		o.number("timeout", uint64(r.Timeout))
	}
	if r.ID != "" && kind.changes() {
		o.text("requestId", r.ID)
	}
	if r.Whole {
		o.bool("whole", true)
	}
	if r.Trace != "" {
		o.text("trace", r.Trace)
	}
	if !kind.selects() {
		if len(r.Rooms) > 0 {
			o.names("rooms", r.Rooms)
		}
		if len(r.Except) > 0 {
			o.names("except", r.Except)
		}
	}
}
