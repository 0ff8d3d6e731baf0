package stream

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkLog_AppendToListener is one node that appends and hears as fast as it can.
func BenchmarkLog_AppendToListener(b *testing.B) {
	n := open(b, newClient(b, startRedis(b).Addr()), func(c *Config) {
		c.Timing, c.Block = Timing{}, 5*time.Second
	})
	var heard atomic.Int64
	done := make(chan struct{}, 1)
	if _, err := n.Listen(b.Context(), "/", func(*Entry) {
		if heard.Add(1)%256 == 0 {
			signal(done)
		}
	}); err != nil {
		b.Fatal(err)
	}
	e := entry(strings.Repeat("x", 128))
	b.ReportAllocs()
	var sent int64
	for b.Loop() {
		for n.Append(e) != nil {
			<-done
		}
		sent++
	}
	eventually(b, "hearing all", func() bool { return heard.Load() == sent })
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkLog_RoundTrip is the way of a single entry from Append to its listener.
func BenchmarkLog_RoundTrip(b *testing.B) {
	n := open(b, newClient(b, startRedis(b).Addr()), func(c *Config) { c.Block = 5 * time.Second })
	heard := make(chan struct{})
	if _, err := n.Listen(b.Context(), "/", func(*Entry) { heard <- struct{}{} }); err != nil {
		b.Fatal(err)
	}
	e := entry(strings.Repeat("x", 128))
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Append(e); err != nil {
			b.Fatal(err)
		}
		<-heard
	}
}

// BenchmarkRead is a client that comes back after a thousand entries.
func BenchmarkRead(b *testing.B) {
	n := open(b, newClient(b, startRedis(b).Addr()))
	n.listen()
	n.append(numbered(0, 1001)...)
	first := n.await(1001)[0].ID
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		for _, err := range n.Read(b.Context(), first, "/") {
			if err != nil {
				b.Fatal(err)
			}
			count++
		}
		if count != 1000 {
			b.Fatal(count)
		}
	}
}
