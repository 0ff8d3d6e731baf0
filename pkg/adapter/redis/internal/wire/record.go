package wire

import (
	"encoding/base64"
	"strings"

	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// A recovery record is the base64 of MessagePack:
//
//	{incarnation, sid, pid, rooms, data, nsp, node, since}
//
// Node.js writes sid, pid, rooms and data only, and ignores the others. A sealed record is
// preceded by what it begins with, so that it still begins with that.
const recordMembers = 8

// RecordPrefix returns what the values of the recovery records of an incarnation begin
// with, sealed or not, and no others. So a script in Redis can tell whose a record is
// without knowing its form.
func RecordPrefix(incarnation string) string {
	packed := append([]byte{0x80 | recordMembers}, "\xabincarnation"...)
	packed = msgpack.AppendString(packed, incarnation)
	// Three bytes are four characters. The last three are filled up with what follows.
	packed = append(packed, "\xa3sid"[:(3-len(packed)%3)%3]...)
	return base64.StdEncoding.EncodeToString(packed)
}

// OwnedPrefix is what the values of all records begin with that have an incarnation, and
// none of a Node.js server.
var OwnedPrefix = RecordPrefix("")[:16]

// EncodeRecord returns the value under which the record of a socket of topic is kept in
// the key of that name, signed for that if there is an HMAC key. First is not kept. It fails
// with adapter.ErrMalformed if the record's data is no JSON.
func EncodeRecord(hmacKey []byte, name, topic string, rec *adapter.Record) (string, error) {
	w := writer{packed: true}
	o := w.begin()
	o.text("incarnation", rec.Incarnation)
	o.text("sid", rec.SocketID)
	o.text("pid", rec.PrivateID)
	o.names("rooms", rec.Rooms)
	if len(rec.Data) == 0 {
		o.null("data")
	} else if err := o.value("data", rec.Data, nil); err != nil {
		return "", err
	}
	o.text("nsp", topic)
	o.text("node", string(rec.Node))
	o.text("since", rec.Since)
	o.end()
	value := base64.StdEncoding.AppendEncode(nil, w.out)
	if len(hmacKey) > 0 {
		value = Seal([]byte(RecordPrefix(rec.Incarnation)), hmacKey, name, value)
	}
	return string(value), nil
}

// DecodeRecord reads what EncodeRecord or a Node.js server has written, and returns the
// topic of its socket. That is empty, as Node, Incarnation and Since are, if it comes from a
// Node.js server. Binary data in such a record comes as what JSON.stringify makes of a
// Buffer, since Data is JSON: the rest of what the program has attached is worth more than a
// client that starts afresh. It fails with ErrUnsigned, and with an error that wraps
// adapter.ErrMalformed.
func DecodeRecord(hmacKey []byte, name, value string) (topic string, rec *adapter.Record, err error) {
	text, err := openRecord(hmacKey, name, value)
	if err != nil {
		return "", nil, err
	}
	packed, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return "", nil, malformed("read record")
	}
	return readRecord(packed)
}

// openRecord takes away the seal and what precedes it.
func openRecord(hmacKey []byte, name, value string) ([]byte, error) {
	if len(hmacKey) == 0 {
		return []byte(value), nil
	}
	at := max(0, strings.IndexByte(value, sealVersion)) // not a character of base64
	text, err := Open(hmacKey, name, []byte(value[at:]))
	if err != nil || !strings.HasPrefix(string(text), value[:at]) {
		return nil, ErrUnsigned
	}
	return text, nil
}

func readRecord(packed []byte) (topic string, rec *adapter.Record, err error) {
	rec = &adapter.Record{}
	r := newReader(packed)
	for o := r.object(); r.next(&o); {
		switch string(o.key) {
		case "incarnation":
			rec.Incarnation = r.id()
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
