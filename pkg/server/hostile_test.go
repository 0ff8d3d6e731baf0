package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// patience bounds every wait; a test that needs it has failed.
const patience = 10 * time.Second

// worstEcho is the longest round trip that a well-behaved client may see while
// another one attacks its node.
const worstEcho = 1500 * time.Millisecond

// victim is a node that is attacked while a well-behaved client, the bystander,
// talks to it. What clients send to the event "evil" is counted.
type victim struct {
	server    *server.Server
	url       string
	address   string // of the listener
	dial      rawclient.Dialer
	evil      atomic.Int64
	sockets   chan *server.Socket // of every client but the bystander
	ends      chan server.DisconnectReason
	bystander *bystander
	complaint gosync.Mutex
	complains strings.Builder // what net/http logged
}

// besiege runs a node on real sockets, as an application would: mounted in a mux,
// with the limits of ConfigureHTTP.
func besiege(t *testing.T, options server.Options) *victim {
	t.Helper()
	v := newVictim(t, options)
	web := httptest.NewUnstartedServer(v.mux())
	v.configure(web.Config)
	web.Start()
	v.url, v.address = web.URL, web.Listener.Addr().String()
	v.bystander = watch(t, v)
	t.Cleanup(func() {
		v.unharmed(t)
		v.bystander.leave()
		v.shutdown(t)
		web.Close()
	})
	return v
}

// besiegeInBubble runs a node on pipes with fake time.
func besiegeInBubble(t *testing.T, options server.Options, test func(t *testing.T, v *victim)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newVictim(t, options)
		network := pipenet.New()
		v.url, v.dial = pipeURL, network.Dial
		web := &http.Server{Handler: v.mux()}
		v.configure(web)
		var serving gosync.WaitGroup
		serving.Go(func() { _ = web.Serve(network) })
		v.bystander = watch(t, v)
		test(t, v)
		v.unharmed(t)
		v.bystander.leave()
		v.shutdown(t)
		_ = web.Close()
		serving.Wait()
	})
}

func newVictim(t *testing.T, options server.Options) *victim {
	t.Helper()
	if options.Logger == nil {
		options.Logger = quiet
	}
	s, err := server.New(options)
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{server: s, sockets: make(chan *server.Socket, 10_000), ends: make(chan server.DisconnectReason, 10_000)}
	ns := s.Of("/")
	sync(ns)
	joining(ns)
	echoing(ns)
	server.On(ns, "evil", func(context.Context, *server.Socket, server.Args) error { v.evil.Add(1); return nil })
	ns.OnConnect(func(_ context.Context, s *server.Socket) error {
		if s.Handshake().Header().Get("User-Agent") != bystanderAgent {
			v.sockets <- s
		}
		return nil
	})
	ns.OnDisconnect(func(_ context.Context, s *server.Socket, reason server.DisconnectReason) {
		if s.Handshake().Header().Get("User-Agent") != bystanderAgent {
			v.ends <- reason
		}
	})
	return v
}

// echoing registers an event whose arguments come back: as the acknowledgement,
// or as the same event to a client that wants none.
func echoing(ns *server.Namespace) {
	server.On(ns, "echo", func(_ context.Context, s *server.Socket, a server.Args) error {
		back := make([]any, a.Len())
		for i := range back {
			back[i] = a.At(i)
		}
		if a.WantsAck() {
			return a.Ack(back...)
		}
		return s.Emit("echo", back...)
	})
}

func (v *victim) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", v.server)
	return mux
}

func (v *victim) configure(web *http.Server) {
	server.ConfigureHTTP(web)
	web.ErrorLog = log.New(v, "", 0)
}

// Write takes what net/http logs.
func (v *victim) Write(line []byte) (int, error) {
	v.complaint.Lock()
	defer v.complaint.Unlock()
	return v.complains.Write(line)
}

// unharmed checks that the bystander is served, that nothing panicked, and that
// the handlers kept net/http's rules.
func (v *victim) unharmed(t *testing.T) {
	t.Helper()
	v.bystander.check(t)
	if n := v.server.Stats().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
	v.complaint.Lock()
	defer v.complaint.Unlock()
	for _, sign := range []string{"superfluous", "hijacked", "panic"} {
		if strings.Contains(v.complains.String(), sign) {
			t.Errorf("net/http complains: %s", v.complains.String())
		}
	}
}

