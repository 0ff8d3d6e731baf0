package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPolling_PollWaitsAndTakesAllThatIsQueued(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	poll := p.poll(r)
	if err := r.session.Send(NewMessage([]byte("a"))); err != nil {
		t.Fatal(err)
	}
	a := <-poll
	a.expect(t, http.StatusOK, "4a")
	if a.header.Get("Content-Type") != "text/plain; charset=UTF-8" || a.header.Get("Content-Length") != "2" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got headers %q", a.header)
	}
	for _, text := range []string{"b", "c"} {
		_ = r.session.Send(NewMessage([]byte(text), []byte(text)))
	}
	p.get().expect(t, http.StatusOK, "4b\x1ebYg==\x1e4c\x1ebYw==")
	if n := r.session.QueuedBytes(); n != 0 {
		t.Errorf("%d bytes are queued after the poll", n)
	}
}

func TestPolling_PostIsAnsweredWhenTheReceiverHasIt(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	a := p.post("4a\x1ebAQID\x1e4b")
	a.expect(t, http.StatusOK, "ok")
	if a.header.Get("Content-Type") != "text/html" || a.header.Get("Content-Length") != "2" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got headers %q", a.header)
	}
	if got := strings.Join(r.messages(), " "); got != "a binary:\x01\x02\x03 b" {
		t.Errorf("received %q", got)
	}
}

func TestPolling_SecondPollEndsTheSessionAndReleasesTheFirst(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	first := p.poll(r)
	p.get().expect(t, http.StatusBadRequest, "")
	(<-first).expect(t, http.StatusOK, "1")
	if end := f.awaitEnd(r); end.reason != ReasonTransportError || !errors.Is(end.cause, errPending) {
		t.Errorf("session ended with %v", end)
	}
	p.get().expect(t, http.StatusBadRequest, unknownSession)
}

func TestPolling_SecondPostEndsTheSessionAndReleasesTheFirst(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	body, write := io.Pipe()
	request, _ := http.NewRequest("POST", f.base+"?"+p.query(), body)
	first := make(chan int, 1)
	go func() {
		response, err := f.client.Do(request)
		if err != nil {
			first <- 0 // the connection was closed while the body was being sent
			return
		}
		_ = response.Body.Close()
		first <- response.StatusCode
	}()
	f.eventually("first POST", func() bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		return r.session.polling.body != nil
	})
	p.post("4x").expect(t, http.StatusBadRequest, "")
	f.expectEnd(r, ReasonTransportError)
	_ = write.Close()
	if status := <-first; status == http.StatusOK {
		t.Error("the first POST was accepted")
	}
	if got := r.messages(); len(got) != 0 {
		t.Errorf("received %q", got)
	}
}

func TestPolling_BadPostsEndTheSession(t *testing.T) {
	const text, octets = "text/plain;charset=UTF-8", "application/octet-stream"
	tests := map[string]struct {
		kind, body string
		status     int
		reason     Reason
		received   string
	}{
		"octet-stream":            {octets, "4a", 400, ReasonTransportError, ""},
		"octet-stream, q":         {"Application/Octet-Stream; q=1", "4a", 400, ReasonTransportError, ""},
		"unknown type":            {text, "4a\x1e9", 400, ReasonParseError, "a"},
		"empty body":              {text, "", 400, ReasonParseError, ""},
		"control bytes":           {text, "\x00\x01", 400, ReasonParseError, ""},
		"ping":                    {text, "2", 400, ReasonTransportError, ""},
		"separators":              {text, strings.Repeat("\x1e", 1_000_000), 400, ReasonParseError, ""},
		"over MaxPayload":         {text, "4" + strings.Repeat("a", 1_000_000), 413, ReasonTransportError, ""},
		"refused by the receiver": {text, "4refuse\x1e4b", 400, ReasonForcedClose, "refuse"},
		"panic":                   {text, "4panic", 400, ReasonTransportError, "panic"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := onSockets(t, Options{})
			f.onText = func(_ *recorder, data []byte) error {
				switch string(data) {
				case "refuse":
					return errors.New("refused")
				case "panic":
					panic("receiver")
				}
				return nil
			}
			p, r := f.openPolling()
			a := p.do("POST", p.query(), tt.body, "Content-Type", tt.kind)
			if a.status != tt.status || a.body != "" {
				t.Errorf("got %d %q %v, want %d", a.status, a.body, a.err, tt.status)
			}
			f.expectEnd(r, tt.reason)
			if got := strings.Join(r.messages(), " "); got != tt.received {
				t.Errorf("received %q, want %q", got, tt.received)
			}
			if tt.reason != ReasonForcedClose {
				p.get().expect(t, 400, unknownSession)
			} else {
				p.get().expect(t, 200, "1")
			}
		})
	}
}

