package router

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const upgradeRequest = "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"

// switching accepts an upgrade and has f use the connection.
func switching(t *testing.T, f func(conn net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !isUpgrade(r) || r.Header.Get("Sec-WebSocket-Key") != "k" {
			t.Errorf("the owner got no upgrade: %v", r.Header)
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nfirst")
		f(conn)
	}
}

func read(t *testing.T, conn io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func TestRelay_PassesOnWhatBothSay(t *testing.T) {
	p := newPair(t, Options{}, switching(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) }))
	conn, answer := p.send(t, upgradeRequest+"early")
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") != "y" ||
		answer.Header.Get("Upgrade") != "websocket" || answer.Header.Get("Connection") != "Upgrade" {
		t.Fatalf("got %d with %v", answer.StatusCode, answer.Header)
	}
	read(t, conn, "firstearly")
	for _, size := range []int{1, restSize - 1, restSize, restSize + 1, busySize, 1 << 20, 1} {
		data := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		var writing sync.WaitGroup
		writing.Go(func() { _, _ = conn.Write(data) })
		read(t, conn, string(data))
		writing.Wait()
	}
	if got := p.a.Stats(); got.Relays != 1 || got.Relayed != 1 || got.Forwarded != 0 {
		t.Errorf("stats are %+v", got)
	}
}

// ended waits until no relay is left.
func (p *pair) ended(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); p.a.Stats().Relays > 0; {
		if time.Now().After(deadline) {
			t.Fatal("a relay is left")
		}
		<-time.After(time.Millisecond)
	}
}

func TestRelay_EndsWhenTheOwnerEnds(t *testing.T) {
	p := newPair(t, Options{}, switching(t, func(net.Conn) {}))
	conn, _ := p.send(t, upgradeRequest)
	if got, _ := io.ReadAll(conn); string(got) != "first" {
		t.Errorf("got %q", got)
	}
	p.ended(t)
}

func TestRelay_EndsWhenTheClientEnds(t *testing.T) {
	ended := make(chan struct{})
	p := newPair(t, Options{}, switching(t, func(conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn)
		close(ended)
	}))
	conn, _ := p.send(t, upgradeRequest)
	_ = conn.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the owner's side is still open")
	}
	p.ended(t)
}

func TestRelay_CloseEndsIt(t *testing.T) {
	p := newPair(t, Options{}, switching(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }))
	conn, _ := p.send(t, upgradeRequest)
	read(t, conn, "first")
	if err := p.a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) != 0 || p.a.Stats().Relays != 0 {
		t.Errorf("got %q, stats %+v", got, p.a.Stats())
	}
}

// A client that does not read holds up its own relay only, and not for ever.
func TestRelay_ClientThatDoesNotReadIsClosed(t *testing.T) {
	accepted := make(chan struct{})
	p := newPair(t, Options{WriteTimeout: 1}, switching(t, func(conn net.Conn) {
		close(accepted)
		_, _ = io.Copy(conn, &endless{})
	}))
	p.a.options.WriteTimeout = 50 * time.Millisecond
	conn, err := net.Dial("tcp", p.front.Listener.Addr().String()) // which reads nothing: on a busy machine even the 101 may be late
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, upgradeRequest)
	<-accepted
	p.ended(t)
	if got := p.a.Stats(); got.Relayed != 1 {
		t.Errorf("stats are %+v", got)
	}
}

type endless struct{}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }

func TestRelay_TooManyAreRefused(t *testing.T) {
	p := newPair(t, Options{MaxRelays: 2}, switching(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }))
	for range 2 {
		if _, answer := p.send(t, upgradeRequest); answer.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %d", answer.StatusCode)
		}
	}
	conn, answer := p.send(t, upgradeRequest)
	if err := <-p.failed; !errors.Is(err, ErrFull) || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d, %v", answer.StatusCode, err)
	}
	_ = conn.Close()
	if got := p.a.Stats(); got.Relays != 2 || got.Full != 1 {
		t.Errorf("stats are %+v", got)
	}
}

// probing says whether the only relay of a is still probing.
func (p *pair) probing(t *testing.T) bool {
	t.Helper()
	relays := p.a.Relays()
	if len(relays) != 1 {
		t.Fatalf("there are %d relays", len(relays))
	}
	return relays[0].Probing()
}

func TestRelay_IsProbingUntilTheClientSendsMoreThanTheProbe(t *testing.T) {
	p := newPair(t, Options{}, switching(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) }))
	conn, _ := p.send(t, upgradeRequest)
	read(t, conn, "first")
	for i, b := range []byte("\x81\x86mask2probe") {
		_, _ = conn.Write([]byte{b})
		read(t, conn, string([]byte{b}))
		if !p.probing(t) {
			t.Fatalf("byte %d of the probe has ended it", i)
		}
	}
	_, _ = conn.Write([]byte{0x81})
	read(t, conn, "\x81")
	for deadline := time.Now().Add(patience); p.probing(t); { // it is noted once the owner has it
		if time.Now().After(deadline) {
			t.Fatal("the client has sent more than its probe")
		}
		<-time.After(time.Millisecond)
	}
}

// The owner knows of a relay that it has not answered yet, and so does the node that drains.
func TestRelay_IsProbingBeforeTheOwnerAnswers(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	p := newPair(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		http.Error(w, "Bad request", http.StatusBadRequest)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.send(t, upgradeRequest)
	}()
	<-asked
	p.a.Drain()
	relays := p.a.Relays()
	if !p.probing(t) {
		t.Error("it is over before it is answered")
	}
	close(answer)
	<-done
	p.ended(t)
	if relays[0].Probing() || !relays[0].Ended() {
		t.Error("it goes on after a refusal")
	}
}

func TestRelay_NoneBeginsAfterDrain(t *testing.T) {
	asked := make(chan struct{}, 10)
	p := newPair(t, Options{}, switching(t, func(conn net.Conn) {
		asked <- struct{}{}
		_, _ = io.Copy(conn, conn)
	}))
	before, _ := p.send(t, upgradeRequest)
	<-asked
	p.a.Drain()
	if _, answer := p.send(t, upgradeRequest); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d", answer.StatusCode)
	}
	if err := <-p.failed; !errors.Is(err, ErrDraining) || len(asked) != 0 {
		t.Errorf("got %v, the owner was asked %d times", err, len(asked))
	}
	_, _ = io.WriteString(before, "still")
	read(t, before, "firststill")
	if got := p.a.Stats(); got.Relays != 1 || got.Relayed != 1 || got.Unreachable != 0 {
		t.Errorf("stats are %+v", got)
	}
}

// A relay that is closed before the owner has answered is not answered for: the owner may
// have accepted it.
func TestRelay_ClosedBeforeItIsAnsweredBreaksOff(t *testing.T) {
	asked := make(chan struct{})
	p := newPair(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	conn, err := net.Dial("tcp", p.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, upgradeRequest)
	<-asked
	for _, l := range p.a.Relays() {
		l.Close()
	}
	if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
		t.Errorf("got %q, %v", got, err)
	}
	p.ended(t)
}

func TestRelay_RefusalOfTheOwnerIsPassedOn(t *testing.T) {
	p := newPair(t, Options{MaxRelays: 1}, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Bad request", http.StatusBadRequest) })
	for range 3 { // none of which counts as a relay
		_, answer := p.send(t, upgradeRequest)
		if got := body(t, answer); answer.StatusCode != http.StatusBadRequest || strings.TrimSpace(got) != "Bad request" {
			t.Errorf("got %d %q", answer.StatusCode, got)
		}
	}
}
