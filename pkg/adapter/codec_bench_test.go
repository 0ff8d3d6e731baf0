package adapter_test

import (
	"strings"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

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
