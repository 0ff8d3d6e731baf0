package wire

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Entry is a message as the fields of an entry of a stream.
type Entry struct {
	// UID is who has sent the message: field "uid".
	UID string
	// Topic is the namespace: field "nsp".
	Topic string
	// Type is a Type in decimal digits: field "type".
	Type string
	// Data is JSON, or the base64 of MessagePack where there is binary data: field "data".
	Data string
	// Own is what Node.js has no place for, or empty: field "roomcast".
	Own string
}

// NewEntry returns a message that self sends to topic through a stream: a broadcast, a
// request that changes sockets, or an emitter's event for servers. With an order that is
// not 0 it carries that number. A broadcast that Node.js has no words for is one that
// Node.js ignores.
//
// It fails with ErrNoForm for what does not belong into a stream, because it is for a
// single node or waits for answers, with adapter.ErrMalformed for a packet whose data is no
// JSON, and as Message.MarshalBinary does for what travels in that form.
func NewEntry(self adapter.NodeID, topic string, m *adapter.Message, order uint64) (Entry, error) {
	e := Entry{UID: string(self), Topic: topic}
	if m.To != "" || m.Kind != adapter.KindBroadcast && m.Kind != adapter.KindRequest {
		return Entry{}, ErrNoForm
	}
	t, err := typeOfMessage(m)
	switch {
	case err != nil && m.Kind == adapter.KindBroadcast:
		err = e.hold(m, order)
		return e, err
	case err != nil:
		return Entry{}, err
	case m.Kind == adapter.KindRequest && !t.changes() && (t != TypeEvent || self != Emitter):
		return Entry{}, ErrNoForm
	}
	e.Type = strconv.Itoa(int(t))
	if e.Data, err = entryData(t, self, topic, m); err != nil {
		return Entry{}, err
	}
	if self != Emitter && (order > 0 || m.Kind == adapter.KindRequest || traceOf(m) != "") {
		e.Own = ownField(m, order)
	}
	return e, nil
}

// entryData returns the member data. It is MessagePack where there is binary data, which
// need not be searched for: it is in attachments.
func entryData(t Type, self adapter.NodeID, topic string, m *adapter.Message) (string, error) {
	w := writer{packed: len(attachmentsOf(m)) > 0, out: make([]byte, 0, entrySize)}
	o := w.begin()
	if err := o.writeBody(t, self, topic, m); err != nil {
		return "", err
	}
	o.end()
	if w.packed {
		return base64.StdEncoding.EncodeToString(w.out), nil
	}
	return string(w.out), nil
}

// entrySize is room for the data of an ordinary entry.
const entrySize = 512

// ownField returns what roomcast nodes say, as JSON.
func ownField(m *adapter.Message, order uint64) string {
	w := writer{out: make([]byte, 0, len(`{"version":1,"n":18446744073709551615}`))}
	o := w.begin()
	o.writeMembers(m, order)
	o.end()
	return string(w.out)
}

// hold makes the entry carry a message in package adapter's own form.
func (e *Entry) hold(m *adapter.Message, order uint64) error {
	form, err := m.MarshalBinary()
	if err != nil {
		return fmt.Errorf("wire: write entry: %w", err)
	}
	w := writer{}
	o := w.begin()
	o.writeMembers(m, order)
	o.text("message", base64.StdEncoding.EncodeToString(form))
	o.end()
	e.Type, e.Own = strconv.Itoa(int(typeOwn)), string(w.out)
	return nil
}

// Header reads the entry without decoding its event. It fails with an error that wraps
// adapter.ErrMalformed for what no server or emitter of any version writes.
func (e *Entry) Header() (Header, error) {
	h := Header{UID: e.UID, Topic: e.Topic}
	t, err := strconv.ParseUint(e.Type, 10, 8)
	if err != nil || len(e.UID) > maxIDBytes {
		return h, malformed("read entry")
	}
	h.Type = Type(t)
	if e.Data != "" {
		err = h.readField(e.Data, false)
	}
	if e.Own != "" && err == nil {
		err = h.readField(e.Own, true)
	}
	return h, h.complete(err)
}

// readField reads the field data, or our own: JSON, or the base64 of MessagePack.
func (h *Header) readField(field string, own bool) error {
	payload := Bytes(field)
	if !strings.HasPrefix(field, "{") {
		var err error
		if payload, err = base64.StdEncoding.DecodeString(field); err != nil {
			return err
		}
	}
	r := newReader(payload)
	if own {
		h.readOwn(&r)
	} else {
		h.readData(&r)
	}
	r.end()
	return r.err
}
