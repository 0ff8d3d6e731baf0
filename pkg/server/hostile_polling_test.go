package server_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// pending sends a request that is not answered at once and returns its connection.
func (p *poller) pending(text string) (net.Conn, *bufio.Reader) {
	p.t.Helper()
	conn := p.v.connect(p.t)
	if _, err := io.WriteString(conn, text); err != nil {
		p.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// polls starts a GET for which nothing is there yet, and proves that it waits: a
// packet that is sent afterwards answers it in the end.
func (p *poller) polls() (net.Conn, *bufio.Reader) {
	p.t.Helper()
	return p.pending(request("GET", p.query(), ""))
}

// half is a POST of which one byte is missing.
func (p *poller) half() string {
	return strings.TrimSuffix(request("POST", p.query(), `42["evil"]`), "]")
}

func TestHostilePolling_SecondRequestWhileOneIsPending(t *testing.T) {
	v := besiege(t, server.Options{})
	t.Run("GET", func(t *testing.T) {
		// Either may reach the server first; that one is released, the other refused.
		p := v.enter(t)
		a, ra := p.polls()
		b, rb := p.polls()
		statuses := map[int]string{}
		for _, got := range []answer{readAnswer(a, ra, "GET"), readAnswer(b, rb, "GET")} {
			statuses[got.status] = got.body
		}
		if body, ok := statuses[400]; !ok || body != "" || statuses[200] != "1" {
			t.Errorf("answers by status: %v, want an empty 400 and a 200 with the close packet", statuses)
		}
		p.ended()
		v.unharmed(t)
	})
	t.Run("POST", func(t *testing.T) {
		p := v.enter(t)
		first, reader := p.pending(p.half())
		second := answer{}
		eventually(t, "a refused POST", func() bool {
			// Until the server has the first one this is the only one.
			second = p.post(`42["nobody"]`)
			return second.status == http.StatusBadRequest
		})
		if a := readAnswer(first, reader, "POST"); a.status == http.StatusOK || a.status == silence {
			t.Errorf("the first POST got %d, want it released without success", a.status)
		}
		p.ended()
		v.unharmed(t)
	})
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events of unfinished requests were handled", n)
	}
}

func TestHostilePolling_OctetStream(t *testing.T) {
	v := besiege(t, server.Options{})
	givesBack(t, v, func() {
		for range 20 {
			p := v.enter(t)
			if a := p.post(`42["evil"]`, "Content-Type: application/octet-stream"); a.status != http.StatusBadRequest {
				t.Errorf("got %d, want 400", a.status)
			}
			p.ended()
		}
	})
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events were handled", n)
	}
}

func TestHostilePolling_BodyOverMaxPayload(t *testing.T) {
	v := besiege(t, server.Options{MaxPayload: 10_000})
	t.Run("announced", func(t *testing.T) {
		p := v.enter(t)
		a := v.ask(t, request("POST", p.query(), "", "Content-Length: 10001")) // without a body
		if a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("got %d, want 413 before the body", a.status)
		}
		p.ended()
		v.unharmed(t)
	})
	t.Run("chunked without end", func(t *testing.T) {
		p := v.enter(t)
		conn, reader := p.pending(request("POST", p.query(), "", "Transfer-Encoding: chunked"))
		chunk := "1000\r\n" + strings.Repeat("4", 0x1000) + "\r\n"
		for range 4 {
			_, _ = io.WriteString(conn, chunk)
		}
		if a := readAnswer(conn, reader, "POST"); a.status != 0 && a.status/100 != 4 {
			t.Errorf("got %d, want 413, 400 or a close", a.status)
		}
		p.ended()
		v.unharmed(t)
	})
}

func TestHostilePolling_InvalidPayloadsEndTheSession(t *testing.T) {
	v := besiege(t, server.Options{})
	for name, body := range map[string]string{
		"1 MB of separators":     strings.Repeat("\x1e", 1_000_000),
		"unknown type":           "9",
		"letter":                 "x",
		"open packet":            `0{"sid":"x"}`,
		"upgrade packet":         "5",
		"noop":                   "6",
		"empty":                  "",
		"NUL":                    "\x00",
		"control bytes":          "\x01\x02",
		"trailing separator":     "3\x1e",
		"leading separator":      "\x1e3",
		"ping":                   "2",
		"probe":                  "2probe",
		"not UTF-8":              "42[\"evil\",\"\xff\"]",
		"broken base64":          "b====",
		"base64 without padding": "bAA",
		"binary not due":         "bAAAA",
		"after a good packet":    "3\x1e9\x1e42[\"evil\"]",
	} {
		t.Run(name, func(t *testing.T) {
			p := v.enter(t)
			if a := p.post(body); a.status != http.StatusBadRequest {
				t.Errorf("got %d %q, want 400", a.status, a.body)
			}
			if a := p.get(); a.body != "1" { // the last GET may still find the close packet
				a.refused(t, "GET after the end", 1)
			}
			p.ended()
			v.unharmed(t)
		})
	}
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events of invalid payloads were handled", n)
	}
}