func TestPolling_BodyOfExactlyMaxPayloadIsAccepted(t *testing.T) {
	f := onSockets(t, Options{MaxPayload: 1000})
	p, r := f.openPolling()
	p.post("4"+strings.Repeat("a", 999)).expect(t, http.StatusOK, "ok")
	f.expectOpen(r)
}

// rawPost writes a POST by hand and returns the connection.
func (p *poller) rawPost(headers, body string) net.Conn {
	p.t.Helper()
	return p.rawRequest("POST", headers+"\r\n", body)
}

func (p *poller) rawRequest(method, headers, body string) net.Conn {
	p.t.Helper()
	conn, err := net.Dial("tcp", strings.Split(p.base, "/")[2])
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	_, _ = fmt.Fprintf(conn, "%s /socket.io/?%s HTTP/1.1\r\nHost: x\r\n%s\r\n%s", method, p.query(), headers, body)
	return conn
}

func statusOf(conn net.Conn) (int, error) {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func TestPolling_LargeBodyIsRefusedWithoutBeingRead(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	if status, err := statusOf(p.rawPost("Content-Length: 1000001", "")); status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %v, want 413", status, err)
	}
	f.expectEnd(r, ReasonTransportError)
}

func TestPolling_ChunkedBodyWithoutEndIsRefusedAtTheLimit(t *testing.T) {
	f := onSockets(t, Options{MaxPayload: 10_000})
	p, r := f.openPolling()
	conn := p.rawPost("Transfer-Encoding: chunked", "4e20\r\n"+strings.Repeat("a", 20_000))
	if status, err := statusOf(conn); status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %v, want 413", status, err)
	}
	f.expectEnd(r, ReasonTransportError)
}

func TestPolling_OctetStreamIsRefusedBeforeItsBody(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	conn := p.rawPost("Content-Type: application/octet-stream\r\nContent-Length: 1000", "")
	if status, err := statusOf(conn); status != http.StatusBadRequest {
		t.Errorf("got %d %v, want 400", status, err)
	}
	f.expectEnd(r, ReasonTransportError)
}

func TestPolling_ClientsThatLeaveEndTheirSessions(t *testing.T) {
	f := onSockets(t, Options{})
	entered := make(chan struct{})
	release := make(chan struct{})
	f.onText = func(*recorder, []byte) error { close(entered); <-release; return nil }
	defer close(release)
	for range 60 {
		p, r := f.openPolling()
		conn := p.rawRequest("GET", "", "")
		f.eventually("waiting poll", func() bool {
			r.session.mu.Lock()
			defer r.session.mu.Unlock()
			return r.session.polling.waiting != nil
		})
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		f.expectEnd(r, ReasonTransportError)
	}

	p, r := f.openPolling()
	conn := p.rawPost("Content-Length: 10", "4a")
	f.eventually("POST", func() bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		return r.session.polling.body != nil
	})
	_ = conn.Close()
	f.expectEnd(r, ReasonTransportError)

	// Even while the receiver blocks.
	p, r = f.openPolling()
	conn = p.rawPost("Content-Length: 2", "4a")
	<-entered
	_ = conn.Close()
	f.expectEnd(r, ReasonTransportError)
}

