package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/packet"
)

// goldenRequest is one of testdata/requests.json, which testdata/make-requests.mjs
// makes.
type goldenRequest struct {
	Name, Channel          string
	Payload                hexBytes
	Sender                 string
	Type                   requestType
	ID, Action             string
	Rooms, Except, Targets []string
	Close                  bool
	Timeout                int // milliseconds
	Volatile, Uncompressed bool
	Data                   string
	Attachments            []hexBytes
}

func readRequests(t testing.TB) (all struct {
	Requests  []goldenRequest
	Responses []goldenResponse
}) {
	t.Helper()
	text, err := os.ReadFile("testdata/requests.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func (g *goldenRequest) namespace() string {
	return strings.TrimSuffix(strings.TrimPrefix(g.Channel, "socket.io-request#"), "#")
}

func (g *goldenRequest) request() *adapter.Request {
	r := &adapter.Request{
		ID: g.ID, Rooms: some(g.Rooms), Except: some(g.Except), Targets: some(g.Targets), Close: g.Close,
		Volatile: g.Volatile, Uncompressed: g.Uncompressed, Timeout: time.Duration(g.Timeout) * time.Millisecond,
	}
	r.Action = map[string]adapter.Action{
		"join": adapter.ActionJoin, "leave": adapter.ActionLeave, "disconnect": adapter.ActionDisconnect,
		"fetch": adapter.ActionFetch, "rooms": adapter.ActionRooms, "event": adapter.ActionEvent, "call": adapter.ActionCall,
	}[g.Action]
	r.Whole = r.Action == adapter.ActionFetch
	if g.Data != "" {
		r.Packet = packetOf(packet.Event, g.namespace(), g.Data, g.Attachments)
	}
	return r
}

func packetOf(kind packet.Type, namespace, data string, attachments []hexBytes) packet.Packet {
	p := packet.Packet{Type: kind, Namespace: namespace, Data: []byte(data)}
	for _, a := range attachments {
		p.Attachments = append(p.Attachments, a)
	}
	return p
}

// some makes an empty list nil, as decoding does.
func some[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// open gives l a message of its requests' channel.
func openAsRequest(l *classic, payload string) (*adapter.Message, error) {
	return l.open(bus.Arrival{Kind: routeRequests, Channel: l.asked, Payload: payload})
}

func TestRequest_ReadsWhatNodeSends(t *testing.T) {
	for _, g := range readRequests(t).Requests {
		from := adapter.NodeID(fmt.Sprintf("nodejs:%d:%s", g.Type, g.Sender))
		if g.Sender == "emitter" {
			from = "emitter"
		}
		want := &adapter.Message{From: from, Kind: adapter.KindRequest, Request: g.request()}
		want.Request.Volatile, want.Request.Uncompressed = false, false // as in Node.js, which sends them and heeds none
		got, err := openAsRequest(idleLink(g.namespace()), string(g.Payload))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", g.Name, got, err, want)
		}
	}
}

func TestRequest_WritesByteForByteWhatNodeWrites(t *testing.T) {
	for _, g := range readRequests(t).Requests {
		l, o := idleLink(g.namespace()), newOutgoing()
		l.self = adapter.NodeID(g.Sender)
		if err := l.encode(o, &adapter.Message{Kind: adapter.KindRequest, Request: g.request()}); err != nil || o.Channel != g.Channel {
			t.Errorf("%s: got channel %q, %v", g.Name, o.Channel, err)
			continue
		}
		got := o.Body
		if g.Sender != "emitter" {
			got = withoutOurs(t, o.Body)
		}
		if !bytes.Equal(got, g.Payload) {
			t.Errorf("%s: got %q, want %q", g.Name, got, []byte(g.Payload))
		}
	}
}

// withoutOurs cuts off the member that Node.js ignores, which must be the last one.
func withoutOurs(t *testing.T, body []byte) []byte {
	t.Helper()
	if body[0] == '{' {
		head, ours, ok := bytes.Cut(body, []byte(`,"roomcast":`))
		if !ok || !json.Valid(ours[:len(ours)-1]) {
			t.Errorf("%q: the last member is not ours", body)
		}
		return append(bytes.Clone(head), '}')
	}
	head, ours, ok := bytes.Cut(body, []byte("\xa8roomcast"))
	if r := msgpack.NewReader(ours); ok {
		if _, err := r.Skip(); err != nil || r.Len() != 0 {
			t.Errorf("%q: the last member is not ours", body)
		}
	}
	head = bytes.Clone(head)
	head[0]--
	return head
}

func TestRequest_RoomcastNodesTellEachOtherEverything(t *testing.T) {
	event := packet.Packet{Type: packet.Event, Namespace: "/a", Data: []byte(`["e",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}}
	plain := packet.Packet{Type: packet.Event, Namespace: "/a", Data: []byte(`["e",{"n":1.5}]`)}
	rooms, except, targets := []string{"r", "s"}, []string{"x"}, []string{"t", "é"}
	const odd = 1234567890123 * time.Nanosecond
	for _, want := range []adapter.Request{
		{ID: "1", Action: adapter.ActionJoin, Rooms: rooms, Except: except, Targets: targets, Timeout: odd},
		{ID: "1", Action: adapter.ActionLeave, Rooms: rooms, Except: except, Targets: targets, Timeout: time.Nanosecond},
		{Action: adapter.ActionJoin, Targets: targets},
		{ID: "1", Action: adapter.ActionDisconnect, Rooms: rooms, Except: except, Close: true, Timeout: odd},
		{Action: adapter.ActionDisconnect},
		{ID: "1", Action: adapter.ActionFetch, Rooms: rooms, Except: except, Timeout: odd},
		{ID: "1", Action: adapter.ActionFetch, Whole: true},
		{Action: adapter.ActionFetch},
		{ID: "1", Action: adapter.ActionRooms, Rooms: rooms, Except: except, Timeout: odd},
		{Action: adapter.ActionRooms},
		{ID: "1", Action: adapter.ActionEvent, Packet: plain, Timeout: odd},
		{ID: "1", Action: adapter.ActionEvent, Packet: event, Rooms: rooms, Except: except},
		{Action: adapter.ActionEvent, Packet: event},
		{ID: strings.Repeat("i", maxIDBytes), Action: adapter.ActionCall, Packet: event, Rooms: rooms, Except: except, Volatile: true, Uncompressed: true, Timeout: odd},
		{ID: "1", Action: adapter.ActionCall, Packet: plain, Timeout: 1<<63 - 1},
		{Action: adapter.ActionCall, Packet: plain},
		{ID: "1", Action: adapter.ActionCall, Packet: plain, Trace: "00-1"},
		{Action: adapter.ActionEvent, Packet: plain, Trace: "00-2"},
	} {
		o, peer := newOutgoing(), idleLink("/a")
		peer.self = "peer"
		if err := peer.encode(o, &adapter.Message{Kind: adapter.KindRequest, Request: &want}); err != nil {
			t.Fatal(err)
		}
		got, err := openAsRequest(idleLink("/a"), string(o.Body))
		if err != nil || got.From != "peer" || !reflect.DeepEqual(got.Request, &want) {
			t.Errorf("%q:\ngot  %+v, %v\nwant %+v", o.Body, got, err, &want)
		}
		if m, err := openAsRequest(peer, string(o.Body)); m != nil || err != nil {
			t.Errorf("%q: its sender got %v, %v", o.Body, m, err)
		}
	}
}

func TestRequest_NodeGetsMillisecondsThatAreNotTooShort(t *testing.T) {
	o := newObject(nil)
	o.flags(&adapter.Request{Timeout: 1500*time.Microsecond + 1})
	if got := string(o.packed); got != "\x81\xa7timeout\x02" {
		t.Errorf("got %q", got)
	}
}

func TestRequest_ReadsOlderForms(t *testing.T) {
	for payload, want := range map[string]*adapter.Message{
		`{"uid":"u","requestId":"r","type":0,"rooms":["a",5]}`: {From: "nodejs:0:u", Request: &adapter.Request{
			ID: "r", Action: adapter.ActionFetch, Rooms: []string{"a", "5"}, Whole: true}},
		`{"requestId":"r","type":0,"rooms":[]}`: {From: "nodejs:0:", Request: &adapter.Request{
			ID: "r", Action: adapter.ActionFetch, Whole: true}},
		`{"requestId":"r","type":2,"sid":"s","room":"x"}`: {From: "nodejs:2:", Request: &adapter.Request{
			ID: "r", Action: adapter.ActionJoin, Rooms: []string{"s"}, Targets: []string{"x"}}},
		`{"uid":"u","requestId":"r","type":3,"sid":"s","room":7}`: {From: "nodejs:3:u", Request: &adapter.Request{
			ID: "r", Action: adapter.ActionLeave, Rooms: []string{"s"}, Targets: []string{"7"}}},
		`{"uid":"u","requestId":"r","type":4,"sid":"s","close":true}`: {From: "nodejs:4:u", Request: &adapter.Request{
			ID: "r", Action: adapter.ActionDisconnect, Rooms: []string{"s"}, Close: true}},
		`{"type":2,"opts":{"rooms":["a"]},"rooms":["x"]}`: {From: "emitter", Request: &adapter.Request{
			Action: adapter.ActionJoin, Rooms: []string{"a"}, Targets: []string{"x"}}},
	} {
		want.Kind = adapter.KindRequest
		if got, err := openAsRequest(idleLink("/"), payload); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", payload, got, err, want)
		}
	}
}

func TestRequest_ToleratesWhatOtherProgramsMaySay(t *testing.T) {
	for name, payload := range map[string]string{
		"unknown members":       `{"uid":"u","new":[{"a":1}],"requestId":"r","type":1,"opts":{"rooms":[],"new":1}}`,
		"spaces":                "{ \"uid\" : \"u\" ,\n\"requestId\":\"r\", \"type\": 1 }",
		"nil where undefined":   `{"uid":"u","requestId":"r","type":5,"opts":{"rooms":null,"except":null,"flags":null},"close":null}`,
		"MessagePack":           "\x83\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x01",
		"another order":         `{"type":1,"requestId":"r","uid":"u"}`,
		"a timeout of nothing":  "\x85\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x07\xa6packet" + goodPacket + "\xa4opts\x82\xa5rooms\x90\xa5flags\x81\xa7timeout\xc0",
		"a timeout of halves":   "\x85\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x07\xa6packet" + goodPacket + "\xa4opts\x82\xa5rooms\x90\xa5flags\x81\xa7timeout\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00",
		"a timeout of ages":     "\x85\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x07\xa6packet" + goodPacket + "\xa4opts\x82\xa5rooms\x90\xa5flags\x81\xa7timeout\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
		"a timeout of the past": "\x85\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x07\xa6packet" + goodPacket + "\xa4opts\x82\xa5rooms\x90\xa5flags\x81\xa7timeout\xff",
		"no namespace inside":   "\x85\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x07\xa6packet\x82\xa4type\x02\xa4data\x91\xa1e\xa4opts\x81\xa5rooms\x90",
	} {
		timeouts := map[string]time.Duration{"a timeout of halves": 500 * time.Microsecond, "a timeout of ages": maxTimeout}
		m, err := openAsRequest(idleLink("/"), payload)
		if err != nil || m.Request.ID != "r" || m.Request.Timeout != timeouts[name] || !strings.HasSuffix(string(m.From), ":u") {
			t.Errorf("%s: got %+v, %v", name, m, err)
		}
	}
}

// hostileObjects are messages that neither requests nor responses can be.
func hostileObjects() map[string]string {
	return map[string]string{
		"empty":                    "",
		"random bytes":             "\xde\xad\xbe\xef\x00\xff\x13\x37",
		"text":                     "hello",
		"a brace":                  "{",
		"broken JSON":              `{"uid":"u","requestId":"r","type":1`,
		"JSON and more":            `{"uid":"u","requestId":"r","type":1}{}`,
		"a key without value":      `{"uid":}`,
		"nested JSON":              `{"uid":"u","requestId":"r","type":1,"x":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + "}",
		"unclosed JSON":            strings.Repeat(`{"a":`, 200_000),
		"a list":                   "\x93\xa1a\x01\xc0",
		"a map of billions":        "\xdf\xff\xff\xff\xff\xa3uid",
		"a list of billions":       "\xdd\xff\xff\xff\xff\xa3uid",
		"a string of billions":     "\x81\xa3uid\xdb\xff\xff\xff\xffx",
		"an extension of billions": "\x81\xa1x\xc9\xff\xff\xff\xff\x05",
		"rooms of billions":        "\x83\xa9requestId\xa1r\xa4type\x00\xa5rooms\xdd\xff\xff\xff\xff",
		"nested maps":              strings.Repeat("\x81\xa1a", 200_000) + "\xc0",
		"MessagePack and more":     "\x83\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x01\xc0",
		"a key that is a list":     "\x81\x90\x01",
		"the id is a number":       `{"uid":"u","requestId":7,"type":1,"rooms":[]}`,
		"the id is a list":         `{"uid":"u","requestId":["r"],"type":1,"rooms":[]}`,
		"the id is endless":        `{"uid":"u","requestId":"` + strings.Repeat("r", maxIDBytes+1) + `","type":1,"rooms":[]}`,
		"the type is text":         `{"uid":"u","requestId":"r","type":"1","rooms":[]}`,
		"the type is a fraction":   `{"uid":"u","requestId":"r","type":1.5,"rooms":[]}`,
		"the type is unknown":      `{"uid":"u","requestId":"r","type":10,"rooms":[]}`,
		"the type is negative":     `{"uid":"u","requestId":"r","type":-2,"rooms":[]}`,
		"the type wraps around":    `{"uid":"u","requestId":"r","type":4294967297,"rooms":[]}`,
		"rooms is text":            `{"uid":"u","requestId":"r","type":0,"rooms":"a"}`,
		"rooms of lists":           `{"uid":"u","requestId":"r","type":0,"rooms":[[]]}`,
		"rooms of millions":        "\x83\xa9requestId\xa1r\xa4type\x00\xa5rooms\xdd\x00\x10\x00\x01" + strings.Repeat("\xa0", 1<<20+1),
		"data of billions":         "\x83\xa9requestId\xa1r\xa4type\x06\xa4data\xdd\xff\xff\xff\xff",
		"data is nested":           "\x83\xa9requestId\xa1r\xa4type\x06\xa4data\x92\xa1e" + strings.Repeat("\x91", 200_000) + "\xc0",
	}
}

func hostileRequests() map[string]string {
	all := hostileObjects()
	for name, payload := range map[string]string{
		"nothing":                     `{}`,
		"no type":                     `{"uid":"u","requestId":"r"}`,
		"a response's type":           `{"uid":"u","type":8,"requestId":"r","clientCount":1}`,
		"the uid is a number":         `{"uid":7,"requestId":"r","type":1}`,
		"the uid is endless":          `{"uid":"` + strings.Repeat("u", maxIDBytes+1) + `","requestId":"r","type":1}`,
		"rooms: no id":                `{"uid":"u","type":1}`,
		"ids: no rooms":               `{"uid":"u","requestId":"r","type":0}`,
		"fetch: no options":           `{"uid":"u","requestId":"r","type":5}`,
		"fetch: no rooms":             `{"uid":"u","requestId":"r","type":5,"opts":{}}`,
		"fetch: no id":                `{"uid":"u","type":5,"opts":{"rooms":[]}}`,
		"join: options are a list":    `{"uid":"u","type":2,"opts":[],"rooms":["x"]}`,
		"join: options are nil":       `{"uid":"u","type":2,"opts":null,"rooms":["x"]}`,
		"join: options without rooms": `{"uid":"u","type":2,"opts":{"except":[]},"rooms":["x"]}`,
		"join: no targets":            `{"uid":"u","type":2,"opts":{"rooms":[],"except":[]}}`,
		"join: nothing":               `{"uid":"u","type":2}`,
		"join: no room":               `{"uid":"u","type":2,"sid":"s"}`,
		"join: the room is a list":    `{"uid":"u","type":2,"sid":"s","room":["x"]}`,
		"leave: no sid":               `{"uid":"u","type":3,"room":"x"}`,
		"disconnect: nobody":          `{"uid":"u","type":4,"close":true}`,
		"disconnect: close is text":   `{"uid":"u","type":4,"opts":{"rooms":[]},"close":"yes"}`,
		"disconnect: sid is a number": `{"uid":"u","type":4,"sid":5}`,
		"event: no data":              `{"uid":"u","type":6}`,
		"event: data is text":         `{"uid":"u","type":6,"data":"hello"}`,
		"event: data is empty":        `{"uid":"u","type":6,"data":[]}`,
		"event: no name":              `{"uid":"u","type":6,"data":[{}]}`,
		"call: no packet":             `{"uid":"u","requestId":"r","type":7,"opts":{"rooms":[]}}`,
		"call: packet nil":            `{"uid":"u","requestId":"r","type":7,"packet":null,"opts":{"rooms":[]}}`,
		"call: no options":            `{"uid":"u","requestId":"r","type":7,"packet":{"type":2,"data":["e"],"nsp":"/"}}`,
		"call: no id":                 `{"uid":"u","type":7,"packet":{"type":2,"data":["e"],"nsp":"/"},"opts":{"rooms":[]}}`,
		"call: a CONNECT":             `{"uid":"u","requestId":"r","type":7,"packet":{"type":0,"data":["e"],"nsp":"/"},"opts":{"rooms":[]}}`,
		"call: nested":                `{"uid":"u","requestId":"r","type":7,"packet":{"type":2,"data":["e",` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + `],"nsp":"/"},"opts":{"rooms":[]}}`,
		"ours: no uid":                `{"requestId":"r","type":1,"roomcast":{"version":1}}`,
		"ours: no version":            `{"uid":"u","requestId":"r","type":1,"roomcast":{}}`,
		"ours: another version":       `{"uid":"u","requestId":"r","type":1,"roomcast":{"version":2}}`,
		"ours: not an object":         `{"uid":"u","requestId":"r","type":1,"roomcast":1}`,
		"ours: timeout is text":       `{"uid":"u","requestId":"r","type":1,"roomcast":{"version":1,"timeout":"1"}}`,
		"ours: whole is a number":     `{"uid":"u","requestId":"r","type":1,"roomcast":{"version":1,"whole":1}}`,
		"ours: rooms are text":        `{"uid":"u","requestId":"r","type":1,"roomcast":{"version":1,"rooms":"a"}}`,
		"ours: the id is a number":    `{"uid":"u","type":2,"opts":{"rooms":[]},"rooms":[],"roomcast":{"version":1,"requestId":1}}`,
	} {
		all[name] = payload
	}
	return all
}

func TestRequest_RefusesHostileMessages(t *testing.T) {
	for name, payload := range hostileRequests() {
		if m, err := openAsRequest(idleLink("/"), payload); err == nil || errors.Is(err, errForeign) {
			t.Errorf("%s: got %+v, %v, want an error", name, m, err)
		}
	}
}

func TestRequest_CallOfAnotherNamespaceIsForeign(t *testing.T) {
	const call = `{"uid":"u","requestId":"r","type":7,"packet":{"type":2,"data":["e"],"nsp":"/b"},"opts":{"rooms":[]}}`
	if m, err := openAsRequest(idleLink("/a"), call); !errors.Is(err, errForeign) {
		t.Errorf("got %v, %v, want errForeign", m, err)
	}
}

func TestRequest_WhatIsNoEventIsRefusedAtOnce(t *testing.T) {
	for name, r := range map[string]adapter.Request{
		"no action":      {},
		"unknown action": {Action: adapter.ActionCall + 1},
		"no data":        {Action: adapter.ActionEvent},
		"broken data":    {Action: adapter.ActionEvent, Packet: packet.Packet{Data: []byte(`["e",]`)}},
		"empty data":     {Action: adapter.ActionEvent, Packet: packet.Packet{Data: []byte(`[]`)}},
		"data an object": {Action: adapter.ActionCall, Packet: packet.Packet{Data: []byte(`{"e":1}`)}},
		"no attachment": {Action: adapter.ActionCall, Packet: packet.Packet{
			Data: []byte(`["e",{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1}}}},
		"too deep": {Action: adapter.ActionEvent, Packet: packet.Packet{
			Data: []byte(`["e",` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `]`)}},
	} {
		err := idleLink("/").Publish(t.Context(), &adapter.Message{Kind: adapter.KindRequest, Request: &r})
		if !errors.Is(err, adapter.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestRequest_OfOtherTopicsAndToOneNodeIsPrivate(t *testing.T) {
	request := &adapter.Request{ID: "1", Action: adapter.ActionRooms}
	for want, m := range map[string]struct {
		topic string
		to    adapter.NodeID
	}{"socket.io-roomcast#nodes#": {"nodes", ""}, "socket.io-roomcast#/#x#": {"/", "x"}} {
		o := newOutgoing()
		err := idle(Options{}, m.topic, newClassic).encode(o, &adapter.Message{Kind: adapter.KindRequest, To: m.to, Request: request})
		if err != nil || o.Channel != want {
			t.Errorf("got %q, %v, want %q", o.Channel, err, want)
		}
	}
}

// FuzzOpenRequest: what is accepted can be told to another roomcast node, unchanged.
func FuzzOpenRequest(f *testing.F) {
	for _, g := range readRequests(f).Requests {
		f.Add([]byte(g.Payload))
	}
	for _, payload := range hostileRequests() {
		if len(payload) < 1000 {
			f.Add([]byte(payload))
		}
	}
	peer := idleLink("/")
	peer.self = "peer"
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := openAsRequest(idleLink("/"), string(payload))
		if err != nil || m == nil {
			return
		}
		o := newOutgoing()
		if err := peer.encode(o, &adapter.Message{Kind: adapter.KindRequest, Request: m.Request}); err != nil {
			t.Fatalf("%q: what was read cannot be written: %v", payload, err)
		}
		again, err := openAsRequest(idleLink("/"), string(o.Body))
		if err != nil || !reflect.DeepEqual(again.Request, m.Request) {
			t.Fatalf("%q: got %+v, %v on the second way, want %+v", payload, again, err, m.Request)
		}
	})
}
