package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// seeds are messages of all kinds.
func seeds(f *testing.F) (payloads [][]byte, entries []Entry) {
	messages, responses := readGolden(f)
	for _, g := range append(messages, responses...) {
		if g.Entry != nil {
			entries = append(entries, Entry{g.Entry.UID, g.Entry.Nsp, g.Entry.Type, g.Entry.Data, `{"version":1,"n":1}`})
		} else {
			payloads = append(payloads, g.Payload)
		}
	}
	for _, m := range everything() {
		for _, form := range []Form{JSON, MessagePack} {
			payload, err := AppendMessage(nil, form, self, "/chat", m, 7)
			if err != nil {
				f.Fatal(err)
			}
			payloads = append(payloads, payload)
		}
	}
	for _, text := range hostile() {
		if len(text) < 1<<12 {
			payloads = append(payloads, []byte(text))
		}
	}
	for _, c := range incomplete {
		for _, text := range c.bad {
			payloads = append(payloads, []byte(text), repacked(f, text))
		}
	}
	return payloads, entries
}

// checkRead checks what holds for everything that was read: it fits its kind, other
// nodes could be told the same, and they would understand it.
func checkRead(t *testing.T, h *Header, err error) {
	if err != nil {
		if !errors.Is(err, adapter.ErrMalformed) {
			t.Fatalf("got %v, want ErrMalformed", err)
		}
		return
	}
	m, err := h.Message()
	if err != nil {
		if !errors.Is(err, adapter.ErrMalformed) {
			t.Fatalf("got %v, want ErrMalformed", err)
		}
		return
	}
	if m == nil || m.Kind == adapter.KindResponse || h.whole != nil {
		return
	}
	var p *packet.Packet
	switch {
	case m.Broadcast != nil:
		p = &m.Broadcast.Packet
	case m.Request.Packet.Data != nil:
		p = &m.Request.Packet
	}
	if p != nil && !skipped(bytes.ToValidUTF8(p.Data, nil)) {
		t.Fatalf("the data is no JSON: %q", p.Data)
	}
	for _, form := range []Form{JSON, MessagePack} {
		again, err := AppendMessage(nil, form, self, h.Topic, m, h.Order)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", m, err)
		}
		if _, err := ReadHeader(again); err != nil {
			t.Fatalf("%q cannot be read: %v", again, err)
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	payloads, _ := seeds(f)
	for _, payload := range payloads {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		h, err := ReadHeader(payload)
		checkRead(t, &h, err)
		if !bytes.Equal(payload, before) {
			t.Fatal("reading has changed the payload")
		}
		mark := NewMark(self, "/chat")
		if err == nil && mark.On(string(payload)) && (h.UID != string(self) || h.Topic != "/chat") {
			t.Logf("%q is taken for one's own", payload) // nobody of good will sends it
		}
	})
}

func FuzzEntryHeader(f *testing.F) {
	payloads, entries := seeds(f)
	for _, e := range entries {
		f.Add(e.UID, e.Topic, e.Type, e.Data, e.Own)
	}
	for _, payload := range payloads {
		f.Add(nodeUID, "/", "3", string(payload), "")
		f.Add(nodeUID, "/", "0", "", string(payload))
		f.Add(nodeUID, "/", "9", base64.StdEncoding.EncodeToString(payload), "")
	}
	f.Fuzz(func(t *testing.T, uid, nsp, kind, data, own string) {
		e := Entry{uid, nsp, kind, data, own}
		h, err := e.Header()
		checkRead(t, &h, err)
		_ = e.Open(key, "stream")
	})
}

func FuzzDecodeRecord(f *testing.F) {
	for _, s := range readSessions(f) {
		f.Add(s.Value)
		f.Add(RecordPrefix("") + string(Seal(nil, key, "name", []byte(s.Value))))
	}
	sealed, err := EncodeRecord(key, "name", "/", &adapter.Record{PrivateID: "p", SocketID: "s", Incarnation: "i"})
	f.Add(sealed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("gA==")
	f.Fuzz(func(t *testing.T, value string) {
		if _, _, err := DecodeRecord(key, "name", value); err != nil && !errors.Is(err, ErrUnsigned) && !errors.Is(err, adapter.ErrMalformed) {
			t.Fatalf("with a key: %v", err)
		}
		topic, rec, err := DecodeRecord(nil, "name", value)
		if err != nil {
			if !errors.Is(err, adapter.ErrMalformed) {
				t.Fatalf("got %v, want ErrMalformed", err)
			}
			return
		}
		again, err := EncodeRecord(nil, "name", topic, rec)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", rec, err)
		}
		if _, _, err := DecodeRecord(nil, "name", again); err != nil || !strings.HasPrefix(again, RecordPrefix(rec.Incarnation)) {
			t.Fatalf("%q cannot be read: %v", again, err)
		}
	})
}
