package engine

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
)

// patience bounds every wait for a client; a test that needs it has failed.
const patience = 10 * time.Second

// recorder is a Receiver that keeps what it is told. onText may be set before
// the session gets a message.
type recorder struct {
	session *Session
	onText  func(data []byte) error

	mu     sync.Mutex
	got    []string
	ends   []ending
	closed chan struct{}
}

func (r *recorder) Text(data []byte) error {
	r.mu.Lock()
	r.got = append(r.got, string(data))
	r.mu.Unlock()
	if r.onText != nil {
		return r.onText(data)
	}
	return nil
}

func (r *recorder) Binary(data []byte) error { return r.Text(append([]byte("binary:"), data...)) }

func (r *recorder) Closed(reason Reason, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, ending{reason, cause})
	if len(r.ends) == 1 {
		close(r.closed)
	}
}

func (r *recorder) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

// fixture is an engine behind an http.Server, and clients for it.
type fixture struct {
	t       testing.TB
	engine  *Engine
	base    string
	client  *http.Client
	dialer  *websocket.Dialer
	opened  chan *recorder // in the order of accept
	onOpen  func(*recorder)
	onText  func(r *recorder, data []byte) error
	stopped bool
	server  *http.Server

	patience time.Duration // bounds every wait for the server
}

func newFixture(t testing.TB, o Options) *fixture {
	t.Helper()
	f := &fixture{t: t, patience: patience, opened: make(chan *recorder, 10_000)}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := New(o, f.accept)
	if err != nil {
		t.Fatal(err)
	}
	f.engine = e
	return f
}

func (f *fixture) accept(s *Session) Receiver {
	r := &recorder{session: s, closed: make(chan struct{})}
	if f.onText != nil {
		r.onText = func(data []byte) error { return f.onText(r, data) }
	}
	if f.onOpen != nil {
		f.onOpen(r)
	}
	f.opened <- r
	return r
}

// onSockets serves on real sockets until the test ends.
func onSockets(t testing.TB, o Options) *fixture {
	t.Helper()
	return serveSockets(t, o, nil)
}

// onTightSockets is onSockets with a kernel that takes little for a client that
// does not read.
func onTightSockets(t testing.TB, o Options) *fixture {
	t.Helper()
	f := serveSockets(t, o, func(conn net.Conn, state http.ConnState) {
		if state == http.StateNew {
			_ = conn.(*net.TCPConn).SetWriteBuffer(32 << 10)
		}
	})
	f.dialer.NetDial = func(network, address string) (net.Conn, error) {
		conn, err := net.Dial(network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(128 << 10)
		}
		return conn, err
	}
	return f
}

func serveSockets(t testing.TB, o Options, onState func(net.Conn, http.ConnState)) *fixture {
	t.Helper()
	f := newFixture(t, o)
	server := httptest.NewUnstartedServer(f.engine)
	server.Config.ConnState = onState
	ConfigureServer(server.Config)
	server.Start()
	f.base, f.server = server.URL+"/socket.io/", server.Config
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	f.client = &http.Client{Transport: transport, Timeout: patience}
	f.dialer = &websocket.Dialer{HandshakeTimeout: patience}
	t.Cleanup(func() {
		f.stop()
		transport.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
	})
	return f
}

// onTLS serves on real sockets with TLS until the test ends.
func onTLS(t testing.TB, o Options) *fixture {
	t.Helper()
	f := newFixture(t, o)
	server := httptest.NewUnstartedServer(f.engine)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	f.base = server.URL + "/socket.io/"
	f.client = server.Client()
	f.dialer = &websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(func() {
		f.stop()
		f.client.CloseIdleConnections()
		server.Close()
	})
	return f
}

