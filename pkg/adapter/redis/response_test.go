package redis

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/packet"
)

// goldenResponse is one of testdata/requests.json.
type goldenResponse struct {
	Name, Channel string
	Specific      bool
	Payload       hexBytes
	Asker, ID     string
	Type          requestType // of the request
	Receivers     int
	Done          bool
	Sockets       []struct {
		ID              string
		Rooms           []string
		Handshake, Data string
	}
	Rooms       []string
	Data        string
	Attachments []hexBytes
}

func (g *goldenResponse) response() *adapter.Response {
	r := &adapter.Response{ID: g.ID, Action: actions[g.Type], Done: g.Done, Receivers: g.Receivers, Rooms: some(g.Rooms)}
	for _, s := range g.Sockets {
		one := adapter.Socket{ID: s.ID, Rooms: s.Rooms}
		if s.Handshake != "" {
			one.Handshake, one.Data = []byte(s.Handshake), []byte(s.Data)
		}
		r.Sockets = append(r.Sockets, one)
	}
	if g.Data != "" {
		answer := packetOf(packet.Ack, "/", g.Data, g.Attachments)
		r.Answer = &answer
	}
	return r
}

func openAsResponse(l *classic, payload string) (*adapter.Message, error) {
	return l.open(bus.Arrival{Kind: routeResponses, Channel: l.responses, Payload: payload})
}

func TestResponse_ReadsWhatNodeSends(t *testing.T) {
	for _, g := range readRequests(t).Responses {
		want := &adapter.Message{From: "nodejs", To: "self", Kind: adapter.KindResponse, Response: g.response()}
		if g.Type.changes() {
			want = nil // we never ask so
		}
		got, err := openAsResponse(idleLink("/"), string(g.Payload))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", g.Name, got, err, want)
		}
	}
}

func TestResponse_WritesByteForByteWhatNodeWrites(t *testing.T) {
	for _, g := range readRequests(t).Responses {
		l, o := idleLink("/"), newOutgoing()
		l.adapter.opts.PublishOnSpecificResponseChannel = g.Specific
		r := g.response()
		if g.Type.changes() {
			r.Receivers = 1
		}
		if g.Type == typeCall && r.Answer == nil {
			l.calls.begin(call{adapter.NodeID(g.Asker), g.ID})
		}
		err := l.encode(o, &adapter.Message{Kind: adapter.KindResponse, To: adapter.NodeID(g.Asker), Response: r})
		if err != nil || o.Channel != g.Channel || !bytes.Equal(o.Body, g.Payload) {
			t.Errorf("%s: got %q on %q, %v, want %q on %q", g.Name, o.Body, o.Channel, err, []byte(g.Payload), g.Channel)
		}
	}
}

// said encodes a response to a Node.js server and returns it with its channel.
func said(t *testing.T, l *classic, to adapter.NodeID, r adapter.Response) (channel, body string) {
	t.Helper()
	o := newOutgoing()
	if err := l.encode(o, &adapter.Message{Kind: adapter.KindResponse, To: to, Response: &r}); err != nil {
		t.Fatal(err)
	}
	return o.Channel, string(o.Body)
}

func TestResponse_NodeIsToldOnceHowManySocketsACallReaches(t *testing.T) {
	const call = `{"uid":"u","requestId":"r","type":7,"packet":{"type":2,"data":["e"],"nsp":"/"},"opts":{"rooms":[]}}`
	answer := &packet.Packet{Type: packet.Ack, Data: []byte(`["yes"]`)}
	for name, steps := range map[string][]adapter.Response{
		"nobody":         {{ID: "r", Done: true}},
		"all answer":     {{ID: "r", Receivers: 2}, {ID: "r", Answer: answer}, {ID: "r", Answer: answer, Done: true}},
		"some have gone": {{ID: "r", Receivers: 2}, {ID: "r", Answer: answer}, {ID: "r", Done: true}},
	} {
		l := idleLink("/")
		m, err := openAsRequest(l, call)
		if err != nil {
			t.Fatal(err)
		}
		counts, answers := 0, 0
		for _, step := range steps {
			channel, body := said(t, l, m.From, step)
			counts += strings.Count(body, fmt.Sprintf(`"clientCount":%d`, step.Receivers))
			answers += strings.Count(body, "\xa6packet\xa3yes")
			if wordless := step.Done && step.Answer == nil && len(steps) > 1; (channel == "") != wordless {
				t.Errorf("%s: %+v went to %q", name, step, channel)
			}
		}
		if counts != 1 || answers != max(0, len(steps)-1)-strings.Count(name, "gone") {
			t.Errorf("%s: told %d times how many, %d answers", name, counts, answers)
		}
	}
}

func TestResponse_WhatNodeCannotUseIsNotSent(t *testing.T) {
	l := idleLink("/")
	if channel, _ := said(t, l, "nodejs:2:u", adapter.Response{ID: "r", Done: true}); channel != "" {
		t.Errorf("a socket that is not here: answered on %q", channel)
	}
	if err := l.Publish(t.Context(), &adapter.Message{Kind: adapter.KindResponse, To: "nodejs:2:u", Response: &adapter.Response{Done: true}}); err != nil {
		t.Error(err)
	}
	if got := l.bus.Waiting(); got != 0 {
		t.Errorf("%d messages are queued", got)
	}
}

