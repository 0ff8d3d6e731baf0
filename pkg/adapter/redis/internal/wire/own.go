package wire

import (
	"encoding/base64"
	"math"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// ownMember is the member, and the field of an entry, that only roomcast nodes write.
const (
	ownMember = "roomcast"
	version   = 1
)

// unsaid is what the form of Node.js has no place for.
type unsaid struct {
	version       int64
	id            string // of a request that Node.js does not answer
	timeout       time.Duration
	whole         bool
	trace         string
	rooms, except []string // of an event for servers
	flags                  // of an event for servers
}

// flags are those of a packet.
type flags struct {
	volatile, uncompressed bool
	timeout                time.Duration // for which a Node.js server waits
}

func (f *flags) readFlags(r *reader) {
	for o := r.object(); r.next(&o); {
		f.readFlag(o.key, r)
	}
}

func (f *flags) readFlag(key []byte, r *reader) {
	switch string(key) {
	case "volatile":
		f.volatile = isTrue(r.skip())
	case "compress":
		f.uncompressed = isFalse(r.skip())
	case "timeout":
		f.timeout = r.timeout()
	default:
		r.skip()
	}
}

func (h *Header) readOwn(r *reader) {
	u := &h.unsaid
	h.own = true
	for o := r.object(); r.next(&o); {
		switch string(o.key) {
		case "version":
			u.version = r.int(math.MaxInt64)
		case "n":
			h.Order = uint64(r.int(math.MaxInt64))
		case "requestId":
			u.id = r.id()
		case "timeout":
			u.timeout = time.Duration(r.int(math.MaxInt64))
		case "whole":
			u.whole = r.bool()
		case "trace":
			u.trace = r.string()
		case "rooms":
			u.rooms = r.names()
		case "except":
			u.except = r.names()
		case "message":
			h.readWhole(r)
		default:
			u.readFlag(o.key, r)
		}
	}
}

// readWhole reads a message in package adapter's own form.
func (h *Header) readWhole(r *reader) {
	form, err := base64.StdEncoding.DecodeString(r.string())
	m := &adapter.Message{}
	if err == nil {
		err = m.UnmarshalBinary(form)
	}
	if r.check(err == nil); r.err != nil {
		return
	}
	h.whole = m
	if b := m.Broadcast; b != nil {
		h.Rooms, h.Except = b.Rooms, b.Except
	}
}

// traceOf returns the trace that m belongs to.
func traceOf(m *adapter.Message) string {
	switch {
	case m.Broadcast != nil:
		return m.Broadcast.Trace
	case m.Request != nil:
		return m.Request.Trace
	}
	return ""
}

// writeUnsaid adds the member, if there is something to say.
func (o *object) writeUnsaid(m *adapter.Message, order uint64) {
	if m.Kind == adapter.KindResponse || m.Kind == adapter.KindBroadcast && order == 0 && traceOf(m) == "" {
		return
	}
	own := o.object(ownMember)
	own.writeMembers(m, order)
	own.end()
}

func (o *object) writeMembers(m *adapter.Message, order uint64) {
	o.number("version", version)
	if order > 0 {
		o.number("n", order)
	}
	if trace := traceOf(m); trace != "" {
		o.text("trace", trace)
	}
	q := m.Request
	if m.Kind != adapter.KindRequest {
		return
	}
	kind, _ := typeOf(q.Action)
	if q.ID != "" && kind.changes() {
		o.text("requestId", q.ID)
	}
	if q.Timeout > 0 {
		o.number("timeout", uint64(q.Timeout))
	}
	if q.Whole {
		o.bool("whole", true)
	}
	if kind == TypeEvent {
		o.writeSelection(q)
	}
}

// writeSelection adds what an event for servers has no options for.
func (o *object) writeSelection(q *adapter.Request) {
	if len(q.Rooms) > 0 {
		o.names("rooms", q.Rooms)
	}
	if len(q.Except) > 0 {
		o.names("except", q.Except)
	}
	o.writeFlags(q.Volatile, q.Uncompressed, 0)
}
