package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// hexBytes are bytes that JSON carries as hexadecimal digits.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// golden is a message of testdata/cluster.json, which testdata/make-golden.mjs makes.
type golden struct {
	Name, Form             string
	Payload                hexBytes
	Entry                  *struct{ UID, Nsp, Type, Data string }
	Sender, Namespace      string
	Type                   Type
	Action, ID, To         string
	Rooms, Except, Targets []string
	Close                  bool
	Timeout                int64
	Volatile, Uncompressed bool
	Receivers              int
	Done                   bool
	Sockets                []struct {
		ID, Handshake, Data string
		Rooms               []string
	}
	Data        string
	Attachments []hexBytes
}

func readGolden(t testing.TB) (messages, responses []golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/cluster.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Messages, Responses []golden }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Messages) == 0 || len(all.Responses) == 0 {
		t.Fatal("there are no golden messages")
	}
	return all.Messages, all.Responses
}

var goldenActions = map[string]adapter.Action{
	"call": adapter.ActionCall, "join": adapter.ActionJoin, "leave": adapter.ActionLeave,
	"disconnect": adapter.ActionDisconnect, "fetch": adapter.ActionFetch, "event": adapter.ActionEvent,
}

func (g *golden) packet(kind packet.Type) (p packet.Packet) {
	if g.Data == "" {
		return p
	}
	p = packet.Packet{Type: kind, Namespace: g.Namespace, Data: []byte(g.Data)}
	for _, a := range g.Attachments {
		p.Attachments = append(p.Attachments, a)
	}
	return p
}

// message is what the message means to a node, and what another one means by it.
func (g *golden) message() *adapter.Message {
	if g.To != "" {
		return &adapter.Message{To: adapter.NodeID(g.To), Kind: adapter.KindResponse, Response: g.response()}
	}
	p := g.packet(packet.Event)
	if g.Action == "" {
		return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
			Packet: p, Rooms: g.Rooms, Except: g.Except, Volatile: g.Volatile, Uncompressed: g.Uncompressed,
		}}
	}
	return &adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{
		Action: goldenActions[g.Action], ID: g.ID, Rooms: g.Rooms, Except: g.Except, Targets: g.Targets, Close: g.Close,
		Packet: p, Volatile: g.Volatile, Uncompressed: g.Uncompressed, Timeout: time.Duration(g.Timeout) * time.Millisecond,
	}}
}

func (g *golden) response() *adapter.Response {
	r := &adapter.Response{ID: g.ID, Receivers: g.Receivers, Done: g.Done}
	switch g.Type {
	case TypeSockets:
		r.Action = adapter.ActionFetch
	case TypeEventAnswer:
		r.Action = adapter.ActionEvent
	default:
		r.Action = adapter.ActionCall
	}
	for _, s := range g.Sockets {
		r.Sockets = append(r.Sockets, adapter.Socket{ID: s.ID, Rooms: s.Rooms, Handshake: []byte(s.Handshake), Data: []byte(s.Data)})
	}
	if g.Data != "" {
		p := g.packet(packet.Ack)
		r.Answer = &p
	}
	return r
}

func (g *golden) header() (Header, error) {
	if g.Entry != nil {
		e := Entry{UID: g.Entry.UID, Topic: g.Entry.Nsp, Type: g.Entry.Type, Data: g.Entry.Data}
		return e.Header()
	}
	return ReadHeader(g.Payload)
}

