package redis_test

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// garbage is nothing that any channel can carry; redis.TestClassic_RefusesHostileMessages
// has more of it.
var garbage = []string{
	"", "\xde\xad\xbe\xef", "hello", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff\xa1a", "\xdb\xff\xff\xff\xffx",
	"\xc9\xff\xff\xff\xff\x01", `{"uid":"u","type":6,"data":{}}`, `{"requestId":"r","sockets":7}`, strings.Repeat(`{"a":`, 200_000), strings.Repeat("\x91", 200_000), strings.Repeat("[", 200_000), `{"type":2}`,
	"\x93\xa4node\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\xc0", "\x01\x01", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	"\x93\xa4node\x83\xa4type\x09\xa4data\x91\xa1e\xa3nsp\xa1/\x80", "\x01\x01\x01a\x00\x00\x00\x02\x01/",
}

func TestHostile_GarbageIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	common := []string{
		"socket.io#/#", "socket.io#/#room#", "socket.io#/#0123456789abcdefAAAA#",
		"socket.io-roomcast#/#", "socket.io-roomcast#/#a#", "socket.io-request#/#",
	}
	t.Run("among_roomcast_nodes", func(t *testing.T) {
		garbageIsDropped(t, redis.Options{}, common, func(*testing.T, *node) {})
	})
	t.Run("routed_by_interest", func(t *testing.T) {
		garbageIsDropped(t, interested, append(common[:2:2], "socket.io-roomcast-ids#/#AAAA#", "socket.io-request#/#"), func(t *testing.T, a *node) {
			a.occupy(t, "room")
			a.own(t, "AAAA")
		})
	})
	t.Run("with_NodeJS", func(t *testing.T) {
		garbageIsDropped(t, mixed, append(common, "socket.io-response#/#", "socket.io-response#/#a#"), func(*testing.T, *node) {})
	})
}

func garbageIsDropped(t *testing.T, opts redis.Options, channels []string, prepare func(*testing.T, *node)) {
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newAdapterWith(t, newClient(t, server.Addr()), opts), "/", "a")
	b := join(t, newAdapter(t, server.Addr()), "/", "b")
	prepare(t, a)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i, channel := range channels {
		for _, message := range garbage {
			if err := client.Publish(t.Context(), channel, message).Err(); err != nil {
				t.Fatal(err)
			}
		}
		event := "good " + channel
		b.emit(t, event, "room")
		a.expect(t, event)
		want := uint64((i + 1) * len(garbage))
		if got := a.adapter.Status().Dropped["malformed"]; got != want {
			t.Errorf("after %s: %d messages counted as malformed, want %d", channel, got, want)
		}
	}
	if err := b.link.Publish(t.Context(), &adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{Action: adapter.ActionRooms}}); err != nil {
		t.Fatal(err)
	}
	a.expect(t, "request 5 of b")
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if len(a.heard) != len(channels)+1 {
		t.Errorf("heard %v", a.heard)
	}
}

func TestHostile_ForeignMessagesAreCounted(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newInterested(t, server.Addr()), "/a", "a")
	b := join(t, newInterested(t, server.Addr()), "/a", "b")
	a.occupy(t, "b")
	const elsewhere = "\x93\xa4node\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa4/a#b\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80"
	if err := client.Publish(t.Context(), "socket.io#/a#b#", elsewhere).Err(); err != nil {
		t.Fatal(err)
	}
	b.emit(t, "good", "b")
	a.expect(t, "good")
	if got := a.adapter.Status().Dropped["foreign"]; got != 1 || len(a.heard) != 1 {
		t.Errorf("counted %d, heard %v", got, a.heard)
	}
}

func TestLimit_TooLargeMessagesTravelInNeitherDirection(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newAdapterWith(t, newClient(t, server.Addr()), redis.Options{MaxMessageBytes: 1000}), "/", "a")
	b := join(t, newAdapter(t, server.Addr()), "/", "b")
	large := broadcast(strings.Repeat("x", 2000))
	if err := a.link.Publish(t.Context(), large); !errors.Is(err, adapter.ErrTooLarge) {
		t.Errorf("Publish: got %v, want ErrTooLarge", err)
	}
	if err := b.link.Publish(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	if err := client.Publish(t.Context(), "socket.io-roomcast#/#", strings.Repeat("x", 2000)).Err(); err != nil {
		t.Fatal(err)
	}
	b.emit(t, "good")
	a.expect(t, "good")
	if got := a.adapter.Status().Dropped["too_large"]; got != 3 {
		t.Errorf("counted %d, want 3", got)
	}
}

// lines collects log lines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func TestLog_OneLinePerChangeOfState(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	log := &lines{}
	a := newAdapterWith(t, newClient(t, server.Addr()), redis.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if got := a.Status().State; got != adapter.Degraded {
		t.Errorf("without links the state is %v, want degraded", got)
	}
	n := join(t, a, "/", "a")
	n.await(t, adapter.Up)
	server.Kill()
	n.await(t, adapter.Degraded)
	server.Restart()
	n.await(t, adapter.Up)
	eventually(t, "two lines of connecting", func() bool { return log.count("connected") == 2 }) // they follow the state
	if log.count("connection lost") != 1 {
		t.Errorf("the log says:\n%s", &log.buf)
	}
}