// inBubble runs test in a bubble of fake time, on a network of pipes.
func inBubble(t *testing.T, o Options, test func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, o)
		network := pipenet.New()
		f.server = &http.Server{Handler: f.engine}
		ConfigureServer(f.server)
		var serving sync.WaitGroup
		serving.Go(func() { _ = f.server.Serve(network) })
		f.base = "http://pipe/socket.io/"
		transport := &http.Transport{DialContext: network.Dial}
		f.client = &http.Client{Transport: transport}
		f.dialer = &websocket.Dialer{NetDialContext: network.Dial}
		f.patience = time.Hour
		t.Cleanup(func() {
			f.stop()
			transport.CloseIdleConnections()
			_ = f.server.Close()
			serving.Wait()
		})
		test(f)
	})
}

func (f *fixture) stop() {
	f.t.Helper()
	if f.stopped {
		return
	}
	f.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), 2*f.patience)
	defer cancel()
	if err := f.engine.Close(ctx); err != nil {
		f.t.Errorf("Close: %v", err)
	}
}

// next returns the receiver of the session that was opened next.
func (f *fixture) next() *recorder {
	f.t.Helper()
	select {
	case r := <-f.opened:
		return r
	case <-time.After(f.patience):
		f.t.Fatal("no session was opened")
		return nil
	}
}

// awaitEnd returns why a session ended.
func (f *fixture) awaitEnd(r *recorder) ending {
	f.t.Helper()
	select {
	case <-r.closed:
	case <-time.After(f.patience):
		f.t.Fatal("the session did not end")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ends[0]
}

// expectEnd waits for the end of a session and compares its reason.
func (f *fixture) expectEnd(r *recorder, want Reason) {
	f.t.Helper()
	if got := f.awaitEnd(r); got.reason != want {
		f.t.Errorf("session ended with %q (%v), want %q", got.reason, got.cause, want)
	}
}

// expectOpen proves that a session has not ended.
func (f *fixture) expectOpen(r *recorder) {
	f.t.Helper()
	if r.session.ended.Load() {
		f.t.Errorf("session ended: %v", f.awaitEnd(r))
	}
}

// expectMessages waits until the receiver has got exactly these messages.
func (f *fixture) expectMessages(r *recorder, want ...string) {
	f.t.Helper()
	f.eventually("messages", func() bool { return len(r.messages()) >= len(want) })
	got := r.messages()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		f.t.Errorf("received %q, want %q", got, want)
	}
}

// eventually waits for a condition that another goroutine brings about.
func (f *fixture) eventually(what string, done func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(f.patience)
	for !done() {
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: did not come", what)
		}
		<-time.After(time.Millisecond)
	}
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// do sends a request and reads the whole answer.
func (f *fixture) do(method, query, body string, header ...string) answer {
	f.t.Helper()
	r, err := http.NewRequest(method, f.base+"?"+query, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := f.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(b), err: err}
}

// expect compares status and body.
func (a answer) expect(t testing.TB, status int, body string) {
	t.Helper()
	if a.err != nil || a.status != status || a.body != body {
		t.Errorf("got %d %q (%v), want %d %q", a.status, a.body, a.err, status, body)
	}
}

// The query of polling and WebSocket requests without a session.
const (
	pollQuery   = "EIO=4&transport=polling"
	socketQuery = "EIO=4&transport=websocket"
)

// poller is a client of a polling session.
type poller struct {
	*fixture
	sid string
}

// openPolling opens a polling session.
func (f *fixture) openPolling() (*poller, *recorder) {
	f.t.Helper()
	a := f.do("GET", pollQuery, "")
	if a.err != nil || a.status != http.StatusOK {
		f.t.Fatalf("handshake: %d %q %v", a.status, a.body, a.err)
	}
	return &poller{f, sidOf(f.t, a.body)}, f.next()
}

