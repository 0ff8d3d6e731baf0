package redis

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/packet"
)

// hexBytes are bytes that JSON carries as hexadecimal digits.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// golden is one entry of testdata/classic.json, which testdata/make-golden.mjs makes.
type golden struct {
	Name, Channel          string
	Payload                hexBytes
	Sender, Namespace      string
	Rooms, Except          []string
	Volatile, Uncompressed bool
	Data                   string
	Attachments            []hexBytes
}

func readGolden(t testing.TB) []golden {
	t.Helper()
	text, err := os.ReadFile("testdata/classic.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func (g *golden) broadcast() *adapter.Broadcast {
	b := &adapter.Broadcast{
		Packet: packet.Packet{Type: packet.Event, Namespace: g.Namespace, Data: []byte(g.Data)},
		Rooms:  g.Rooms, Except: g.Except, Volatile: g.Volatile, Uncompressed: g.Uncompressed,
	}
	for _, a := range g.Attachments {
		b.Packet.Attachments = append(b.Packet.Attachments, a)
	}
	return b
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func TestClassic_ReadsWhatNodeSends(t *testing.T) {
	for _, g := range readGolden(t) {
		l := interestedLink(g.Namespace, g.Rooms...)
		why := routeNamespace
		if g.Channel != l.routing.common {
			why = routeRoom
		}
		m, err := l.readBroadcast(bus.Arrival{Kind: why, Channel: g.Channel, Payload: string(g.Payload)})
		if err != nil || m == nil {
			t.Errorf("%s: got %v, %v", g.Name, m, err)
			continue
		}
		want, got := g.broadcast(), m.Broadcast
		if string(m.From) != g.Sender || got.Packet.Namespace != g.Namespace || got.Packet.Type != packet.Event {
			t.Errorf("%s: got %q in %q, type %d", g.Name, m.From, got.Packet.Namespace, got.Packet.Type)
		}
		if fmt.Sprint(got.Rooms, got.Except, got.Volatile, got.Uncompressed) != fmt.Sprint(want.Rooms, want.Except, want.Volatile, want.Uncompressed) {
			t.Errorf("%s: got %+v, want %+v", g.Name, got, want)
		}
		if !sameJSON(got.Packet.Data, want.Packet.Data) {
			t.Errorf("%s: got %.200s, want %.200s", g.Name, got.Packet.Data, want.Packet.Data)
		}
		if !reflect.DeepEqual(got.Packet.Attachments, want.Packet.Attachments) {
			t.Errorf("%s: got attachments %v, want %v", g.Name, got.Packet.Attachments, want.Packet.Attachments)
		}
	}
}

// notAgain are entries that Node.js writes differently from the same broadcast
// made here, and why.
var notAgain = map[string]string{
	"to a numeric room":    "our rooms are strings",
	"compressed":           "the default is left out",
	"dates":                "JSON has no dates: they are strings",
	"numbers without JSON": "they are null",
	"large integers":       "JavaScript rounds them, so that the JSON has other digits",
}

func TestClassic_WritesByteForByteWhatNodeWrites(t *testing.T) {
	for _, g := range readGolden(t) {
		if notAgain[g.Name] != "" {
			continue
		}
		l := idleLink(g.Namespace)
		l.self = adapter.NodeID(g.Sender)
		o := newOutgoing()
		err := l.encode(o, &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: g.broadcast()})
		if err != nil || o.Channel != g.Channel || !bytes.Equal(o.Body, g.Payload) {
			t.Errorf("%s: got %.80x on %q, %v, want %.80x on %q", g.Name, o.Body, o.Channel, err, []byte(g.Payload), g.Channel)
		}
	}
}

// packed makes a broadcast on the channel of "/", by hand.
func packed(packet, options string) string {
	return "\x93\xa4node" + packet + options
}

const (
	goodPacket  = "\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/"
	goodOptions = "\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"
)

// Node.js reads the options that it knows, by their names.
func TestClassic_ATraceIsOneMoreOption(t *testing.T) {
	for _, g := range readGolden(t) {
		plain, traced := g.broadcast(), g.broadcast()
		traced.Trace = "00-1"
		without, err := appendClassic(nil, "n1", g.Namespace, plain)
		if err != nil {
			t.Fatal(err)
		}
		with, err := appendClassic(nil, "n1", g.Namespace, traced)
		if err != nil {
			t.Fatal(err)
		}
		want := append(bytes.Replace(without, []byte(classicRooms), []byte("\x84"+classicRooms[1:]), 1), "\xa5trace\xa400-1"...)
		if !bytes.Equal(with, want) {
			t.Errorf("%s: got %q, want %q", g.Name, with, want)
		}
		e, err := readEnvelope(with)
		if err != nil || e.broadcast.Trace != "00-1" {
			t.Errorf("%s: read trace %q and %v", g.Name, e.broadcast.Trace, err)
		}
	}
}

func TestClassic_ToleratesWhatNodeMayLeaveOut(t *testing.T) {
	for name, payload := range map[string]string{
		"no namespace":    packed("\x82\xa4type\x02\xa4data\x91\xa1e", goodOptions),
		"namespace nil":   packed("\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xc0", goodOptions),
		"binary event":    packed("\x83\xa4type\x05\xa4data\x91\xa1e\xa3nsp\xa1/", goodOptions),
		"rooms nil":       packed(goodPacket, "\x82\xa5rooms\xc0\xa5flags\xc0"),
		"unknown members": packed("\x84\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\xa3new\x93\x01\x02\x80", "\x82\xa5rooms\x90\xa4more\x81\xa1a\x90"),
		"more elements":   "\x94\xa4node" + goodPacket + goodOptions + "\x01",
		"a numeric event": packed("\x83\xa4type\x02\xa4data\x91\x07\xa3nsp\xa1/", goodOptions),
		"odd flags":       packed(goodPacket, "\x83\xa5rooms\x90\xa6except\x90\xa5flags\x83\xa8volatile\x01\xa8compress\xc0\xa7timeout\xcd\x10\x00"),
	} {
		l := idleLink("/")
		m, err := l.readBroadcast(bus.Arrival{Kind: routeNamespace, Channel: l.routing.common, Payload: payload})
		if err != nil || m == nil || m.Broadcast.Volatile || m.Broadcast.Uncompressed {
			t.Errorf("%s: got %v, %v", name, m, err)
		}
	}
}

// hostile are messages that must be dropped, whatever the channel.
func hostile() map[string]string {
	deep := strings.Repeat("\x91", 200_000)
	return map[string]string{
		"empty":                "",
		"random bytes":         "\xde\xad\xbe\xef\x00\xff\x13\x37",
		"text":                 "hello",
		"JSON":                 `["node",{"type":2,"data":["e"],"nsp":"/"},{"rooms":[]}]`,
		"an array of billions": "\xdd\xff\xff\xff\xff\xa4node",
		"a map of billions":    "\x93\xa4node\xdf\xff\xff\xff\xff",
		"a string of billions": "\x93\xdb\xff\xff\xff\xffx",
		"a binary of billions": packed("\x83\xa4type\x02\xa4data\x92\xa1e\xc6\xff\xff\xff\xffx", goodOptions),
		"an extension of so":   packed("\x83\xa4type\x02\xa4data\x92\xa1e\xc9\xff\xff\xff\xff\x05", goodOptions),
		"nested arrays":        packed("\x83\xa4type\x02\xa4data\x92\xa1e"+deep+"\xc0\xa3nsp\xa1/", goodOptions),
		"nested at the top":    deep + "\xc0",
		"sender a number":      "\x93\x07" + goodPacket + goodOptions,
		"packet nil":           packed("\xc0", goodOptions),
		"packet a string":      packed("\xa1x", goodOptions),
		"no data":              packed("\x82\xa4type\x02\xa3nsp\xa1/", goodOptions),
		"data a string":        packed("\x83\xa4type\x02\xa4data\xa1e\xa3nsp\xa1/", goodOptions),
		"no rooms":             packed(goodPacket, "\x80"),
		"data empty":           packed("\x83\xa4type\x02\xa4data\x90\xa3nsp\xa1/", goodOptions),
		"event not a name":     packed("\x83\xa4type\x02\xa4data\x91\xc0\xa3nsp\xa1/", goodOptions),
		"type unknown":         packed("\x83\xa4type\x2a\xa4data\x91\xa1e\xa3nsp\xa1/", goodOptions),
		"type wraps around":    packed("\x83\xa4type\xcd\x01\x02\xa4data\x91\xa1e\xa3nsp\xa1/", goodOptions),
		"type a string":        packed("\x83\xa4type\xa12\xa4data\x91\xa1e\xa3nsp\xa1/", goodOptions),
		"connect":              packed("\x83\xa4type\x00\xa4data\x91\xa1e\xa3nsp\xa1/", goodOptions),
		"namespace a number":   packed("\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\x07", goodOptions),
		"no options":           "\x92\xa4node" + goodPacket,
		"options nil":          packed(goodPacket, "\xc0"),
		"options a list":       packed(goodPacket, "\x90"),
		"rooms a string":       packed(goodPacket, "\x81\xa5rooms\xa1a"),
		"rooms of lists":       packed(goodPacket, "\x81\xa5rooms\x91\x90"),
		"rooms of billions":    packed(goodPacket, "\x81\xa5rooms\xdd\xff\xff\xff\xff"),
		"cut off":              packed(goodPacket, goodOptions)[:30],
		"a key that is a list": packed("\x84\x90\x01\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/", goodOptions),
	}
}

func TestClassic_RefusesHostileMessages(t *testing.T) {
	for name, payload := range hostile() {
		l := idleLink("/")
		m, err := l.readBroadcast(bus.Arrival{Kind: routeNamespace, Channel: l.routing.common, Payload: payload})
		if err == nil {
			t.Errorf("%s: got %v, want an error", name, m)
		}
	}
}

func TestClassic_ChannelAndContentMustAgree(t *testing.T) {
	message := func(namespace string, rooms ...string) string {
		b := &adapter.Broadcast{Packet: packet.Packet{Type: packet.Event, Data: []byte(`["e"]`)}, Rooms: rooms}
		payload, err := appendClassic(nil, "peer", namespace, b)
		if err != nil {
			t.Fatal(err)
		}
		return string(payload)
	}
	for _, c := range []struct {
		name, topic string
		rooms       []string // occupied here
		a           bus.Arrival
		delivered   bool
		err         error
	}{
		{"all", "/a", nil, bus.Arrival{Kind: routeNamespace, Channel: "socket.io#/a#", Payload: message("/a")}, true, nil},
		{"another namespace", "/a", nil, bus.Arrival{Kind: routeNamespace, Channel: "socket.io#/a#", Payload: message("/b")}, false, errForeign},
		{"namespace /a#b is room b of /a", "/a", []string{"b"}, bus.Arrival{Kind: routeRoom, Channel: "socket.io#/a#b#", Payload: message("/a#b")}, false, errForeign},
		{"room c of /a#b is room b#c of /a", "/a", []string{"b#c"}, bus.Arrival{Kind: routeRoom, Channel: "socket.io#/a#b#c#", Payload: message("/a#b", "c")}, false, errForeign},
		{"room b#c of /a", "/a", []string{"b#c"}, bus.Arrival{Kind: routeRoom, Channel: "socket.io#/a#b#c#", Payload: message("/a", "b#c")}, true, nil},
		{"another room inside", "/a", []string{"b", "c"}, bus.Arrival{Kind: routeRoom, Channel: "socket.io#/a#b#", Payload: message("/a", "c")}, false, errForeign},
		{"two rooms on a room's channel", "/a", []string{"b", "c"}, bus.Arrival{Kind: routeRoom, Channel: "socket.io#/a#b#", Payload: message("/a", "b", "c")}, false, errForeign},
		{"a room that has emptied", "/a", nil, bus.Arrival{Kind: routeRoom, Channel: "socket.io#/a#b#", Payload: message("/a", "b")}, false, nil},
		{"several rooms, one of them here", "/a", []string{"c"}, bus.Arrival{Kind: routeNamespace, Channel: "socket.io#/a#", Payload: message("/a", "b", "c")}, true, nil},
		{"several rooms, none here", "/a", []string{"x"}, bus.Arrival{Kind: routeNamespace, Channel: "socket.io#/a#", Payload: message("/a", "b", "c")}, false, nil},
	} {
		m, err := interestedLink(c.topic, c.rooms...).readBroadcast(c.a)
		if (m != nil) != c.delivered || !errors.Is(err, c.err) {
			t.Errorf("%s: delivered %v, %v, want %v, %v", c.name, m != nil, err, c.delivered, c.err)
		}
	}
}

func TestClassic_WhatNodeCannotSayTravelsOnOurOwnChannel(t *testing.T) {
	event := packet.Packet{Type: packet.Event, Data: []byte(`["e"]`)}
	withID := event
	withID.HasID = true
	noData := event
	noData.Data = nil
	for name, c := range map[string]struct {
		m    adapter.Message
		want string
	}{
		"to a node":    {adapter.Message{Kind: adapter.KindBroadcast, To: "x", Broadcast: &adapter.Broadcast{Packet: event}}, "socket.io-roomcast#/a#x#"},
		"with an id":   {adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: withID}}, "socket.io-roomcast#/a#"},
		"without data": {adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: noData}}, "socket.io-roomcast#/a#"},
		"a goodbye":    {adapter.Message{Kind: adapter.KindGoodbye}, "socket.io-roomcast#/a#"},
		"an event":     {adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: event, Rooms: []string{"r"}}}, "socket.io#/a#r#"},
	} {
		o := newOutgoing()
		if err := idleLink("/a").encode(o, &c.m); err != nil || o.Channel != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, o.Channel, err, c.want)
		}
	}
}