func (v *victim) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := v.server.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// join connects an attacker to the namespace "/".
func (v *victim) join(t *testing.T) *rawclient.Client {
	t.Helper()
	c, _ := rawclient.Join(t, v.url, "/", v.dial)
	return c
}

// connect opens a connection on which anything may be written. It is closed when
// the test ends.
func (v *victim) connect(t *testing.T) net.Conn {
	t.Helper()
	dial := v.dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(t.Context(), "tcp", v.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// bystanderAgent marks the bystander's handshake.
const bystanderAgent = "bystander"

// bystander is a client that does nothing wrong: it echoes all the time.
type bystander struct {
	conn  *websocket.Conn
	stop  chan struct{}
	done  gosync.WaitGroup
	trips atomic.Int64
	worst atomic.Int64 // in ns, since the last check
	lost  atomic.Pointer[string]
}

func watch(t *testing.T, v *victim) *bystander {
	t.Helper()
	dialer := websocket.Dialer{NetDialContext: v.dial}
	url := "ws" + strings.TrimPrefix(v.url, "http") + "/socket.io/?EIO=4&transport=websocket"
	conn, response, err := dialer.Dial(url, http.Header{"User-Agent": {bystanderAgent}})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	b := &bystander{conn: conn, stop: make(chan struct{})}
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the open packet and the reply to CONNECT
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	b.done.Go(b.run)
	return b
}

// run makes one round trip after the other, with a breath between them.
func (b *bystander) run() {
	breath := time.NewTicker(5 * time.Millisecond)
	defer breath.Stop()
	for {
		begin := time.Now()
		if err := b.trip(); err != nil {
			text := err.Error()
			b.lost.Store(&text)
			return
		}
		if took := int64(time.Since(begin)); took > b.worst.Load() {
			b.worst.Store(took)
		}
		b.trips.Add(1)
		select {
		case <-breath.C:
		case <-b.stop:
			return
		}
	}
}

func (b *bystander) trip() error {
	n := b.trips.Load()
	_ = b.conn.SetReadDeadline(time.Now().Add(patience))
	if err := b.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `42%d["echo",%d]`, n, n)); err != nil {
		return err
	}
	for {
		_, data, err := b.conn.ReadMessage()
		switch {
		case err != nil:
			return err
		case string(data) == "2":
			if err := b.conn.WriteMessage(websocket.TextMessage, []byte("3")); err != nil {
				return err
			}
		case string(data) == fmt.Sprintf(`43%d[%d]`, n, n):
			return nil
		default:
			return fmt.Errorf("got %q", data)
		}
	}
}

// check waits for round trips that begin now and looks at the worst of all since
// the check before.
func (b *bystander) check(t *testing.T) {
	t.Helper()
	since := b.trips.Load()
	eventually(t, "the bystander's echoes", func() bool { return b.trips.Load() >= since+2 || b.lost.Load() != nil })
	if lost := b.lost.Load(); lost != nil {
		t.Fatalf("the bystander lost its connection: %s", *lost)
	}
	if worst := time.Duration(b.worst.Swap(0)); worst > worstEcho {
		t.Errorf("the bystander's worst echo took %v, want at most %v", worst, worstEcho)
	}
}

func (b *bystander) leave() {
	close(b.stop)
	b.done.Wait()
	_ = b.conn.Close()
}

// eventually waits for a condition that somebody else brings about.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: did not come", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// heap returns the bytes that are in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC() // empties the pools' second generation
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// grows runs f and fails if more than limit bytes stay in use at its end.
func grows(t *testing.T, limit int64, f func()) {
	t.Helper()
	before := heap()
	f()
	if grown := heap() - before; grown > limit {
		t.Errorf("memory grew by %d KiB, want at most %d KiB", grown>>10, limit>>10)
	} else {
		t.Logf("memory grew by %d KiB of at most %d KiB", grown>>10, limit>>10)
	}
}