// normal is m in the form in which two messages can be compared.
func normal(t testing.TB, m *adapter.Message) string {
	t.Helper()
	c := m.Clone()
	c.From, c.To = "", ""
	text := func(list []string) []string { return append([]string{}, list...) }
	data := func(p *packet.Packet) {
		var v any
		if p.Data != nil {
			if err := json.Unmarshal(p.Data, &v); err != nil {
				t.Fatalf("%s: %v", p.Data, err)
			}
			p.Data, _ = json.Marshal(v)
		}
		if len(p.Attachments) == 0 {
			p.Attachments = nil
		}
	}
	if b := c.Broadcast; b != nil {
		b.Rooms, b.Except = text(b.Rooms), text(b.Except)
		data(&b.Packet)
	}
	if q := c.Request; q != nil {
		q.Rooms, q.Except, q.Targets = text(q.Rooms), text(q.Except), text(q.Targets)
		data(&q.Packet)
	}
	if r := c.Response; r != nil && r.Answer != nil {
		data(r.Answer)
	}
	got, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestGolden_WhatNodeJSWritesIsRead(t *testing.T) {
	messages, responses := readGolden(t)
	for _, g := range slices.Concat(messages, responses) {
		t.Run(g.Form+" "+g.Name, func(t *testing.T) {
			h, err := g.header()
			if err != nil {
				t.Fatal(err)
			}
			if h.UID != g.Sender || h.Topic != g.Namespace || h.Type != g.Type || h.Order != 0 {
				t.Errorf("got %q, %q, type %d, order %d", h.UID, h.Topic, h.Type, h.Order)
			}
			if !slices.Equal(h.Rooms, g.Rooms) || !slices.Equal(h.Except, g.Except) {
				t.Errorf("got rooms %q, except %q", h.Rooms, h.Except)
			}
			if h.FromNodeJS() != (g.Sender != string(Emitter)) || h.Calls() != (g.Action == "call") {
				t.Errorf("from Node.js: %v, a call: %v", h.FromNodeJS(), h.Calls())
			}
			got, err := h.Message()
			if err != nil {
				t.Fatal(err)
			}
			want := g.message()
			if q := want.Request; q != nil {
				q.Whole = q.Action == adapter.ActionFetch
				if q.ID != "" && q.Timeout == 0 {
					q.Timeout = 5 * time.Second
				}
			}
			if got, want := normal(t, got), normal(t, want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			g.checkSender(t, got.From)
		})
	}
}

func (g *golden) checkSender(t *testing.T, from adapter.NodeID) {
	t.Helper()
	want := adapter.NodeID(g.Sender)
	if g.Action != "" && g.Sender != string(Emitter) {
		want = adapter.NodeID("nodejs:" + strconv.Itoa(int(g.Type)) + ":" + g.Sender)
		if a, ok := ParseAsker(want); ok == g.Type.changes() || ok && (a.UID != g.Sender || a.Type != g.Type) {
			t.Errorf("%s is read as %v, %v", want, a, ok)
		}
	}
	if from != want {
		t.Errorf("it arrives from %q, want %q", from, want)
	}
}

// foreign names the golden messages of values which we do not have: a number that names
// a room, a flag that is the default, a Date, binary data of a socket.
var foreign = []string{"to a numeric room", "compressed", "binaries and odd values", "fetchSockets with a binary"}

// withoutOwn takes away the member that only roomcast nodes write.
func withoutOwn(payload []byte) []byte {
	if payload[0] == '{' {
		if at := bytes.LastIndex(payload, []byte(`,"roomcast":{`)); at > 0 {
			return append(payload[:at:at], '}')
		}
		return payload
	}
	if at := bytes.LastIndex(payload, []byte("\xa8roomcast")); at > 0 {
		payload = slices.Clone(payload[:at])
		payload[0]--
	}
	return payload
}

func TestGolden_WeWriteWhatNodeJSWrites(t *testing.T) {
	messages, responses := readGolden(t)
	for _, g := range slices.Concat(messages, responses) {
		if slices.Contains(foreign, strings.TrimPrefix(g.Name, "emitter: ")) {
			continue
		}
		t.Run(g.Form+" "+g.Name, func(t *testing.T) {
			for _, order := range []uint64{0, 1, 1 << 40} {
				if g.Entry != nil {
					g.checkEntry(t, order)
				} else {
					g.checkPayload(t, order)
				}
			}
		})
	}
}

func (g *golden) checkEntry(t *testing.T, order uint64) {
	t.Helper()
	e, err := NewEntry(adapter.NodeID(g.Sender), g.Namespace, g.message(), order)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Entry{g.Entry.UID, g.Entry.Nsp, g.Entry.Type, g.Entry.Data, e.Own}); e != want {
		t.Errorf("got  %q\nwant %q", e, want)
	}
	if wantOwn := g.Sender != string(Emitter) && (order > 0 || g.Action != ""); (e.Own != "") != wantOwn {
		t.Errorf("order %d: the own field is %q", order, e.Own)
	}
}

func (g *golden) checkPayload(t *testing.T, order uint64) {
	t.Helper()
	form := JSON
	if g.Form == "streams" {
		form = MessagePack
	}
	const before = "before"
	got, err := AppendMessage([]byte(before), form, adapter.NodeID(g.Sender), g.Namespace, g.message(), order)
	if err != nil || string(got[:len(before)]) != before {
		t.Fatalf("got %q, %v", got, err)
	}
	if got := withoutOwn(got[len(before):]); !bytes.Equal(got, g.Payload) {
		t.Errorf("got  %q\nwant %q", got, g.Payload)
	}
	h, err := ReadHeader(got[len(before):])
	if err != nil || g.To == "" && h.Order != order {
		t.Errorf("order %d is read as %d, %v", order, h.Order, err)
	}
}

func TestGolden_OwnMessagesAreMarked(t *testing.T) {
	messages, responses := readGolden(t)
	for _, g := range slices.Concat(messages, responses) {
		if g.Entry != nil {
			continue
		}
		own, other, elsewhere := NewMark(adapter.NodeID(g.Sender), g.Namespace), NewMark("00112233445566f", g.Namespace), NewMark(adapter.NodeID(g.Sender), "/else")
		if p := string(g.Payload); !own.On(p) || other.On(p) || elsewhere.On(p) {
			t.Errorf("%s %s: marked %v, %v, %v", g.Form, g.Name, own.On(p), other.On(p), elsewhere.On(p))
		}
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