func TestClassic_BrokenDataIsRefusedAtOnce(t *testing.T) {
	l := idleLink("/")
	m := &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{Type: packet.Event, Data: []byte(`["e",]`)}}}
	if err := l.Publish(t.Context(), m); !errors.Is(err, adapter.ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
}

func FuzzOpenBroadcast(f *testing.F) {
	for _, g := range readGolden(f) {
		if len(g.Payload) < 1000 {
			f.Add([]byte(g.Payload))
		}
	}
	for _, payload := range hostile() {
		if len(payload) < 1000 {
			f.Add([]byte(payload))
		}
	}
	l := interestedLink("/", "room1")
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := l.readBroadcast(bus.Arrival{Kind: routeNamespace, Channel: l.routing.common, Payload: string(payload)})
		if err != nil || m == nil {
			return
		}
		if !json.Valid(m.Broadcast.Packet.Data) {
			t.Fatalf("%x: got data %q, which is no JSON", payload, m.Broadcast.Packet.Data)
		}
		again, err := appendClassic(nil, m.From, "/", m.Broadcast)
		if err != nil {
			t.Fatalf("%x: what was read cannot be written: %v", payload, err)
		}
		second, err := readEnvelope(again)
		if err != nil || second.from != string(m.From) || fmt.Sprint(second.broadcast.Rooms) != fmt.Sprint(m.Broadcast.Rooms) {
			t.Fatalf("%x: what was written cannot be read: %v", payload, err)
		}
	})
}

// sample is a broadcast to a room whose data is 128 bytes.
func sample() *adapter.Message {
	data := `["chat message",{"id":12345,"user":"someone","ok":true,"text":"`
	data += strings.Repeat("x", 128-len(data)-len(`"}]`)) + `"}]`
	return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(data)}, Rooms: []string{"room1"}}}
}

func BenchmarkEncode(b *testing.B) {
	l, m, o := idleLink("/"), sample(), newOutgoing()
	b.ReportAllocs()
	for b.Loop() {
		o.Body = o.Body[:0]
		_ = l.encode(o, m)
	}
}

func BenchmarkDecode(b *testing.B) {
	l, o := interestedLink("/", "room1"), newOutgoing()
	_ = l.encode(o, sample())
	l.self = "another"
	a := bus.Arrival{Kind: routeRoom, Channel: o.Channel, Payload: string(o.Body)}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.readBroadcast(a)
	}
}
