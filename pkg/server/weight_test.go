//go:build linux && !race

package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// idler is a client that weighs nothing in this process: a descriptor that connects,
// joins rooms and then only listens.
type idler int

func dialIdler(tb testing.TB, address *net.TCPAddr, rooms []string) idler {
	tb.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	c := idler(fd)
	to := &syscall.SockaddrInet4{Port: address.Port}
	copy(to.Addr[:], address.IP.To4())
	if err := syscall.Connect(fd, to); err != nil {
		tb.Fatal(err)
	}
	c.exchange(tb, request("GET", "EIO=4&transport=websocket", "",
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
		"Origin: https://example.com", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"), `0{"sid":`)
	c.exchange(tb, string(frame(0x81, "40")), `40{"sid":`)
	if len(rooms) > 0 {
		c.exchange(tb, string(frame(0x81, `420["join",["`+strings.Join(rooms, `","`)+`"]]`)), "430")
	}
	return c
}

// exchange sends text and reads until the answer holds want.
func (c idler) exchange(tb testing.TB, text, want string) {
	tb.Helper()
	if _, err := syscall.Write(int(c), []byte(text)); err != nil {
		tb.Fatal(err)
	}
	var answer []byte
	for !bytes.Contains(answer, []byte(want)) {
		b := make([]byte, 4096)
		n, err := syscall.Read(int(c), b)
		if n <= 0 {
			tb.Fatalf("read after %q: %v", answer, err)
		}
		answer = append(answer, b[:n]...)
	}
}

// parts says to which part of a socket memory belongs, by the innermost function
// that was running when it was allocated and is one of these. Of several that fit a
// function the first counts.
var parts = []struct{ name, function string }{
	{"goroutines", "runtime.malg"},
	{"rooms", "internal/room."},
	{"rooms", "server.(*Socket).enter"},
	{"rooms", "server.(*interest)."},
	{"handshake", "engine.newHandshake"},
	{"WebSocket", "gorilla/websocket."},
	{"WebSocket", "engine.(*Engine).upgradeConn"},
	{"WebSocket", "engine.(*parking)."},
	{"WebSocket", "net.(*TCPListener)."},
	{"WebSocket", "net/http."},
	{"socket", "pkg/server."},
	{"session", "internal/engine."},
}

// heapByPart returns the bytes in use by part, as far as they were allocated with
// a profile of each allocation.
func heapByPart() map[string]int64 {
	for range 3 { // the profile shows what was in use two collections ago
		runtime.GC()
	}
	records, n, all := make([]runtime.MemProfileRecord, 20_000), 0, false
	for !all {
		if n, all = runtime.MemProfile(records, false); !all {
			records = make([]runtime.MemProfileRecord, 2*n)
		}
	}
	bytes := map[string]int64{}
	for _, r := range records[:n] {
		bytes[partOf(r.Stack())] += r.InUseBytes()
	}
	return bytes
}

// partOf returns the part to which what was allocated there belongs.
func partOf(stack []uintptr) string {
	for frames := runtime.CallersFrames(stack); ; {
		f, more := frames.Next()
		for _, p := range parts {
			if strings.Contains(f.Function, p.function) {
				return p.name
			}
		}
		if !more {
			return "rest"
		}
	}
}

// weigh returns what one of many idle sockets takes of the heap, by part.
func weigh(tb testing.TB, options server.Options, rooms int) map[string]int64 {
	tb.Helper()
	const clients = 1000
	former := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	defer func() { runtime.MemProfileRate = former }()
	options.ParkAfter = time.Millisecond
	s, url := start(tb, options)
	server.Handle(s.Of("/"), "join", func(ctx context.Context, s *server.Socket, rooms []string) (string, error) {
		return "", s.Join(ctx, rooms...)
	})
	address, err := net.ResolveTCPAddr("tcp4", strings.TrimPrefix(url, "http://"))
	if err != nil {
		tb.Fatal(err)
	}
	before := heapByPart()
	for n := range clients {
		var names []string
		for room := range rooms { // each has ten members
			names = append(names, fmt.Sprintf("room %d of %d", room, n/10))
		}
		c := dialIdler(tb, address, names)
		defer func() { _ = syscall.Close(int(c)) }()
	}
	for server.Parked(s) < clients {
		<-time.After(time.Millisecond)
	}
	weights := heapByPart()
	for part := range weights {
		weights[part] = (weights[part] - before[part]) / clients
	}
	return weights
}

// What a client costs that is connected and does nothing, by part, and how much more
// it is with recovery.
func BenchmarkWeight_IdleSocket(b *testing.B) {
	for _, rooms := range []int{0, 10} {
		b.Run(fmt.Sprintf("%d rooms", rooms), func(b *testing.B) {
			weights := weigh(b, server.Options{}, rooms)
			plain := total(weights)
			recoverable := total(weigh(b, server.Options{Recovery: &server.Recovery{}}, rooms))
			for b.Loop() {
			}
			for part, bytes := range weights {
				b.ReportMetric(float64(bytes), "B-"+part)
			}
			b.ReportMetric(float64(plain), "B-total")
			b.ReportMetric(float64(recoverable-plain), "B-recovery")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func total(weights map[string]int64) int64 {
	sum := int64(0)
	for _, bytes := range weights {
		sum += bytes
	}
	return sum
}

// An idle socket is small, and so is one in ten rooms.
func TestWeight_IdleSocketIsSmall(t *testing.T) {
	for rooms, limit := range map[int]int64{0: 3200, 10: 4500} {
		weights := weigh(t, server.Options{}, rooms)
		if got := total(weights); got > limit {
			t.Errorf("in %d rooms: %d bytes, want at most %d: %v", rooms, got, limit, weights)
		}
	}
}
