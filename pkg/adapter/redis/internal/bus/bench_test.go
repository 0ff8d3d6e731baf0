package bus

import (
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// BenchmarkPublish_OneLane measures what a lane can hand to Redis: messages of 200
// bytes, with nobody listening, until Redis has all of them.
func BenchmarkPublish_OneLane(b *testing.B) { publish(b, false) }

// BenchmarkPublish_Sharded is the same with SPUBLISH.
func BenchmarkPublish_Sharded(b *testing.B) { publish(b, true) }

func publish(b *testing.B, sharded bool) {
	client := goredis.NewClient(&goredis.Options{Addr: redisserver.Start(b).Addr()})
	defer client.Close()
	s := Start(Config{Client: client, Prefix: "bench", PublishQueueBytes: 16 << 20, Sharded: sharded})
	if err := s.Await(b.Context()); err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("x", 200)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		o := s.Message()
		o.Channel, o.Body = "bench#/#room#", append(o.Body, text...)
		for err := s.Enqueue(o); err != nil; err = s.Enqueue(o) {
			if !errors.Is(err, adapter.ErrQueueFull) {
				b.Fatal(err)
			}
			<-time.NewTimer(time.Millisecond).C
		}
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if err := s.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
}
