package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

const self adapter.NodeID = "0190c0de-0000-7000-8000-000000000001"

func event(data string, attachments ...[]byte) packet.Packet {
	return packet.Packet{Type: packet.Event, Namespace: "/chat", Data: []byte(data), Attachments: attachments}
}

func broadcast(p packet.Packet, rooms ...string) *adapter.Message {
	return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: p, Rooms: rooms}}
}

func request(q adapter.Request) *adapter.Message {
	return &adapter.Message{Kind: adapter.KindRequest, Request: &q}
}

func answer(to adapter.NodeID, r adapter.Response) *adapter.Message {
	return &adapter.Message{To: to, Kind: adapter.KindResponse, Response: &r}
}

const binaryEvent = `["e",{"deep":[{"_placeholder":true,"num":0}]}]`

// everything is what roomcast nodes say to each other in the form of Node.js.
func everything() map[string]*adapter.Message {
	selected := adapter.Request{Rooms: []string{"a", "b\"\\é"}, Except: []string{"c"}, ID: "id", Timeout: 1500*time.Millisecond + 1}
	with := func(action adapter.Action, change func(*adapter.Request)) *adapter.Message {
		q := selected
		q.Action = action
		change(&q)
		return request(q)
	}
	return map[string]*adapter.Message{
		"a broadcast":           broadcast(event(`["e",1]`)),
		"a broadcast to rooms":  broadcast(event(`["e",{"a":"é\u0000"}]`), "a", "b"),
		"a binary broadcast":    broadcast(event(binaryEvent, []byte{1, 2, 3})),
		"a volatile broadcast":  {Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: event(`["e"]`), Volatile: true}},
		"a plain broadcast":     {Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: event(`["e"]`), Uncompressed: true}},
		"a traced broadcast":    {Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: event(`["e"]`), Trace: "00-\"uid\":\n-01"}},
		"a traced join":         with(adapter.ActionJoin, func(q *adapter.Request) { q.Targets, q.Trace = []string{"x"}, "00-1" }),
		"a traced call":         with(adapter.ActionCall, func(q *adapter.Request) { q.Packet, q.Trace = event(`["e",1]`), "00-2" }),
		"a join":                with(adapter.ActionJoin, func(q *adapter.Request) { q.Targets = []string{"x", "y"} }),
		"a leave":               with(adapter.ActionLeave, func(q *adapter.Request) { q.Targets, q.ID, q.Timeout = []string{"x"}, "", 0 }),
		"a disconnection":       with(adapter.ActionDisconnect, func(q *adapter.Request) { q.Close = true }),
		"a fetch":               with(adapter.ActionFetch, func(q *adapter.Request) { q.Whole = true }),
		"a fetch in parts":      with(adapter.ActionFetch, func(*adapter.Request) {}),
		"an event for servers":  with(adapter.ActionEvent, func(q *adapter.Request) { q.Packet = event(`["e",1]`) }),
		"a silent event":        with(adapter.ActionEvent, func(q *adapter.Request) { q.Packet, q.ID, q.Volatile, q.Uncompressed = event(`["e"]`), "", true, true }),
		"a binary server event": with(adapter.ActionEvent, func(q *adapter.Request) { q.Packet = event(binaryEvent, []byte{}) }),
		"a call":                with(adapter.ActionCall, func(q *adapter.Request) { q.Packet, q.Volatile = event(`["e",1]`), true }),
		"a binary call":         with(adapter.ActionCall, func(q *adapter.Request) { q.Packet, q.Uncompressed = event(binaryEvent, []byte{9}), true }),
	}
}

func TestMessage_RoomcastNodesLoseNothing(t *testing.T) {
	for name, want := range everything() {
		for _, form := range []Form{JSON, MessagePack} {
			for _, order := range []uint64{0, 7} {
				payload, err := AppendMessage(nil, form, self, "/chat", want, order)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				h, err := ReadHeader(payload)
				if err != nil {
					t.Fatalf("%s: %q: %v", name, payload, err)
				}
				checkOwn(t, name, &h, want, order)
				if mark := NewMark(self, "/chat"); !mark.On(string(payload)) {
					t.Errorf("%s: %q is not known as one's own", name, payload)
				}
			}
		}
	}
}

func checkOwn(t *testing.T, name string, h *Header, want *adapter.Message, order uint64) {
	t.Helper()
	if h.Topic != "/chat" || h.Order != order || h.From() != self || h.FromNodeJS() {
		t.Errorf("%s: got topic %q, order %d, from %q", name, h.Topic, h.Order, h.From())
	}
	got, err := h.Message()
	if err != nil || got.From != self {
		t.Fatalf("%s: from %q, %v", name, got.From, err)
	}
	if got, want := normal(t, got), normal(t, want); got != want {
		t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
	}
}

