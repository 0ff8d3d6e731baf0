package forward

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

const query = "/socket.io/?EIO=4&transport="

// startNodes runs the node that opens sessions and one that forwards to it.
func startNodes(b *testing.B) (owner, other string) {
	b.Helper()
	bus := memory.New()
	var servers []*server.Server
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s, err := server.New(server.Options{
			Adapter: bus, Advertise: "http://" + l.Addr().String(), ClusterSecret: []byte("a secret of the bench"), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		server.Handle(s.Of("/"), "echo", func(_ context.Context, _ *server.Socket, text string) (string, error) { return text, nil })
		web := &http.Server{Handler: s}
		server.ConfigureHTTP(web)
		go func() { _ = web.Serve(l) }()
		b.Cleanup(func() {
			_ = s.Shutdown(context.Background())
			_ = web.Close()
		})
		servers, addresses = append(servers, s), append(addresses, l.Addr().String())
	}
	for deadline := time.Now().Add(10 * time.Second); len(servers[1].Health().Nodes) == 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("the nodes do not know each other")
		}
	}
	return addresses[0], addresses[1]
}

// ask sends a request and returns the body of the answer.
func ask(b *testing.B, method, url, body string) string {
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		b.Fatalf("%s: %d %s %v", method, answer.StatusCode, data, err)
	}
	return string(data)
}

// open opens a session on a node, joined to "/", and returns its id.
func open(b *testing.B, node string) string {
	var opened struct {
		SID string `json:"sid"`
	}
	if err := json.Unmarshal([]byte(ask(b, "GET", "http://"+node+query+"polling", "")[1:]), &opened); err != nil {
		b.Fatal(err)
	}
	url := "http://" + node + query + "polling&sid=" + opened.SID
	ask(b, "POST", url, "40")
	ask(b, "GET", url, "")
	return opened.SID
}

// upgrade makes a session a WebSocket, by way of a node.
func upgrade(b *testing.B, node, id string) *websocket.Conn {
	dialer := websocket.Dialer{ReadBufferSize: 256, WriteBufferSize: 256}
	conn, answer, err := dialer.Dial("ws://"+node+query+"websocket&sid="+id, nil)
	if err != nil {
		b.Fatal(err)
	}
	_ = answer.Body.Close()
	b.Cleanup(func() { _ = conn.Close() })
	exchange(b, conn, "2probe")
	if err := conn.WriteMessage(websocket.TextMessage, []byte("5")); err != nil {
		b.Fatal(err)
	}
	return conn
}

// exchange sends a text and reads one that is no ping.
func exchange(b *testing.B, conn *websocket.Conn, text string) {
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		b.Fatal(err)
	}
	for {
		_, got, err := conn.ReadMessage()
		if err != nil {
			b.Fatal(err)
		}
		if string(got) != "2" {
			return
		}
		_ = conn.WriteMessage(websocket.TextMessage, []byte("3")) // whose loss the next read shows
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// measure runs f, and reports the processor time of one run beside its latency.
func measure(b *testing.B, f func()) {
	before := cpu(b)
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1e3, "cpu-µs/op")
}

const echo = `420["echo","` + "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" + `"]`

// BenchmarkForward_Poll posts an event and polls for its acknowledgement: two requests.
func BenchmarkForward_Poll(b *testing.B) {
	for _, way := range []string{"local", "forwarded"} {
		b.Run(way, func(b *testing.B) {
			owner, other := startNodes(b)
			id, node := open(b, owner), owner
			if way == "forwarded" {
				node = other
			}
			url := "http://" + node + query + "polling&sid=" + id
			measure(b, func() {
				ask(b, "POST", url, echo)
				ask(b, "GET", url, "")
			})
		})
	}
}

// BenchmarkForward_WebSocket sends an event and reads its acknowledgement: two messages.
func BenchmarkForward_WebSocket(b *testing.B) {
	for _, way := range []string{"direct", "relayed"} {
		b.Run(way, func(b *testing.B) {
			owner, other := startNodes(b)
			id, node := open(b, owner), owner
			if way == "relayed" {
				node = other
			}
			conn := upgrade(b, node, id)
			measure(b, func() { exchange(b, conn, echo) })
		})
	}
}

// BenchmarkForward_IdleWebSocket reports the memory of a WebSocket that is at rest, its
// client's part included.
func BenchmarkForward_IdleWebSocket(b *testing.B) {
	const count = 1000
	for _, way := range []string{"direct", "relayed"} {
		b.Run(way, func(b *testing.B) {
			owner, other := startNodes(b)
			node := owner
			if way == "relayed" {
				node = other
			}
			ids := make([]string, count)
			for i := range ids {
				ids[i] = open(b, owner)
			}
			before, goroutines := inUse(), runtime.NumGoroutine()
			conns := make([]*websocket.Conn, count)
			for i, id := range ids {
				conns[i] = upgrade(b, node, id)
				exchange(b, conns[i], echo)
			}
			memory, more := inUse()-before, runtime.NumGoroutine()-goroutines
			for b.Loop() {
				runtime.KeepAlive(conns)
			}
			b.ReportMetric(float64(memory)/count, "B/conn")
			b.ReportMetric(float64(more)/count, "goroutines/conn")
			b.ReportMetric(0, "ns/op") // nothing was timed
		})
	}
}

// inUse is the memory of heap and stacks after a collection.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
