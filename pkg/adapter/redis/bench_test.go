package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// BenchmarkPublish measures what one node can hand to Redis: broadcasts of 128
// bytes to a room, with nobody listening, until Redis has all of them.
func BenchmarkPublish(b *testing.B) {
	server := redisserver.Start(b)
	n := join(b, newAdapter(b, server.Addr()), "/", "a")
	m := broadcast(strings.Repeat("x", 124), "room")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for err := n.link.Publish(b.Context(), m); err != nil; err = n.link.Publish(b.Context(), m) {
			if !errors.Is(err, adapter.ErrQueueFull) {
				b.Fatal(err)
			}
			<-time.NewTimer(100 * time.Microsecond).C
		}
	}
	if err := n.link.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkRoundTrip measures a broadcast from one node to another, one at a time.
func BenchmarkRoundTrip(b *testing.B) {
	server := redisserver.Start(b)
	from := join(b, newAdapter(b, server.Addr()), "/", "a")
	var arrived atomic.Int64
	heard := make(chan struct{}, 1)
	to, err := newAdapter(b, server.Addr()).Join(b.Context(), "/", "b", func(*adapter.Message) { arrived.Add(1); heard <- struct{}{} })
	if err != nil {
		b.Fatal(err)
	}
	m := broadcast(strings.Repeat("x", 124))
	for b.Loop() {
		if err := from.link.Publish(b.Context(), m); err != nil {
			b.Fatal(err)
		}
		<-heard
	}
	if err := to.Close(b.Context()); err != nil {
		b.Fatal(fmt.Errorf("after %d messages: %w", arrived.Load(), err))
	}
}
