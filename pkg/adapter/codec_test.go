package adapter_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

var messages = map[string]adapter.Message{
	"goodbye":         {Kind: adapter.KindGoodbye, From: "a"},
	"hello":           {Kind: adapter.KindHello, From: "a", Heartbeat: &adapter.Heartbeat{}},
	"heartbeat":       {Kind: adapter.KindHeartbeat, From: "a", To: "b", Heartbeat: &adapter.Heartbeat{Tag: 1<<24 - 1, Namespaces: []string{"/", "/日本"}}},
	"empty broadcast": {Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{}},
	"full broadcast": {Kind: adapter.KindBroadcast, From: "a", To: "b", Offset: "17-0", Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{
			Type: packet.Event, Namespace: "/chat", ID: 1<<64 - 1, HasID: true,
			Data:        []byte(`["event",{"_placeholder":true,"num":0}]`),
			Attachments: [][]byte{{0, 1, 255}, {}},
		},
		Rooms: []string{"a", "b c"}, Except: []string{"d"}, Volatile: true, Uncompressed: true,
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
	return map[string][]byte{
		"empty":                        {},
		"another version":              {2, 4, 0, 0, 0},
		"kind 0":                       {1, 0, 0, 0, 0},
		"unknown kind":                 {1, 5, 0, 0, 0},
		"sender announces billions":    append([]byte{1, 4}, billions...),
		"varint without end":           append([]byte{1, 4}, bytes.Repeat([]byte{0xff}, 20)...),
		"tag of 25 bits":               {1, 2, 0, 0, 0, 0x80, 0x80, 0x80, 8, 0},
		"namespaces announce billions": append([]byte{1, 2, 0, 0, 0, 0}, billions...),
		"unknown flag":                 append(broadcast[:5:5], 16, 2, 0, 0, 0, 0),
		"unknown packet type":          append(broadcast[:5:5], 0, 7, 0, 0, 0, 0),
		"rooms announce what follows":  append(append(broadcast[:5:5], 0, 2, 0, 0, 0xff, 0xff, 3), bytes.Repeat([]byte{0xff}, 1<<16)...),
		"too many rooms":               append(append(broadcast[:5:5], 0, 2, 0, 0, 0x81, 0x80, 0x40), make([]byte, 1<<21)...),
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
			if (c.Broadcast != nil && c.Broadcast == m.Broadcast) || (c.Heartbeat != nil && c.Heartbeat == m.Heartbeat) {
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
		f.Add(data)
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

func broadcastOf(bytes int) adapter.Message {
	return adapter.Message{Kind: adapter.KindBroadcast, From: "0190a1b2-c3d4-7e5f-8a6b-1c2d3e4f5a6b", Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(`["event","` + strings.Repeat("x", bytes) + `"]`)},
		Rooms:  []string{"room"},
	}}
}

func BenchmarkMessage_MarshalBinary(b *testing.B) {
	m := broadcastOf(128)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.MarshalBinary(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMessage_UnmarshalBinary(b *testing.B) {
	source := broadcastOf(128)
	data, err := source.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var m adapter.Message
		if err := m.UnmarshalBinary(data); err != nil {
			b.Fatal(err)
		}
	}
}
