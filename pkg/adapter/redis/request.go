package redis

import (
	"strconv"
	"time"

	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

// request is a received request whose event has not been decoded.
type request struct {
	envelope // its sender, options and packet
	kind     requestType
	id       string
	options  bool // it has a member opts
	listed   bool // it has a member rooms
	rooms    []string
	close    bool
	sid      string        // what older versions have instead of opts
	room     string        // and instead of rooms
	roomed   bool          // it has a member room
	timeout  time.Duration // for which Node.js waits
	own      *unsaid       // nil unless a roomcast node has sent it
}

// unsaid is the member that only roomcast nodes write.
type unsaid struct {
	version       int64
	timeout       time.Duration
	id            string
	whole         bool
	rooms, except []string
	trace         string
}

// readRequest reads a request. It returns nil for this node's own.
func (c *classic) readRequest(a bus.Arrival) (*adapter.Message, error) {
	q, err := parseRequest([]byte(a.Payload))
	if err != nil {
		return nil, err
	}
	if q.from == string(c.self) {
		return nil, nil
	}
	if q.kind == typeCall && !sameNamespace(q.namespace, c.topic) {
		return nil, errForeign
	}
	r, err := q.request(c.topic)
	if err != nil {
		return nil, err
	}
	m := &adapter.Message{From: q.sender(), Kind: adapter.KindRequest, Request: r}
	if _, foreign := parseAsker(m.From); foreign {
		c.adapter.nodeJSHeard()
	}
	if q.kind == typeCall && q.own == nil {
		c.calls.begin(call{m.From, r.ID})
	}
	return m, nil
}

// parseRequest reads all but the event, and checks that nothing is missing.
func parseRequest(payload []byte) (*request, error) {
	q := &request{kind: typeMissing}
	if err := readObject(payload, q.member); err != nil {
		return nil, err
	}
	if !q.complete() {
		return nil, adapter.ErrMalformed
	}
	return q, nil
}

func (q *request) member(key []byte, r *msgpack.Reader) (err error) {
	switch string(key) {
	case "uid":
		q.from, err = readID(r)
	case "requestId":
		q.id, err = readID(r)
	case "type":
		var kind int64
		kind, err = r.Int()
		q.kind = requestType(kind)
	case "opts":
		q.options = true
		err = readMap(r, q.optionsMember)
	case "rooms":
		q.listed = true
		q.rooms, err = readNames(r)
	case "close":
		q.close, err = readBool(r)
	case "data":
		err = q.readEvent(r)
	case "packet":
		err = readMap(r, q.packetMember)
	case "sid":
		q.sid, err = readID(r)
	case "room":
		var room []byte
		room, err = r.Text()
		q.roomed, q.room = true, string(room)
	case roomcastMember:
		q.own = &unsaid{}
		err = readMap(r, q.own.member)
	default:
		_, err = r.Skip()
	}
	return err
}

func (q *request) optionsMember(key []byte, r *msgpack.Reader) error {
	if string(key) == "flags" && r.Peek() == msgpack.Map {
		return readMap(r, q.flag)
	}
	return q.envelope.optionsMember(key, r)
}

func (q *request) flag(key []byte, r *msgpack.Reader) error {
	if string(key) != "timeout" {
		return q.envelope.flag(key, r)
	}
	value, err := r.Skip()
	if err == nil {
		q.timeout = readTimeout(value)
	}
	return err
}

func (u *unsaid) member(key []byte, r *msgpack.Reader) (err error) {
	switch string(key) {
	case "version":
		u.version, err = r.Int()
	case "timeout":
		var timeout int64
		timeout, err = r.Int()
		u.timeout = max(0, time.Duration(timeout))
	case "requestId":
		u.id, err = readID(r)
	case "whole":
		u.whole, err = readBool(r)
	case "trace":
		var trace []byte
		trace, err = r.Text()
		u.trace = string(trace)
	case "rooms":
		u.rooms, err = readNames(r)
	case "except":
		u.except, err = readNames(r)
	default:
		_, err = r.Skip()
	}
	return err
}

// complete says whether the request has all that its type needs.
func (q *request) complete() bool {
	if own := q.own; own != nil && (own.version != roomcastVersion || q.from == "") {
		return false
	}
	answerable := q.id != "" || q.own != nil
	switch q.kind {
	case typeIDs:
		return answerable && q.listed
	case typeRooms:
		return answerable
	case typeFetch:
		return answerable && q.selected
	case typeJoin, typeLeave:
		if !q.options {
			return q.sid != "" && q.roomed
		}
		return q.selected && q.listed
	case typeDisconnect:
		return q.selected || !q.options && q.sid != ""
	case typeEvent:
		return q.data != nil
	case typeCall:
		return answerable && q.selected && q.data != nil
	}
	return false
}

// sender returns who has sent the request.
func (q *request) sender() adapter.NodeID {
	if q.own != nil || q.from == string(emitterID) {
		return adapter.NodeID(q.from)
	}
	if q.from == "" && q.id == "" { // emitters say who they are with type 6 only
		return emitterID
	}
	return asker{kind: q.kind, uid: q.from}.id()
}

// request decodes the event.
func (q *request) request(namespace string) (*adapter.Request, error) {
	b := &q.broadcast
	r := &adapter.Request{
		ID: q.id, Action: actions[q.kind], Rooms: b.Rooms, Except: b.Except, Close: q.close, Timeout: q.timeout,
		Volatile: b.Volatile, Uncompressed: b.Uncompressed, Whole: actions[q.kind] == adapter.ActionFetch,
	}
	switch {
	case q.kind == typeIDs:
		r.Rooms = q.rooms
	case q.kind.changes() && !q.options:
		r.Rooms = []string{q.sid}
		if q.roomed {
			r.Targets = []string{q.room}
		}
	case q.kind.changes():
		r.ID, r.Targets = "", q.rooms // Node.js does not answer what has options
	}
	if q.own == nil { // Node.js heeds no flags here, so its programs may set any
		r.Volatile, r.Uncompressed = false, false
	}
	if own := q.own; own != nil {
		r.Timeout, r.Whole, r.Trace = own.timeout, own.whole, own.trace
		if q.kind.changes() {
			r.ID = own.id
		}
		if !q.kind.selects() {
			r.Rooms, r.Except = own.rooms, own.except
		}
	}
	var err error
	if q.kind == typeEvent || q.kind == typeCall {
		r.Packet, err = q.packet(namespace)
	}
	return r, err
}

// maxTimeout is the longest time that JavaScript can wait.
const maxTimeout = (1<<31 - 1) * time.Millisecond

// readTimeout reads a number of milliseconds. What is none is no timeout.
func readTimeout(packed []byte) time.Duration {
	r := msgpack.NewReader(packed)
	if kind := r.Peek(); kind != msgpack.Int && kind != msgpack.Float {
		return 0
	}
	text, _ := r.Text()
	ms, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(ms > 0) {
		return 0
	}
	return time.Duration(min(ms, float64(maxTimeout/time.Millisecond)) * float64(time.Millisecond))
}