func TestResponse_NodeGetsObjectsWhereWeHaveNothing(t *testing.T) {
	_, got := said(t, idleLink("/"), "nodejs:5:u", adapter.Response{ID: "r", Done: true, Sockets: []adapter.Socket{{ID: "s"}}})
	if want := `{"requestId":"r","sockets":[{"id":"s","handshake":{},"rooms":[],"data":{}}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, got = said(t, idleLink("/"), "nodejs:6:u", adapter.Response{ID: "r", Done: true})
	if want := `{"type":6,"requestId":"r"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestResponse_BinariesToNodeAreMessagePack(t *testing.T) {
	answer := &packet.Packet{Type: packet.Ack, Data: []byte(`[{"b":{"_placeholder":true,"num":0}},2]`), Attachments: [][]byte{{9}}}
	_, got := said(t, idleLink("/"), "nodejs:6:u", adapter.Response{ID: "r", Done: true, Answer: answer})
	if want := "\x83\xa4type\x06\xa9requestId\xa1r\xa4data\x81\xa1b\xc4\x01\x09"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestResponse_BrokenPartsAreRefusedAtOnce(t *testing.T) {
	for name, m := range map[string]adapter.Message{
		"handshake": {To: "nodejs:5:u", Response: &adapter.Response{Sockets: []adapter.Socket{{Handshake: []byte(`{`)}}}},
		"data":      {To: "nodejs:5:u", Response: &adapter.Response{Sockets: []adapter.Socket{{Data: []byte(`nul`)}}}},
		"answer":    {To: "nodejs:7:u", Response: &adapter.Response{Answer: &packet.Packet{Type: packet.Ack, Data: []byte(`[1`)}}},
	} {
		m.Kind = adapter.KindResponse
		if err := idleLink("/").Publish(t.Context(), &m); !errors.Is(err, adapter.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestResponse_WithoutAUidGoesToAll(t *testing.T) {
	l := idleLink("/")
	l.adapter.opts.PublishOnSpecificResponseChannel = true
	if channel, _ := said(t, l, "nodejs:1:", adapter.Response{ID: "r", Done: true}); channel != "socket.io-response#/#" {
		t.Errorf("got %q", channel)
	}
}

func hostileResponses() map[string]string {
	all := hostileObjects()
	for name, payload := range map[string]string{
		"nothing":                   `{}`,
		"no id":                     `{"rooms":[]}`,
		"an empty id":               `{"requestId":"","rooms":[]}`,
		"a request's type":          `{"requestId":"r","type":1,"rooms":[]}`,
		"the count is text":         `{"type":8,"requestId":"r","clientCount":"1"}`,
		"the count is negative":     `{"type":8,"requestId":"r","clientCount":-1}`,
		"the count is endless":      `{"type":8,"requestId":"r","clientCount":9007199254740991}`,
		"sockets are text":          `{"requestId":"r","sockets":"all"}`,
		"sockets are numbers":       `{"requestId":"r","sockets":[1]}`,
		"sockets without id":        `{"requestId":"r","sockets":[{"rooms":[]}]}`,
		"sockets of an empty id":    `{"requestId":"r","sockets":[""]}`,
		"a socket's id is a number": `{"requestId":"r","sockets":[{"id":1}]}`,
		"a socket's rooms are text": `{"requestId":"r","sockets":[{"id":"s","rooms":"a"}]}`,
		"a socket's data is binary": "\x82\xa9requestId\xa1r\xa7sockets\x91\x82\xa2id\xa1s\xa4data\xc4\x01\x00",
		"sockets of billions":       "\x82\xa9requestId\xa1r\xa7sockets\xdd\xff\xff\xff\xff",
		"sockets of millions":       "\x82\xa9requestId\xa1r\xa7sockets\xdd\x00\x10\x00\x01" + strings.Repeat("\xa1s", 1<<20+1),
		"an answer is nested":       "\x83\xa4type\x09\xa9requestId\xa1r\xa6packet" + strings.Repeat("\x91", 200_000) + "\xc0",
	} {
		all[name] = payload
	}
	return all
}

func TestResponse_RefusesHostileMessages(t *testing.T) {
	for name, payload := range hostileResponses() {
		if m, err := openAsResponse(idleLink("/"), payload); err == nil {
			t.Errorf("%s: got %+v, want an error", name, m)
		}
	}
}

// FuzzOpenResponse: what is accepted can be told to a Node.js server, and says the
// same there.
func FuzzOpenResponse(f *testing.F) {
	for _, g := range readRequests(f).Responses {
		f.Add([]byte(g.Payload))
	}
	for _, payload := range hostileResponses() {
		if len(payload) < 1000 {
			f.Add([]byte(payload))
		}
	}
	askers := map[adapter.Action]requestType{
		adapter.ActionFetch: typeFetch, adapter.ActionRooms: typeRooms, adapter.ActionEvent: typeEvent, adapter.ActionCall: typeCall,
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		l := idleLink("/")
		m, err := openAsResponse(l, string(payload))
		if err != nil || m == nil {
			return
		}
		o, to := newOutgoing(), asker{askers[m.Response.Action], "u"}.id()
		l.calls.begin(call{to, m.Response.ID})
		if err := l.encode(o, &adapter.Message{Kind: adapter.KindResponse, To: to, Response: m.Response}); err != nil {
			t.Fatalf("%q: what was read cannot be written: %v", payload, err)
		}
		for i := range m.Response.Sockets {
			if s := &m.Response.Sockets[i]; s.Handshake == nil || s.Data == nil {
				return // an object is written for it
			}
		}
		again, err := openAsResponse(l, string(o.Body))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%q: got %+v, %v on the second way, want %+v", payload, again, err, m)
		}
	})
}
