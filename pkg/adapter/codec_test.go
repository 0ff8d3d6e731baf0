package adapter_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

var messages = map[string]adapter.Message{
	"goodbye":         {Kind: adapter.KindGoodbye, From: "a"},
	"hello":           {Kind: adapter.KindHello, From: "a", Heartbeat: &adapter.Heartbeat{}},
	"heartbeat":       {Kind: adapter.KindHeartbeat, From: "a", To: "b", Heartbeat: &adapter.Heartbeat{Tag: 1<<24 - 1, Namespaces: []string{"/", "/日本"}, Application: "shop", Address: "http://a:1", Proof: []byte{0, 1}}},
	"empty broadcast": {Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{}},
	"full broadcast": {Kind: adapter.KindBroadcast, From: "a", To: "b", Offset: "17-0", Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{
			Type: packet.Event, Namespace: "/chat", ID: 1<<64 - 1, HasID: true,
			Data:        []byte(`["event",{"_placeholder":true,"num":0}]`),
			Attachments: [][]byte{{0, 1, 255}, {}},
		},
		Rooms: []string{"a", "b c"}, Except: []string{"d"}, Volatile: true, Uncompressed: true, Trace: "00-aa",
	}},
	"empty request": {Kind: adapter.KindRequest, Request: &adapter.Request{Action: adapter.ActionRooms}},
	"request for answers": {Kind: adapter.KindRequest, From: "a", Request: &adapter.Request{
		ID: "r1", Action: adapter.ActionCall, Rooms: []string{"a"}, Except: []string{"b", "c"}, Timeout: 1<<63 - 1,
		Packet: packet.Packet{
			Type: packet.Event, Namespace: "/chat", Data: []byte(`["event",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{9}},
		},
		Volatile: true, Uncompressed: true,
	}},
	"request for a change": {Kind: adapter.KindRequest, To: "b", Request: &adapter.Request{
		ID: "r2", Action: adapter.ActionDisconnect, Targets: []string{"x", ""}, Close: true, Timeout: time.Second, Trace: "00-bb",
	}},
	"empty response": {Kind: adapter.KindResponse, To: "b", Response: &adapter.Response{Action: adapter.ActionJoin}},
	"response with an answer": {Kind: adapter.KindResponse, To: "b", Response: &adapter.Response{
		ID: "r1", Action: adapter.ActionCall, Receivers: 1<<31 - 1,
		Answer: &packet.Packet{Type: packet.Ack, Namespace: "/chat", Data: []byte(`[1]`), Attachments: [][]byte{{}, {1}}},
	}},
	"response with an empty answer": {Kind: adapter.KindResponse, Response: &adapter.Response{Action: adapter.ActionEvent, Done: true, Answer: &packet.Packet{}}},
	"response with sockets": {Kind: adapter.KindResponse, To: "b", Response: &adapter.Response{
		ID: "r3", Action: adapter.ActionFetch, Done: true, Receivers: 3, Rooms: []string{"a", "日本"},
		Sockets: []adapter.Socket{
			{},
			{ID: "s1", Rooms: []string{"s1", "a"}, Handshake: []byte(`{"query":{}}`), Data: []byte(`null`)},
			{ID: "s2", Rooms: []string{"s2"}, Handshake: bytes.Repeat([]byte{' '}, 200), Data: bytes.Repeat([]byte{' '}, 300)},
		},
	}},
}

func TestMessage_ByteFormIsWholeAndExact(t *testing.T) {
	for name, want := range messages {
		t.Run(name, func(t *testing.T) {
			data, err := want.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			if len(data) > want.Size() {
				t.Errorf("%d bytes, more than Size, %d", len(data), want.Size())
			}
			var got adapter.Message
			if err := got.UnmarshalBinary(data); err != nil {
				t.Fatal(err)
			}
			clear(data)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestMessage_EveryTruncationIsMalformed(t *testing.T) {
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			data, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			for n := range data {
				wantMalformed(t, data[:n])
			}
			wantMalformed(t, append(data, 0))
		})
	}
}

func wantMalformed(t *testing.T, data []byte) {
	t.Helper()
	got := adapter.Message{From: "before"}
	if err := got.UnmarshalBinary(data); !errors.Is(err, adapter.ErrMalformed) {
		t.Errorf("%.40x: got error %v, want ErrMalformed", data, err)
	}
	if got.From != "before" {
		t.Errorf("%.40x: the message was changed to %+v", data, got)
	}
}

// A hostile length: 4 billion as an unsigned varint.
var billions = []byte{0xff, 0xff, 0xff, 0xff, 0x0f}

func malformed() map[string][]byte {
	broadcast := []byte{1, 1, 0, 0, 0}
	request, response := []byte{1, 5, 0, 0, 0}, []byte{1, 6, 0, 0, 0}
	return map[string][]byte{
		"empty":                        {},
		"another version":              {2, 4, 0, 0, 0},
		"kind 0":                       {1, 0, 0, 0, 0},
		"unknown kind":                 {1, 7, 0, 0, 0},
		"sender announces billions":    append([]byte{1, 4}, billions...),
		"varint without end":           append([]byte{1, 4}, bytes.Repeat([]byte{0xff}, 20)...),
		"tag of 25 bits":               {1, 2, 0, 0, 0, 0x80, 0x80, 0x80, 8, 0, 0},
		"namespaces announce billions": append([]byte{1, 2, 0, 0, 0, 0}, billions...),
		"unknown flag":                 append(broadcast[:5:5], 16, 2, 0, 0, 0, 0),
		"empty trace":                  append(broadcast[:5:5], 128, 2, 0, 0, 0, 0, 0),
		"no trace":                     append(broadcast[:5:5], 128, 2, 0, 0, 0, 0),
		"unknown packet type":          append(broadcast[:5:5], 0, 7, 0, 0, 0, 0),
		"rooms announce what follows":  append(append(broadcast[:5:5], 0, 2, 0, 0, 0xff, 0xff, 3), bytes.Repeat([]byte{0xff}, 1<<16)...),
		"too many rooms":               append(append(broadcast[:5:5], 0, 2, 0, 0, 0x81, 0x80, 0x40), make([]byte, 1<<21)...),

		"request of action 0":            append(request[:5:5], 0, 0, 0, 0, 2, 0, 0, 0, 0, 0),
		"request of an unknown action":   append(request[:5:5], 0, 9, 0, 0, 2, 0, 0, 0, 0, 0),
		"request that is done":           append(request[:5:5], 32, 1, 0, 0, 2, 0, 0, 0, 0, 0),
		"request with a huge timeout":    append(append(request[:5:5], 0, 1, 0), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 0, 0, 0, 0, 0),
		"request's packet type":          append(request[:5:5], 0, 1, 0, 0, 7, 0, 0, 0, 0, 0),
		"targets announce billions":      append(append(request[:5:5], 0, 1, 0, 0, 2, 0, 0, 0, 0), billions...),
		"response of an unknown action":  append(response[:5:5], 0, 0, 0, 0, 0, 0),
		"response that is volatile":      append(response[:5:5], 1, 1, 0, 0, 0, 0),
		"response that closes":           append(response[:5:5], 16, 1, 0, 0, 0, 0),
		"response with an unknown flag":  append(response[:5:5], 128, 1, 0, 0, 0, 0),
		"data without an answer":         append(response[:5:5], 8, 1, 0, 0, 0, 0),
		"more receivers than an int has": append(response[:5:5], 0, 1, 0, 0x80, 0x80, 0x80, 0x80, 8, 0, 0),
		"answer's packet type":           append(response[:5:5], 64, 1, 0, 0, 7, 0, 0, 0, 0),
		"sockets announce billions":      append(append(response[:5:5], 0, 1, 0, 0), billions...),
		"sockets announce what follows":  append(append(response[:5:5], 0, 1, 0, 0, 0xff, 0xff, 3), bytes.Repeat([]byte{0xff}, 1<<16)...),
		"too many sockets":               append(append(response[:5:5], 0, 1, 0, 0, 0x81, 0x80, 0x40), make([]byte, 1<<23)...),
	}
}

func TestMessage_HostileBytesAreMalformed(t *testing.T) {
	for name, data := range malformed() {
		t.Run(name, func(t *testing.T) { wantMalformed(t, data) })
	}
}

func TestMessage_HostileLengthsAllocateLittle(t *testing.T) {
	for name, data := range malformed() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			wantMalformed(t, data)
			runtime.ReadMemStats(&after)
			if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(32*len(data)+64<<10); got > limit {
				t.Errorf("%d bytes made the decoder allocate %d, want at most %d", len(data), got, limit)
			}
		})
	}
}

func request(r *adapter.Request) adapter.Message {
	return adapter.Message{Kind: adapter.KindRequest, Request: r}
}

func response(r *adapter.Response) adapter.Message {
	return adapter.Message{Kind: adapter.KindResponse, Response: r}
}

func TestMessage_ImpossibleIsNotEncoded(t *testing.T) {
	for name, tt := range map[string]struct {
		message adapter.Message
		want    error
	}{
		"no kind":              {adapter.Message{}, adapter.ErrMalformed},
		"unknown kind":         {adapter.Message{Kind: 99}, adapter.ErrMalformed},
		"no broadcast":         {adapter.Message{Kind: adapter.KindBroadcast}, adapter.ErrMalformed},
		"no heartbeat":         {adapter.Message{Kind: adapter.KindHello}, adapter.ErrMalformed},
		"tag of 25 bits":       {adapter.Message{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Tag: 1 << 24}}, adapter.ErrMalformed},
		"unknown packet type":  {adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: packet.Packet{Type: 7}}}, adapter.ErrMalformed},
		"more rooms than fits": {adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Rooms: make([]string, 1<<20+1)}}, adapter.ErrTooLarge},
		"no request":           {request(nil), adapter.ErrMalformed},
		"no response":          {response(nil), adapter.ErrMalformed},
		"action 0":             {request(&adapter.Request{}), adapter.ErrMalformed},
		"unknown action":       {request(&adapter.Request{Action: adapter.ActionRelease + 1}), adapter.ErrMalformed},
		"negative timeout":     {request(&adapter.Request{Action: adapter.ActionCall, Timeout: -1}), adapter.ErrMalformed},
		"request's packet":     {request(&adapter.Request{Action: adapter.ActionCall, Packet: packet.Packet{Type: 7}}), adapter.ErrMalformed},
		"too many targets":     {request(&adapter.Request{Action: adapter.ActionJoin, Targets: make([]string, 1<<20+1)}), adapter.ErrTooLarge},
		"answered action 0":    {response(&adapter.Response{}), adapter.ErrMalformed},
		"negative receivers":   {response(&adapter.Response{Action: adapter.ActionCall, Receivers: -1}), adapter.ErrMalformed},
		"answer's packet":      {response(&adapter.Response{Action: adapter.ActionCall, Answer: &packet.Packet{Type: 7}}), adapter.ErrMalformed},
		"too many attachments": {response(&adapter.Response{Action: adapter.ActionCall, Answer: &packet.Packet{Attachments: make([][]byte, 1<<20+1)}}), adapter.ErrTooLarge},
		"too many sockets":     {response(&adapter.Response{Action: adapter.ActionFetch, Sockets: make([]adapter.Socket, 1<<20+1)}), adapter.ErrTooLarge},
		"too many names":       {response(&adapter.Response{Action: adapter.ActionRooms, Rooms: make([]string, 1<<20+1)}), adapter.ErrTooLarge},
		"rooms of a socket":    {response(&adapter.Response{Action: adapter.ActionFetch, Sockets: []adapter.Socket{{Rooms: make([]string, 1<<20+1)}}}), adapter.ErrTooLarge},
		"too many namespaces":  {adapter.Message{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Namespaces: make([]string, 1<<20+1)}}, adapter.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if data, err := tt.message.MarshalBinary(); !errors.Is(err, tt.want) || data != nil {
				t.Errorf("got %d bytes and %v, want %v", len(data), err, tt.want)
			}
		})
	}
}

func TestMessage_CloneSharesBytesAndNoStructs(t *testing.T) {
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			c := m.Clone()
			if !reflect.DeepEqual(*c, m) {
				t.Fatalf("got %+v, want %+v", *c, m)
			}
			shared := (c.Broadcast != nil && c.Broadcast == m.Broadcast) || (c.Heartbeat != nil && c.Heartbeat == m.Heartbeat) ||
				(c.Request != nil && c.Request == m.Request) || (c.Response != nil && c.Response == m.Response)
			if shared || (c.Response != nil && c.Response.Answer != nil && c.Response.Answer == m.Response.Answer) {
				t.Error("the clone shares a struct with the original")
			}
		})
	}
}

func FuzzMessage_UnmarshalBinary(f *testing.F) {
	for _, m := range messages {
		data, err := m.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 1<<10 {
			f.Add(data)
		}
	}
	for _, data := range malformed() {
		if len(data) < 1<<10 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m adapter.Message
		if err := m.UnmarshalBinary(data); err != nil {
			if !errors.Is(err, adapter.ErrMalformed) {
				t.Fatalf("got %v, want ErrMalformed", err)
			}
			return
		}
		if m.Size() < 0 || (m.Request != nil && m.Request.Timeout < 0) || (m.Response != nil && m.Response.Receivers < 0) {
			t.Fatalf("a number overflowed: %+v", m)
		}
		again, err := m.MarshalBinary()
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		var same adapter.Message
		if err := same.UnmarshalBinary(again); err != nil || !reflect.DeepEqual(same, m) {
			t.Fatalf("second round: got %+v and %v, want %+v", same, err, m)
		}
	})
}