func sidOf(t testing.TB, packet string) string {
	t.Helper()
	packet, _, _ = strings.Cut(packet, "\x1e")
	var open struct {
		SID string `json:"sid"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(packet, "0")), &open); err != nil || open.SID == "" {
		t.Fatalf("%q is not an open packet: %v", packet, err)
	}
	return open.SID
}

func (p *poller) query() string { return pollQuery + "&sid=" + p.sid }

func (p *poller) get() answer { p.t.Helper(); return p.do("GET", p.query(), "") }

func (p *poller) post(body string) answer {
	p.t.Helper()
	return p.do("POST", p.query(), body, "Content-Type", "text/plain;charset=UTF-8")
}

// poll starts a GET and returns when the server has it.
func (p *poller) poll(r *recorder) <-chan answer {
	p.t.Helper()
	c := make(chan answer, 1)
	go func() { c <- p.get() }()
	p.eventually("waiting poll", func() bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		return r.session.polling.waiting != nil || r.session.ended.Load()
	})
	return c
}

// probe opens a WebSocket for the session.
func (p *poller) probe() *peer { p.t.Helper(); return p.dial(socketQuery + "&sid=" + p.sid) }

// upgrade moves the session to a WebSocket.
func (p *poller) upgrade(r *recorder) *peer {
	p.t.Helper()
	c := p.probe()
	c.send("2probe")
	c.expect("3probe")
	c.send("5")
	p.eventually("upgrade", func() bool { return r.session.Transport() == "websocket" })
	return c
}

// awaitProbeEnd waits until the session may be probed again.
func (f *fixture) awaitProbeEnd(r *recorder) {
	f.t.Helper()
	f.eventually("end of the probe", func() bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		return !r.session.probing
	})
}

// peer is the client of a WebSocket.
type peer struct {
	t    testing.TB
	conn *websocket.Conn
	sid  string

	patience time.Duration
}

// tryDial opens a WebSocket.
func (f *fixture) tryDial(query string, header http.Header) (*websocket.Conn, answer) {
	url := "ws" + strings.TrimPrefix(f.base, "http") + "?" + query
	conn, response, err := f.dialer.Dial(url, header)
	a := answer{err: err}
	if response != nil {
		b, _ := io.ReadAll(response.Body)
		a.status, a.header, a.body = response.StatusCode, response.Header, string(b)
	}
	return conn, a
}

func (f *fixture) dial(query string) *peer {
	f.t.Helper()
	conn, a := f.tryDial(query, nil)
	if a.err != nil {
		f.t.Fatalf("dial: %v, %d %q", a.err, a.status, a.body)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: f.t, conn: conn, patience: f.patience}
}

// openSocket opens a session by WebSocket.
func (f *fixture) openSocket() (*peer, *recorder) {
	f.t.Helper()
	c := f.dial(socketQuery)
	c.sid = sidOf(f.t, c.read())
	return c, f.next()
}

func (c *peer) send(text string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// sendRaw writes bytes past the WebSocket library. The server may have closed
// the connection already, which the test sees when it reads.
func (c *peer) sendRaw(b []byte) { _, _ = c.conn.NetConn().Write(b) }

func (c *peer) tryRead() (string, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(c.patience))
	kind, data, err := c.conn.ReadMessage()
	if kind == websocket.BinaryMessage {
		return "binary:" + string(data), err
	}
	return string(data), err
}

func (c *peer) read() string {
	c.t.Helper()
	text, err := c.tryRead()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return text
}

func (c *peer) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.read(); got != w {
			c.t.Fatalf("got packet %.100q, want %.100q", got, w)
		}
	}
}

// expectCode reads up to the close frame and compares its code.
func (c *peer) expectCode(want int) {
	c.t.Helper()
	for {
		_, err := c.tryRead()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != want {
			c.t.Errorf("connection ended with %v, want close code %d", err, want)
		}
		return
	}
}

// expectGone reads until the connection ends, however it does.
func (c *peer) expectGone() {
	c.t.Helper()
	for {
		if _, err := c.tryRead(); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				c.t.Error("the connection was not closed")
			}
			return
		}
	}
}

// frame returns a masked frame with the key 0, which leaves the payload as it is.
func frame(first byte, payload string) []byte {
	b := appendFrameHeader(nil, first, len(payload))
	b[1] |= 0x80
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}
