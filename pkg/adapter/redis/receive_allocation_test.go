//go:build !race

// The race detector allocates, and makes pools forget.

package redis

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
)

// arrivals is how many broadcasts arrive together. Each costs a read of its own over
// pub/sub; a stream is read in batches.
const arrivals = 100

// What the broadcast of another node costs from the bytes that come from Redis until the
// server is called, with all that the Redis client allocates.
func TestAllocations_FromRedisToTheServer(t *testing.T) {
	quiet := Options{Logger: slog.New(slog.DiscardHandler)}
	for name, c := range map[string]struct {
		open func(goredis.UniversalClient) (adapter.Adapter, error)
		send func(dst []byte, n int) []byte // appends the command that another node sends
		most int
	}{
		"pubsub": {
			func(r goredis.UniversalClient) (adapter.Adapter, error) { return New(r, quiet) },
			publishing("publish", idleLink("/").link),
			17,
		},
		"sharded": {
			func(r goredis.UniversalClient) (adapter.Adapter, error) {
				return NewSharded(r, ShardedOptions{Options: quiet})
			},
			publishing("spublish", shardedLink(ShardedOptions{}, "/").link),
			14,
		},
		"streams": {
			func(r goredis.UniversalClient) (adapter.Adapter, error) {
				return NewStreams(r, StreamsOptions{Options: quiet})
			},
			appendAdd,
			8, // 6.8 in reads as large as can be
		},
	} {
		t.Run(name, func(t *testing.T) {
			address := redisserver.Start(t).Addr()
			client := goredis.NewClient(&goredis.Options{Addr: address})
			defer func() { _ = client.Close() }()
			bus, err := c.open(client)
			if err != nil {
				t.Fatal(err)
			}
			heard, all := 0, make(chan struct{})
			link := joinRoom(t, bus, func(*adapter.Message) {
				if heard++; heard%arrivals == 0 {
					all <- struct{}{}
				}
			})
			const runs = 20
			batches := make(chan []byte, runs+1) // one is sent to warm up
			for i := range cap(batches) {
				var batch []byte
				for n := range arrivals {
					batch = c.send(batch, i*arrivals+n+1)
				}
				batches <- batch
			}
			conn := dialSilently(t, address)
			got := testing.AllocsPerRun(runs, func() {
				_, _ = conn.Write(<-batches)
				<-all
			}) / arrivals
			t.Logf("%.2f allocations per broadcast", got)
			if got > float64(c.most)+0.5 { // probes and heartbeats, which come every second, are among them
				t.Errorf("a broadcast costs %.2f allocations, want at most %d", got, c.most)
			}
			if err := link.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// joinRoom joins "/" as a node that has a socket in the sample's room.
func joinRoom(t *testing.T, bus adapter.Adapter, deliver func(*adapter.Message)) adapter.Link {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	link, err := bus.Join(ctx, "/", "self", deliver)
	if err != nil {
		t.Fatal(err)
	}
	if rooms, ok := link.(adapter.RoomObserver); ok {
		if err := rooms.RoomOccupied(ctx, "room1"); err != nil {
			t.Fatal(err)
		}
	}
	return link
}

// dialSilently connects to Redis, whose answers are thrown away.
func dialSilently(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	t.Cleanup(func() { _ = conn.Close(); reading.Wait() })
	return conn
}

// publishing returns what appends the command with which another node publishes the sample.
func publishing(command string, l *link) func(dst []byte, n int) []byte {
	l.self = "another"
	o := newOutgoing()
	if err := l.encode(o, sample()); err != nil {
		panic(err)
	}
	return func(dst []byte, _ int) []byte { return appendCommand(dst, command, o.Channel, string(o.Body)) }
}

// appendAdd appends the command with which another node adds the sample to the stream, as
// the n-th of its messages.
func appendAdd(dst []byte, n int) []byte {
	e, err := wire.NewEntry("another", "/", sample(), uint64(n))
	if err != nil {
		panic(err)
	}
	return appendCommand(dst, "xadd", "socket.io", "*",
		"uid", e.UID, "nsp", e.Topic, "type", e.Type, "data", e.Data, "roomcast", e.Own, "seq", fmt.Sprint("another-", n))
}

// appendCommand appends a command as Redis reads it.
func appendCommand(dst []byte, words ...string) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(words)), 10)
	for _, word := range words {
		dst = append(dst, "\r\n$"...)
		dst = strconv.AppendInt(dst, int64(len(word)), 10)
		dst = append(dst, "\r\n"...)
		dst = append(dst, word...)
	}
	return append(dst, "\r\n"...)
}
