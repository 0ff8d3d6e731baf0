package wire

import (
	"encoding/base64"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// AppendRecord appends to dst a recovery record of a socket of topic as Node.js writes
// it, the base64 of MessagePack:
//
//	{sid, pid, rooms, data, nsp, node, incarnation, since}
//
// A Node.js server leaves out what follows data, and ignores it. First is not kept. It fails with
// adapter.ErrMalformed if the record's data is no JSON.
func AppendRecord(dst []byte, topic string, rec *adapter.Record) ([]byte, error) {
	w := writer{packed: true}
	o := w.begin()
	o.text("sid", rec.SocketID)
	o.text("pid", rec.PrivateID)
	o.names("rooms", rec.Rooms)
	if len(rec.Data) == 0 {
		o.null("data")
	} else if err := o.value("data", rec.Data, nil); err != nil {
		return dst, err
	}
	o.text("nsp", topic)
	o.text("node", string(rec.Node))
	o.text("incarnation", rec.Incarnation)
	o.text("since", rec.Since)
	o.end()
	return base64.StdEncoding.AppendEncode(dst, w.out), nil
}

// ReadRecord reads a recovery record and returns the topic of its socket, which is empty,
// like Node, Incarnation and Since, if a Node.js server has written it. Binary data in such a record
// comes as what JSON.stringify makes of a Buffer, since Data is JSON: the rest of what the
// program has attached is worth more than a client that starts afresh. It fails with an
// error that wraps adapter.ErrMalformed.
func ReadRecord(value []byte) (topic string, rec *adapter.Record, err error) {
	payload, err := base64.StdEncoding.AppendDecode(nil, value)
	if err != nil {
		return "", nil, malformed("read record")
	}
	rec = &adapter.Record{}
	r := newReader(payload)
	for o := r.object(); r.next(&o); {
		switch string(o.key) {
		case "sid":
			rec.SocketID = r.id()
		case "pid":
			rec.PrivateID = r.id()
		case "rooms":
			rec.Rooms = r.names()
		case "data":
			rec.Data = r.recordData()
		case "nsp":
			topic = r.string()
		case "node":
			rec.Node = adapter.NodeID(r.id())
		case "incarnation":
			rec.Incarnation = r.id()
		case "since":
			rec.Since = r.id()
		default:
			r.skip()
		}
	}
	if r.end(); r.err != nil || rec.SocketID == "" || rec.PrivateID == "" {
		return "", nil, malformed("read record")
	}
	return topic, rec, nil
}

// recordData reads the JSON of a record's data, of which null is none.
func (r *reader) recordData() []byte {
	if data := r.plain(); string(data) != "null" {
		return data
	}
	return nil
}
