package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
)

func BenchmarkPublish_ToThreeReceivers(b *testing.B) {
	backend := memory.New()
	for i := range 3 {
		link, err := backend.Join(b.Context(), "topic", adapter.NodeID(fmt.Sprint(i)), func(*adapter.Message) {})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = link.Close(context.Background()) }()
	}
	sender, err := backend.Join(b.Context(), "topic", "sender", nil)
	if err != nil {
		b.Fatal(err)
	}
	m := &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{Data: make([]byte, 128)},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if err := sender.Publish(b.Context(), m); err != nil && !errors.Is(err, adapter.ErrQueueFull) {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublish_Logged(b *testing.B) {
	link := joinLog(b, memory.New(), "/", "a", benchRetention, func(*adapter.Message) {})
	m := event(string(make([]byte, 128)))
	b.ReportAllocs()
	for b.Loop() {
		publish(b, link, m)
	}
}

func BenchmarkPublish_LoggedByMany(b *testing.B) {
	link := joinLog(b, memory.New(), "/", "a", benchRetention, func(*adapter.Message) {})
	m := event(string(make([]byte, 128)))
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			publish(b, link, m)
		}
	})
}

// benchRetention keeps some thousands of broadcasts.
var benchRetention = func() adapter.Retention {
	r := ample
	r.MaxLogBytes = 1 << 20
	return r
}()