func TestEntry_RoomcastNodesLoseNothing(t *testing.T) {
	for name, want := range everything() {
		for _, order := range []uint64{0, 7} {
			e, err := NewEntry(self, "/chat", want, order)
			if q := want.Request; q != nil && q.Targets == nil && q.Action != adapter.ActionDisconnect {
				if !errors.Is(err, ErrNoForm) {
					t.Errorf("%s does not belong into a stream: %v", name, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			h, err := e.Header()
			if err != nil {
				t.Fatalf("%s: %q: %v", name, e, err)
			}
			checkOwn(t, name, &h, want, order)
		}
	}
}

// unspeakable is what Node.js has no words for.
func unspeakable() map[string]*adapter.Message {
	acked := event(`["e"]`)
	acked.ID, acked.HasID = 3, true
	ack := event(`[1]`)
	ack.Type = packet.Ack
	addressed := broadcast(event(`["e"]`))
	addressed.To = "other"
	asked := request(adapter.Request{Action: adapter.ActionFetch, ID: "id"})
	asked.To = "other"
	return map[string]*adapter.Message{
		"an acknowledgement id":        broadcast(acked),
		"an acknowledgement":           broadcast(ack),
		"no data":                      broadcast(packet.Packet{Type: packet.Event}),
		"an object":                    broadcast(event(`{"a":1}`)),
		"no name":                      broadcast(event(`[]`)),
		"a name that is none":          broadcast(event(`[{}]`)),
		"one node alone":               addressed,
		"a request to one node":        asked,
		"a heartbeat":                  {Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{}},
		"a goodbye":                    {Kind: adapter.KindGoodbye},
		"rooms":                        request(adapter.Request{Action: adapter.ActionRooms, ID: "id"}),
		"a release":                    request(adapter.Request{Action: adapter.ActionRelease, ID: "id"}),
		"a call without an id":         request(adapter.Request{Action: adapter.ActionCall, Packet: event(`["e"]`)}),
		"a fetch without an id":        request(adapter.Request{Action: adapter.ActionFetch}),
		"a call without an event":      request(adapter.Request{Action: adapter.ActionCall, ID: "id"}),
		"a response to a roomcast one": answer("other", adapter.Response{ID: "id"}),
		"a response to a change":       answer("nodejs:4:00112233445566ff", adapter.Response{ID: "id"}),
		"nothing":                      {Kind: adapter.KindBroadcast},
	}
}

func TestMessage_WhatNodeJSCannotSayHasNoForm(t *testing.T) {
	for name, m := range unspeakable() {
		got, err := AppendMessage([]byte("x"), JSON, self, "/", m, 1)
		if !errors.Is(err, ErrNoForm) || string(got) != "x" {
			t.Errorf("%s: got %q, %v, want ErrNoForm", name, got, err)
		}
	}
}

func TestEntry_BroadcastsThatNodeJSCannotSayAreForRoomcastNodes(t *testing.T) {
	for name, m := range unspeakable() {
		e, err := NewEntry(self, "/chat", m, 5)
		if m.Kind != adapter.KindBroadcast || m.Broadcast == nil || m.To != "" {
			if !errors.Is(err, ErrNoForm) && !errors.Is(err, adapter.ErrMalformed) {
				t.Errorf("%s: got %q, %v, want ErrNoForm", name, e, err)
			}
			continue
		}
		if err != nil || e.Type != "0" || e.Data != "" {
			t.Fatalf("%s: got %q, %v", name, e, err)
		}
		h, err := e.Header()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkOwn(t, name, &h, m, 5)
	}
	p := event(`["e"]`)
	p.HasID = true
	m := broadcast(p, "a")
	m.Broadcast.Except = []string{"b"}
	e, err := NewEntry(self, "/chat", m, 0)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := e.Header(); err != nil || !slices.Equal(h.Rooms, []string{"a"}) || !slices.Equal(h.Except, []string{"b"}) {
		t.Errorf("got rooms %q, except %q, %v", h.Rooms, h.Except, err)
	}
}

func TestMessage_DataThatIsNoJSONIsNotWritten(t *testing.T) {
	for _, data := range []string{
		`["e"`, `["e"],"uid":"forged"`, `["e",]`, `["e",01]`, `["e","\x"]`, `["e"] x`, "[\"e\"]\x00", `["e",nul]`, `["e",{"a"}]`, "[\"e\",\"\n\"]",
		`["e",` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + `]`,
	} {
		for _, form := range []Form{JSON, MessagePack} {
			got, err := AppendMessage([]byte("x"), form, self, "/", broadcast(event(data)), 0)
			if !errors.Is(err, adapter.ErrMalformed) || string(got) != "x" {
				t.Errorf("form %d, %.40q: got %.80q, %v, want ErrMalformed", form, data, got, err)
			}
		}
		if e, err := NewEntry(self, "/", broadcast(event(data)), 0); !errors.Is(err, adapter.ErrMalformed) {
			t.Errorf("%.40q: got %q, %v, want ErrMalformed", data, e, err)
		}
	}
	for _, socket := range []adapter.Socket{{ID: "a", Data: []byte(`{`)}, {ID: "a", Handshake: []byte(`}`)}} {
		m := answer("nodejs:7:00112233445566ff", adapter.Response{ID: "id", Sockets: []adapter.Socket{{ID: "b"}, socket, {ID: "c"}}})
		if _, err := AppendMessage(nil, JSON, self, "/", m, 0); !errors.Is(err, adapter.ErrMalformed) {
			t.Errorf("%v: got %v, want ErrMalformed", socket, err)
		}
	}
	bad := packet.Packet{Type: packet.Ack, Data: []byte(`{`)}
	if _, err := AppendMessage(nil, JSON, self, "/", answer("nodejs:9:00112233445566ff", adapter.Response{Answer: &bad}), 0); !errors.Is(err, adapter.ErrMalformed) {
		t.Errorf("an answer without arguments: got %v, want ErrMalformed", err)
	}
}

func TestMessage_InvalidUTF8IsReplaced(t *testing.T) {
	for _, form := range []Form{JSON, MessagePack} {
		payload, err := AppendMessage(nil, form, self, "/", broadcast(event("[\"e\",\"a\xffb\"]"), "r\xff"), 0)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader(payload)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := h.Message(); err != nil || !sameJSON(m.Broadcast.Packet.Data, []byte("[\"e\",\"a\uFFFDb\"]")) {
			t.Errorf("form %d: got %v, %v", form, m, err)
		}
	}
}

func TestResponse_OnlyTheFirstArgumentIsForNodeJS(t *testing.T) {
	for _, c := range []struct {
		form       Form
		data, want string
	}{
		{JSON, `[]`, `{"type":10,"data":{"requestId":"id"},"uid":"n","nsp":"/"}`},
		{JSON, `[1,2]`, `{"type":10,"data":{"requestId":"id","packet":1},"uid":"n","nsp":"/"}`},
		{MessagePack, `[]`, "\x84\xa4type\x0a\xa4data\x82\xa9requestId\xa2id\xa6packet\xc0\xa3uid\xa1n\xa3nsp\xa1/"},
		{MessagePack, `[1,2]`, "\x84\xa4type\x0a\xa4data\x82\xa9requestId\xa2id\xa6packet\x01\xa3uid\xa1n\xa3nsp\xa1/"},
	} {
		p := packet.Packet{Type: packet.Ack, Data: []byte(c.data)}
		got, err := AppendMessage(nil, c.form, "n", "/", answer("nodejs:9:00112233445566ff", adapter.Response{ID: "id", Answer: &p}), 3)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.data, got, err, c.want)
		}
	}
}

func TestNodeJS_IdsHaveAForm(t *testing.T) {
	for uid, want := range map[string][2]bool{
		"00112233445566ff": {true, false}, "00112233445566fF": {}, "00112233445566f": {}, "00112233445566ff0": {}, "00112233445566fg": {},
		"aZ09-_": {false, true}, "aZ09-": {}, "aZ09-_x": {}, "aZ09-+": {}, "aZ09-[": {}, "": {}, string(self): {}, string(Emitter): {},
	} {
		if got := [2]bool{NodeJS(uid), ClassicNodeJS(uid)}; got != want {
			t.Errorf("%q: got %v, want %v", uid, got, want)
		}
	}
	for _, id := range []adapter.NodeID{"", "nodejs", "nodejs:", "nodejs:7", "nodejs:7x", "nodejs:x:a", "nodejs:4:a", "nodejs:0:a", "other:7:a", "00112233445566ff"} {
		if a, ok := ParseAsker(id); ok {
			t.Errorf("%q was taken for %v", id, a)
		}
	}
	if a, ok := ParseAsker(Asker{TypeFetch, "a:b"}.ID()); !ok || a != (Asker{TypeFetch, "a:b"}) {
		t.Errorf("got %v, %v", a, ok)
	}
}

func TestMark_TextThatLooksLikeASenderIsNone(t *testing.T) {
	mark := NewMark(self, "/chat")
	forged := event(`["e",{"a":1,"uid":"` + string(self) + `","nsp":"/chat","roomcast":{"version":1}}]`)
	quoted := event(`["e","{\"uid\":\"` + string(self) + `\",\"nsp\":\"/chat\"}"]`)
	inside := event(binaryEvent, []byte("\xa3uid\xd9\x24"+string(self)+"\xa3nsp\xa5/chat"))
	for name, p := range map[string]packet.Packet{"an object": forged, "a string": quoted, "a binary": inside} {
		for _, form := range []Form{JSON, MessagePack} {
			for from, want := range map[adapter.NodeID]bool{"other": false, self: true} {
				payload, err := AppendMessage(nil, form, from, "/chat", broadcast(p), 9)
				if err != nil {
					t.Fatal(err)
				}
				if got := mark.On(string(payload)); got != want {
					t.Errorf("%s from %q: got %v", name, from, got)
				}
			}
		}
	}
	for _, payload := range []string{"", "{", "{}", `{"a":1,"uid":"`, "\xa3uid", "\x80", mark.json, `{"a":1` + mark.json, `{"a":1` + mark.json + `,"x":1}`, `{"a":1` + mark.json + `}}`} {
		if mark.On(payload) {
			t.Errorf("%q is taken for one's own", payload)
		}
	}
}