func TestHostilePolling_SessionOfAWebSocketIsUnharmed(t *testing.T) {
	v := besiege(t, server.Options{})
	conn, reader := (&poller{t: t, v: v}).pending(upgrading(socketQuery))
	if a := readAnswer(conn, reader, "GET"); a.status != http.StatusSwitchingProtocols {
		t.Fatalf("got %d", a.status)
	}
	_, open := readFrame(t, conn, reader)
	p := &poller{t, v, sidOf(t, string(open))}
	for range 3 {
		p.get().refused(t, "GET", 3)
		p.post(`42["evil"]`).refused(t, "POST", 3)
	}
	_, _ = conn.Write(frame(0x81, "40"))
	if _, reply := readFrame(t, conn, reader); !strings.HasPrefix(string(reply), `40{"sid":`) {
		t.Errorf("CONNECT was answered %q", reply)
	}
}

func TestHostilePolling_CloseReleasesThePoll(t *testing.T) {
	v := besiege(t, server.Options{})
	p := v.enter(t)
	conn, reader := p.polls()
	if a := p.post("1"); a.status != http.StatusOK {
		t.Errorf("the close packet got %d", a.status)
	}
	// A poll that came after the close packet is refused; it does not wait either.
	if a := readAnswer(conn, reader, "GET"); a.body != "6" {
		a.refused(t, "the pending poll", 1)
	}
	p.ended()
}

// A reset must not overtake its GET: such a session would be left to the heartbeat.
func TestHostilePolling_ResetPollsLeakNothing(t *testing.T) {
	v := besiege(t, server.Options{})
	givesBack(t, v, func() {
		for range 60 {
			conn, _ := v.enter(t).polls()
			s := receive(t, v.sockets)
			eventually(t, "a poll that waits", func() bool { return server.Listening(s) })
			reset(conn)
		}
	})
}

func TestHostilePolling_PendingPollsHoldUpNobody(t *testing.T) {
	v := besiege(t, server.Options{PingInterval: time.Hour}) // a ping would answer a poll too
	conns := make([]net.Conn, 0, 400)
	readers := make([]*bufio.Reader, 0, 400)
	for range 400 {
		conn, reader := v.enter(t).polls()
		conns, readers = append(conns, conn), append(readers, reader)
	}
	v.unharmed(t)
	v.enter(t).echoes()
	for range len(conns) + 1 { // the one that echoes may be noted before others
		_ = receive(t, v.sockets).Emit("bye")
	}
	for i, conn := range conns {
		if a := readAnswer(conn, readers[i], "GET"); a.status != http.StatusOK || a.body != `42["bye"]` {
			t.Fatalf("a poll got %d %q, want the event", a.status, a.body)
		}
	}
}

// The session ends long before 270 MB are queued, so the rest is not tried.
func TestHostilePolling_ClientThatNeverPolls(t *testing.T) {
	v := besiege(t, server.Options{})
	_ = v.enter(t)
	s := receive(t, v.sockets)
	load := strings.Repeat("x", 64<<10)
	queued := 0
	grows(t, 1<<20, func() {
		var err error
		for err == nil && queued < 270<<20 {
			if err = s.Emit("load", load); err == nil {
				queued += len(load)
			}
		}
		if !errors.Is(err, server.ErrSlowConsumer) {
			t.Errorf("Emit: %v after %d bytes, want ErrSlowConsumer", err, queued)
		}
		if got := receive(t, v.ends); got != server.TransportError {
			t.Errorf("reason %q, want %q", got, server.TransportError)
		}
	})
	if queued > 4<<20 || queued < 4<<20-2*len(load) {
		t.Errorf("%d bytes were queued, want about 4 MiB", queued)
	}
	if n := v.server.Stats().SlowConsumers; n != 1 {
		t.Errorf("SlowConsumers = %d, want 1", n)
	}
	if err := s.Emit("more"); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("Emit afterwards: %v, want ErrDisconnected", err)
	}
}
