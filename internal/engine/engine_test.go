package engine

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestEngine_CloseEndsEverySession(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		c, onSocket := f.openSocket()
		p, waiting := f.openPolling()
		idle, between := f.openPolling()
		probed, probing := f.openPolling()
		probe := probed.probe()
		kept, lingering := f.openPolling()
		lingering.session.Close()
		poll := p.poll(waiting)
		var hearing sync.WaitGroup
		hearing.Go(func() { c.expectCode(1000) })
		hearing.Go(probe.expectGone)
		start := time.Now()
		f.stop()
		if took := time.Since(start); took != hurriedCloseTimeout {
			t.Errorf("took %v, want the %v of the upgrade that is not finished", took, hurriedCloseTimeout)
		}
		hearing.Wait()
		for _, r := range []*recorder{onSocket, waiting, between, probing} {
			f.expectEnd(r, ReasonShutdown)
		}
		f.expectEnd(lingering, ReasonForcedClose) // it had ended before
		(<-poll).expect(t, http.StatusOK, "1")
		for _, p := range []*poller{idle, kept} {
			if a := p.get(); a.status != http.StatusServiceUnavailable {
				t.Errorf("a poll after Close got %d, want 503", a.status)
			}
		}
		if a := f.do("GET", pollQuery, ""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("a handshake after Close got %d, want 503", a.status)
		}
		if _, a := f.tryDial(socketQuery, nil); a.status != http.StatusServiceUnavailable {
			t.Errorf("a WebSocket after Close got %d, want 503", a.status)
		}
		if s := f.engine.Stats(); s.Polling != 0 || s.WebSocket != 0 || s.Closed[ReasonShutdown] != 4 || s.Closed[ReasonForcedClose] != 1 {
			t.Errorf("got %+v", s)
		}
		if err := f.engine.Close(f.t.Context()); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	})
}

func TestEngine_CloseWaitsNoLongerThanItsContext(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		f.onText = func(*recorder, []byte) error { <-time.After(time.Minute); return nil }
		c, r := f.openSocket()
		c.send("4x")
		f.expectMessages(r, "x")
		ctx, cancel := context.WithTimeout(f.t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := f.engine.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
		if err := f.engine.Close(context.Background()); err != nil {
			t.Errorf("got %v from a Close that may wait", err)
		}
	})
}

func TestEngine_CloseDoesNotWaitForSlowBodies(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	p.rawPost("Content-Length: 10", "4a")
	f.eventually("POST", func() bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		return r.session.polling.body != nil
	})
	start := time.Now()
	f.stop()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestEngine_CloseRacesWithHandshakes(t *testing.T) {
	f := onSockets(t, Options{})
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for range 20 {
				if conn, a := f.tryDial(socketQuery, nil); a.err == nil {
					defer func() { _ = conn.Close() }()
				}
				f.do("GET", pollQuery, "")
			}
		})
	}
	f.eventually("handshakes", func() bool { return f.engine.Stats().Opened > 50 })
	f.stop()
	clients.Wait()
	s := f.engine.Stats()
	if s.Polling != 0 || s.WebSocket != 0 || s.Closed[ReasonShutdown] != s.Opened-s.Closed[ReasonTransportClose] {
		t.Errorf("got %+v", s)
	}
}

// Clients that answer at once must not overtake the session that they answer to.
func TestEngine_TwoThousandHandshakesAtFullRate(t *testing.T) {
	f := onSockets(t, Options{})
	f.onText = echo
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			for range 50 {
				conn, a := f.tryDial(socketQuery, nil)
				if a.err != nil {
					t.Error(a.err)
					return
				}
				c := &peer{t: t, conn: conn, patience: patience}
				c.sendRaw(frame(0x81, "40"))
				sidOf(t, c.read())
				if got, err := c.tryRead(); got != "40" || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
				_ = conn.Close()
			}
			for range 13 {
				a := f.do("GET", pollQuery, "")
				p := &poller{f, sidOf(t, a.body)}
				p.post("40").expect(t, http.StatusOK, "ok")
				p.get().expect(t, http.StatusOK, "40")
				p.post("1").expect(t, http.StatusOK, "ok")
			}
		})
	}
	clients.Wait()
	f.eventually("sessions forgotten", func() bool { return len(f.engine.snapshot()) == 0 })
	if got := f.engine.Stats().Opened; got != 32*63 {
		t.Errorf("%d sessions were opened", got)
	}
}