func TestPolling_OtherMethodsLeaveTheSessionAlone(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
		p.do(method, p.query(), "", "X-Echo", "echo").expect(t, http.StatusInternalServerError, "")
	}
	f.expectOpen(r)
	p.post("4a").expect(t, http.StatusOK, "ok")
}

func TestPolling_ClosePacketOfTheClient(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	poll := p.poll(r)
	p.post("4a\x1e1\x1e4b").expect(t, http.StatusOK, "ok")
	(<-poll).expect(t, http.StatusOK, "6")
	f.expectEnd(r, ReasonTransportClose)
	f.expectMessages(r, "a")
	p.get().expect(t, http.StatusBadRequest, unknownSession)
}

func TestPolling_CloseReleasesThePollWithWhatIsQueued(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	poll := p.poll(r)
	r.session.Close()
	r.session.Close()
	(<-poll).expect(t, http.StatusOK, "1")
	f.expectEnd(r, ReasonForcedClose)
	p.get().expect(t, http.StatusBadRequest, unknownSession)
	if err := r.session.Send(NewMessage(nil)); !errors.Is(err, ErrClosed) {
		t.Errorf("Send got %v, want ErrClosed", err)
	}
}

func TestPolling_ClosePacketIsKeptForThirtySeconds(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		p, r := f.openPolling()
		_ = r.session.Send(NewMessage([]byte("last")))
		r.session.Close()
		f.expectEnd(r, ReasonForcedClose)
		<-time.After(lingerTime - time.Second)
		p.post("4x").expect(t, http.StatusBadRequest, unknownSession)
		p.get().expect(t, http.StatusOK, "4last")
		p.get().expect(t, http.StatusOK, "1") // alone: official clients lose what is beside it
		p.get().expect(t, http.StatusBadRequest, unknownSession)
		if r.session.polling.linger.Stop() {
			t.Error("the timer outlives the close packet")
		}

		p, r = f.openPolling()
		r.session.Close()
		<-time.After(lingerTime + time.Second)
		p.get().expect(t, http.StatusBadRequest, unknownSession)
	})
}

func TestPolling_SlowBodyIsGivenUp(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		p, r := f.openPolling()
		start := time.Now()
		body, write := io.Pipe()
		var writing sync.WaitGroup
		writing.Go(func() {
			for {
				if _, err := write.Write([]byte("4")); err != nil {
					return
				}
				<-time.After(2 * time.Second)
			}
		})
		request, _ := http.NewRequest("POST", f.base+"?"+p.query(), body)
		response, err := f.client.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		f.expectEnd(r, ReasonTransportError)
		if took := time.Since(start); took > 35*time.Second {
			t.Errorf("took %v, want at most 35s", took)
		}
		_ = body.Close()
		writing.Wait()
	})
}

func TestPolling_QueueBeyondTheLimitEndsTheSession(t *testing.T) {
	f := onSockets(t, Options{MaxSendQueueBytes: 1000})
	p, r := f.openPolling()
	m := NewMessage([]byte(strings.Repeat("x", 300)))
	var err error
	sent := 0
	for ; err == nil && sent < 100; sent++ {
		err = r.session.Send(m)
	}
	if !errors.Is(err, ErrSlowConsumer) || sent != 4 {
		t.Errorf("message %d got %v, want ErrSlowConsumer for the fourth", sent, err)
	}
	if end := f.awaitEnd(r); end.reason != ReasonTransportError || !errors.Is(end.cause, ErrSlowConsumer) {
		t.Errorf("session ended with %v", end)
	}
	p.get().expect(t, http.StatusBadRequest, unknownSession)
	if got := f.engine.Stats().SlowConsumers; got != 1 {
		t.Errorf("counted %d slow consumers, want 1", got)
	}
	// Whatever its size, one message may wait.
	p, r = f.openPolling()
	if err := r.session.Send(NewMessage(make([]byte, 5000))); err != nil {
		t.Error(err)
	}
	if a := p.get(); len(a.body) != 5001 {
		t.Errorf("got %d bytes", len(a.body))
	}
}

