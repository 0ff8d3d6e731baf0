package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	gosync "sync"
	"syscall"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// sink is a client's connection that takes whatever is written at once: its
// writes go to /dev/null, so that a benchmark measures this code and the price
// of a system call, with as many clients as it likes.
type sink struct {
	net.Conn
	null   syscall.RawConn
	in     *bytes.Reader // what the client sends
	closed chan struct{}
	once   gosync.Once // closes closed
	writes func()      // called before each write, if it is set
}

// newSink is a WebSocket client that connects to the main namespace, joins room, sends
// more and then only listens.
func newSink(null syscall.RawConn, room string, more ...string) *sink {
	var in bytes.Buffer
	for _, text := range append([]string{"40", `420["join",["` + room + `"]]`}, more...) {
		in.Write([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) // masked with zeros
		in.WriteString(text)
	}
	return &sink{null: null, in: bytes.NewReader(in.Bytes()), closed: make(chan struct{})}
}

func (c *sink) SyscallConn() (syscall.RawConn, error) { return (*sinkRaw)(c), nil }

func (c *sink) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *sink) Read([]byte) (int, error) {
	<-c.closed
	return 0, net.ErrClosed
}

func (c *sink) SetDeadline(time.Time) error      { return nil }
func (c *sink) SetReadDeadline(time.Time) error  { return nil }
func (c *sink) SetWriteDeadline(time.Time) error { return nil }
func (c *sink) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *sink) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *sink) Write(b []byte) (int, error)      { return len(b), nil }

// sinkRaw is the sink's descriptor: nothing to read after the first messages,
// always room to write.
type sinkRaw sink

func (c *sinkRaw) Control(f func(uintptr)) error { return c.null.Control(f) }

func (c *sinkRaw) Read(func(uintptr) bool) error {
	<-c.closed
	return net.ErrClosed
}

func (c *sinkRaw) Write(f func(uintptr) bool) error {
	if c.writes != nil {
		c.writes()
	}
	return c.null.Write(f)
}

// hijackable is a response from which the sink is taken.
type hijackable struct {
	http.ResponseWriter
	conn *sink
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	// What the client sends comes as what the HTTP server has already read.
	reader := bufio.NewReader(h.conn.in)
	_, _ = reader.Peek(1)
	return h.conn, bufio.NewReadWriter(reader, bufio.NewWriter(h.conn)), nil
}

// rawFile is what a sink writes to.
func rawFile(tb testing.TB, name string) syscall.RawConn {
	tb.Helper()
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = file.Close() })
	raw, err := file.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// listen connects a client to s.
func listen(s *server.Server, c *sink) {
	r := httptest.NewRequest(http.MethodGet, "/socket.io/?EIO=4&transport=websocket", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-Websocket-Version": "13", "Sec-Websocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
	} {
		r.Header.Set(name, value)
	}
	s.ServeHTTP(&hijackable{httptest.NewRecorder(), c}, r)
}

// audience runs a server with clients that are sinks in rooms.
func audience(tb testing.TB, clients int, room func(i int) string) *server.Server {
	tb.Helper()
	return audienceOf(tb, server.Options{}, clients, room)
}

// audienceOf is audience of a server with options.
func audienceOf(tb testing.TB, options server.Options, clients int, room func(i int) string) *server.Server {
	tb.Helper()
	s, _ := start(tb, options)
	null := rawFile(tb, os.DevNull) // closed before the server is, so that no client is waited for
	joined := make(chan struct{}, clients)
	server.On(s.Of("/"), "join", func(ctx context.Context, s *server.Socket, rooms []string) error {
		err := s.Join(ctx, rooms...)
		joined <- struct{}{}
		return err
	})
	for i := range clients {
		listen(s, newSink(null, room(i)))
	}
	for range clients {
		receive(tb, joined)
	}
	return s
}

var payload = map[string]any{"id": 12345, "text": strings.Repeat("x", 100)}

// One broadcast to all members of a room, from Emit until the last write.
func BenchmarkEmit_Fanout(b *testing.B) {
	for _, clients := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			s := audience(b, clients, func(int) string { return "room" })
			room := s.To("room")
			b.ReportAllocs()
			for b.Loop() {
				if err := room.Emit("msg", payload); err != nil {
					b.Fatal(err)
				}
				server.Drain(s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*clients), "ns/delivery")
		})
	}
}

// Broadcasts that come faster than they are written are joined.
func BenchmarkEmit_Saturated(b *testing.B) {
	const clients = 1_000
	s := audience(b, clients, func(int) string { return "room" })
	room := s.To("room")
	b.ReportAllocs()
	for b.Loop() {
		if err := room.Emit("msg", payload); err != nil {
			b.Fatal(err)
		}
	}
	server.Drain(s)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*clients), "ns/delivery")
}

// A room of ten among a thousand rooms.
func BenchmarkEmit_SmallRoom(b *testing.B) {
	s := audience(b, 10_000, func(i int) string { return fmt.Sprint("room", i/10) })
	b.ReportAllocs()
	for b.Loop() {
		if err := s.To("room500").Emit("msg", payload); err != nil {
			b.Fatal(err)
		}
		server.Drain(s)
	}
}

// echo runs a server that answers an event with what it brought, not decoded, and returns
// what sends one over a WebSocket and reads the answer. That allocates nothing itself.
func echo(tb testing.TB) func() {
	tb.Helper()
	s, url := start(tb, server.Options{})
	server.On(s.Of("/"), "echo", func(_ context.Context, _ *server.Socket, a server.Args) error {
		return a.Ack(a.At(0))
	})
	client, _ := rawclient.Join(tb, url, "/", nil)
	tb.Cleanup(client.Close)
	conn := client.Conn().NetConn()
	const value = `{"id":12345,"text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}`
	event, answer := frame(0x81, `427["echo",`+value+`]`), `437[`+value+`]`
	got := make([]byte, 2+len(answer)) // a short frame's head
	return func() {
		if _, err := conn.Write(event); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(conn, got); err != nil || string(got[2:]) != answer {
			tb.Fatalf("got %q, %v", got, err)
		}
	}
}

// An event, its handler and its acknowledgement.
func BenchmarkEcho(b *testing.B) {
	round := echo(b)
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
}