func TestEngine_ThousandsOfPipelinedEchoesAreInOrder(t *testing.T) {
	f := onSockets(t, Options{})
	f.onText = echo
	c, _ := f.openSocket()
	text := strings.Repeat("x", 20_000)
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range 1000 {
			_ = c.conn.WriteMessage(websocket.TextMessage, []byte("4"+string(rune('a'+i%26))+text))
		}
	})
	for i := range 1000 {
		c.expect("4" + string(rune('a'+i%26)) + text)
	}
	writing.Wait()
}

func TestEngine_SlowHeadersAreGivenUp(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		conn, err := f.dialer.NetDialContext(f.t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var writing sync.WaitGroup
		writing.Go(func() {
			for _, b := range []byte("GET /?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n") {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				<-time.After(2 * time.Second)
			}
		})
		_, _ = io.ReadAll(conn)
		if took := time.Since(start); took > 35*time.Second {
			t.Errorf("took %v, want at most 35s", took)
		}
		_ = conn.Close()
		writing.Wait()
	})
}

func TestEngine_LargeHeadersAreRefused(t *testing.T) {
	f := onSockets(t, Options{})
	for name, header := range map[string]string{
		"100 KB of Cookie":     "Cookie: " + strings.Repeat("x", 100<<10),
		"1 MB of headers":      "X-Large: " + strings.Repeat("x", 1<<20),
		"2,500 headers":        strings.Repeat("X-Many: xxxxxxxxxx\r\n", 2500) + "X-Last: x",
		"Origin with NUL":      "Origin: https://a\x00b",
		"Origin with DEL":      "Origin: https://a\x7fb",
		"Origin with 0x01":     "Origin: https://a\x01b",
		"Origin with a CR":     "Origin: https://a\rb",
		"negative body length": "Content-Length: -1",
	} {
		conn, err := net.Dial("tcp", strings.Split(f.base, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET /?"+pollQuery+" HTTP/1.1\r\nHost: x\r\n"+header+"\r\n\r\n")
		if status, err := statusOf(conn); errors.Is(err, os.ErrDeadlineExceeded) || err == nil && (status < 400 || status > 499) {
			t.Errorf("%s: got %d, %v, want 4xx or close", name, status, err)
		}
		_ = conn.Close()
	}
}

func TestEngine_UnreadBodiesDoNotKeepAConnection(t *testing.T) {
	f := onSockets(t, Options{ReadBodyTimeout: 300 * time.Millisecond})
	for _, method := range []string{"GET", "PUT", "POST"} {
		conn, err := net.Dial("tcp", strings.Split(f.base, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, method+" /?EIO=4&transport=none HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection was not closed", method)
		}
		_ = conn.Close()
	}
}

func TestEngine_PanicOfClosedIsCounted(t *testing.T) {
	f := onSockets(t, Options{})
	f.engine.accept = func(*Session) Receiver { return panicker{} }
	c := f.dial(socketQuery)
	_ = c.conn.Close()
	f.eventually("panic", func() bool { return f.engine.Stats().Panics == 1 })
}

type panicker struct{}

func (panicker) Text([]byte) error    { return nil }
func (panicker) Binary([]byte) error  { return nil }
func (panicker) Closed(Reason, error) { panic("closed") }

func TestEngine_LogNamesReasonsAndNeverTheSession(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	f := onSockets(t, Options{CloseTimeout: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil))})
	c, r := f.openSocket()
	c.send("9")
	f.expectEnd(r, ReasonParseError)
	f.do("GET", pollQuery+"&sid=secret", "")
	f.stop()
	mu.Lock()
	defer mu.Unlock()
	got := log.String()
	for _, want := range []string{`"engine: session closed: parse error"`, `"engine: request refused: session_unknown"`} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %s: %s", want, got)
		}
	}
	if strings.Contains(got, c.sid) || strings.Contains(got, "secret") {
		t.Errorf("the log shows a session's id: %s", got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestEngine_StatsSumUpTheQueues(t *testing.T) {
	f := onSockets(t, Options{})
	for i := range 3 {
		_, r := f.openPolling()
		_ = r.session.Send(NewMessage(make([]byte, 100*i)))
	}
	// Headers of 2, 2 and 4 bytes, and a packet type each.
	if s := f.engine.Stats(); s.QueuedBytes != 3+103+205 || s.MaxQueuedBytes != 205 {
		t.Errorf("got %d and %d bytes", s.QueuedBytes, s.MaxQueuedBytes)
	}
}