func TestPolling_PostsWaitForThePollsWhileHalfTheQueueIsUsed(t *testing.T) {
	inBubble(t, Options{MaxSendQueueBytes: 1000}, func(f *fixture) {
		f.onText = echo
		p, r := f.openPolling()
		packet := "4" + strings.Repeat("x", 300)
		posted := make(chan answer, 1)
		post := func() { posted <- p.post(strings.Repeat(packet+"\x1e", 9) + packet) }
		go post()
		for got := 0; got < 10; {
			synctest.Wait()
			if n := r.session.QueuedBytes(); n > 1000 {
				t.Fatalf("%d bytes are queued", n)
			}
			got += strings.Count(p.get().body, "4x")
		}
		(<-posted).expect(t, http.StatusOK, "ok")
		f.expectOpen(r)

		// A client that never polls is not waited for any longer than a pong.
		start := time.Now()
		go post()
		f.expectEnd(r, ReasonPingTimeout)
		if took := time.Since(start); took > 46*time.Second {
			t.Errorf("ended after %v", took)
		}
		<-posted
	})
}

func TestPolling_VolatileNeedsAWaitingPoll(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	if r.session.SendVolatile(NewMessage([]byte("dropped"))) {
		t.Error("taken without a poll")
	}
	poll := p.poll(r)
	if !r.session.SendVolatile(NewMessage([]byte("taken"))) {
		t.Error("dropped although a poll waited")
	}
	if a := <-poll; a.body != "4taken" {
		t.Errorf("got %q", a.body)
	}
}

func TestPolling_DropVolatileQueuesUpToTheLimit(t *testing.T) {
	f := onSockets(t, Options{MaxSendQueueBytes: 10, SlowConsumer: DropVolatile})
	p, r := f.openPolling()
	for i, want := range []bool{true, true, false} {
		if got := r.session.SendVolatile(NewMessage([]byte("12"))); got != want {
			t.Errorf("message %d was taken: %v, want %v", i, got, want)
		}
	}
	p.get().expect(t, http.StatusOK, "412\x1e412")
	f.expectOpen(r)
}

func TestPolling_FourHundredPollsDelayNobody(t *testing.T) {
	f := onSockets(t, Options{PingInterval: time.Hour})
	f.client.Timeout = 0 // the first poll waits until the last has come
	var polls []<-chan answer
	var sessions []*recorder
	for range 400 {
		p, r := f.openPolling()
		polls, sessions = append(polls, p.poll(r)), append(sessions, r)
	}
	p, r := f.openPolling()
	start := time.Now()
	p.post("4x").expect(t, http.StatusOK, "ok")
	f.expectMessages(r, "x")
	if took := time.Since(start); took > time.Second {
		t.Errorf("a POST took %v", took)
	}
	for i, r := range sessions {
		_ = r.session.Send(NewMessage([]byte("x")))
		(<-polls[i]).expect(t, http.StatusOK, "4x")
	}
}

func BenchmarkPolling_SendAndPoll(b *testing.B) {
	for _, size := range []int{128, 8 << 10} {
		b.Run(fmt.Sprintf("%d_bytes", size), func(b *testing.B) {
			f := onSockets(b, Options{PingInterval: time.Hour})
			p, r := f.openPolling()
			m := NewMessage([]byte(strings.Repeat("x", size)))
			b.ReportAllocs()
			for b.Loop() {
				_ = r.session.Send(m)
				if a := p.do("GET", p.query(), "", "Accept-Encoding", "identity"); len(a.body) != size+1 {
					b.Fatalf("got %d bytes, %v", len(a.body), a.err)
				}
			}
		})
	}
}