// peaks returns by how much the heap, garbage included, grew at most while f ran.
func peaks(f func()) int64 {
	size := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	before, stop := heap(), make(chan struct{})
	var most int64
	var sampling gosync.WaitGroup
	sampling.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(size)
			most = max(most, int64(size[0].Value.Uint64())-before)
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	f()
	close(stop)
	sampling.Wait()
	return most
}

// descriptors counts the open files of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("open files cannot be counted here")
	}
	return len(files)
}

// givesBack runs f and fails unless goroutines, open files and sessions are as
// many as before within 5 s.
func givesBack(t *testing.T, v *victim, f func()) {
	t.Helper()
	v.bystander.check(t)
	before := v.holdings(t)
	f()
	begin, after := time.Now(), holdings{}
	for deadline := begin.Add(5 * time.Second); ; {
		if after = v.holdings(t); after.within(before) {
			t.Logf("everything was given back after %v", time.Since(begin))
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 64<<10)
			t.Fatalf("5 s later there are %+v, before there were %+v\n%s", after, before, stacks[:runtime.Stack(stacks, true)])
		}
		<-time.After(10 * time.Millisecond)
	}
}

// holdings are what a client makes a process hold.
type holdings struct {
	files, goroutines int
	sessions          int64
}

func (h holdings) within(limit holdings) bool {
	return h.files <= limit.files && h.goroutines <= limit.goroutines && h.sessions <= limit.sessions
}

func (v *victim) holdings(t *testing.T) holdings {
	t.Helper()
	return holdings{descriptors(t), goroutines(), v.sessions()}
}

// goroutines counts the goroutines but those that a server keeps for the next
// handler, which are bounded and belong to no client.
func goroutines() (n int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if !strings.Contains(stack, "server.(*tasks).next(") {
			n++
		}
	}
	return n
}

func (v *victim) sessions() int64 {
	sessions := v.server.Stats().Sessions
	return sessions["polling"] + sessions["websocket"]
}

// reset closes a TCP connection with a RST.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// answer is an HTTP response; status 0 means that the connection was closed
// without one.
type answer struct {
	status int
	header http.Header
	body   string
}

// readAnswer reads a response to a request of the given method.
func readAnswer(conn net.Conn, r *bufio.Reader, method string) answer {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return answer{}
	}
	defer func() { _ = response.Body.Close() }()
	var body []byte
	if response.StatusCode != http.StatusSwitchingProtocols {
		body, _ = io.ReadAll(response.Body) // a body that is cut shows in the comparison
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// ask sends a whole request, text as it is, and returns the answer.
func (v *victim) ask(t *testing.T, text string) answer {
	t.Helper()
	conn := v.connect(t)
	defer func() { _ = conn.Close() }()
	var writing gosync.WaitGroup
	writing.Go(func() { _, _ = io.WriteString(conn, text) }) // the server may refuse to read all of it
	defer writing.Wait()
	method, _, _ := strings.Cut(text, " ")
	a := readAnswer(conn, bufio.NewReader(conn), method)
	_ = conn.Close()
	return a
}

// request makes the text of a request with header lines and a body.
func request(method, query, body string, header ...string) string {
	if body != "" {
		header = append(header, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	lines := ""
	for _, h := range header {
		lines += h + "\r\n"
	}
	return method + " /socket.io/?" + query + " HTTP/1.1\r\nHost: victim\r\n" + lines + "\r\n" + body
}

// upgrading makes the text of a WebSocket handshake.
func upgrading(query string, header ...string) string {
	return request("GET", query, "", append([]string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, header...)...)
}

// The queries that open a session.
const (
	pollQuery   = "EIO=4&transport=polling"
	socketQuery = "EIO=4&transport=websocket"
)

// refused checks that an answer is the protocol's error of that code, over
// polling or to an upgrade.
func (a answer) refused(t *testing.T, what string, code int) {
	t.Helper()
	message := [...]string{"Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden", "Unsupported protocol version"}[code]
	want := fmt.Sprintf(`{"code":%d,"message":%q}`, code, message)
	if a.status != http.StatusBadRequest || a.body != want && a.body != message {
		t.Errorf("%s: got %d %q, want 400 %s", what, a.status, a.body, want)
	}
}
