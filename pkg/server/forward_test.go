package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

var clusterSecret = []byte("0123456789abcdef")

// forwarder is a node that others reach by its name.
type forwarder struct {
	*server.Server
	wire    *wire
	network *pipenet.Network
	web     *http.Server
}

// forwarders are nodes in a bubble. Only they can be called, by their names.
type forwarders struct {
	t     *testing.T
	names []string
	nodes map[string]*forwarder
}

// inForwardingBubble runs nodes a, b and so on that forward to each other.
func inForwardingBubble(t *testing.T, size int, options server.Options, test func(t *testing.T, f *forwarders)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &forwarders{t: t, nodes: map[string]*forwarder{}}
		if options.Adapter == nil {
			options.Adapter = memory.New()
		}
		for i := range size {
			name := string(rune('a' + i))
			o := options
			o.Advertise = "http://" + name
			if o.ClusterSecret == nil {
				o.ClusterSecret = clusterSecret
			}
			defer f.start(name, o)()
		}
		time.Sleep(time.Second)
		test(t, f)
	})
}

// start runs a node of that name.
func (f *forwarders) start(name string, o server.Options) (stop func()) {
	f.t.Helper()
	n := &forwarder{network: pipenet.New(), wire: &wire{Adapter: o.Adapter}}
	o.Adapter = n.wire
	if o.Logger == nil {
		o.Logger = quiet
	}
	server.DialNodes(&o, f.dial)
	var err error
	if n.Server, err = server.New(o); err != nil {
		f.t.Fatal(err)
	}
	sync(n.Of("/"))
	n.web = &http.Server{Handler: n.Server}
	done := make(chan struct{})
	go func() { defer close(done); _ = n.web.Serve(n.network) }()
	f.names, f.nodes[name] = append(f.names, name), n
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := n.Shutdown(ctx); err != nil {
			f.t.Errorf("shutdown: %v", err)
		}
		_ = n.web.Close()
		<-done
	}
}

// dial connects to the node whose name is the host of address.
func (f *forwarders) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	n := f.nodes[host]
	if n == nil {
		f.t.Errorf("%s is called, which is no node", address)
		return nil, net.ErrClosed
	}
	return n.network.Dial(ctx, network, address)
}

// kill ends a node as the end of its process does: nobody is told.
func (n *forwarder) kill() {
	n.wire.cut.Store(true)
	_ = n.web.Close()
}

// ask sends one request to a node. Header lines are "Name: value".
func (f *forwarders) ask(node, method, query, body string, header ...string) (*http.Response, error) {
	f.t.Helper()
	transport := &http.Transport{DialContext: f.dial, DisableKeepAlives: true}
	r, err := http.NewRequestWithContext(f.t.Context(), method, "http://"+node+"/socket.io/?"+query, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return transport.RoundTrip(r)
}

// do returns the answer's status and body, or why there is none.
func (f *forwarders) do(node, method, query, body string, header ...string) (int, string) {
	f.t.Helper()
	answer, err := f.ask(node, method, query, body, header...)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	if got := answer.Header["Cache-Control"]; len(got) != 1 {
		f.t.Errorf("Cache-Control is there %d times", len(got))
	}
	return answer.StatusCode, string(data)
}

// open opens a session over polling and returns the query that names it.
func (f *forwarders) open(node string) (query, id string) {
	f.t.Helper()
	status, body := f.do(node, "GET", pollQuery, "")
	var open struct {
		SID string `json:"sid"`
	}
	if status != http.StatusOK || json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open) != nil {
		f.t.Fatalf("handshake: got %d %s", status, body)
	}
	return pollQuery + "&sid=" + open.SID, open.SID
}

// want fails the test unless a request is answered so; a body of the protocol is
// compared up to what differs from session to session.
func (f *forwarders) want(node, method, query, body string, status int, answer string) {
	f.t.Helper()
	if s, a := f.do(node, method, query, body); s != status || !strings.HasPrefix(a, answer) {
		f.t.Errorf("%s on node %s: got %d %q, want %d %q", method, node, s, a, status, answer)
	}
}

const sessionUnknown = `{"code":1,"message":"Session ID unknown"}`

func TestForward_SessionIsServedWhereverItsRequestsArrive(t *testing.T) {
	inForwardingBubble(t, 3, server.Options{}, func(t *testing.T, f *forwarders) {
		query, _ := f.open("a")
		f.want("b", "POST", query, "40", http.StatusOK, "ok")
		f.want("c", "GET", query, "", http.StatusOK, `40{"sid":"`)
		f.want("b", "POST", query, `420["sync"]`, http.StatusOK, "ok")
		f.want("a", "GET", query, "", http.StatusOK, `430[`)
		began := time.Now()
		f.want("b", "GET", query, "", http.StatusOK, "2") // a long poll waits for the ping
		if took := time.Since(began); took < 20*time.Second {
			t.Errorf("the poll was answered after %v", took)
		}
		for name, want := range map[string]server.Forwarding{"a": {Admitted: 4}, "b": {Forwarded: 3}, "c": {Forwarded: 1}} {
			got := f.nodes[name].Stats().Forwarding
			if got.Admitted != want.Admitted || got.Forwarded != want.Forwarded || got.Unreachable != 0 {
				t.Errorf("node %s: %+v", name, got)
			}
		}
	})
}

// upgrade asks a node to upgrade a session.
func (f *forwarders) upgrade(node, id string) *websocket.Conn {
	f.t.Helper()
	dialer := websocket.Dialer{NetDialContext: f.dial}
	conn, answer, err := dialer.Dial("ws://"+node+"/socket.io/?"+socketQuery+"&sid="+id, nil)
	if err != nil {
		f.t.Fatalf("upgrade: %v", err)
	}
	_ = answer.Body.Close()
	f.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// say sends a text and expects another one.
func say(t *testing.T, conn *websocket.Conn, text, want string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if want == "" {
		return
	}
	if _, got, err := conn.ReadMessage(); err != nil || !strings.HasPrefix(string(got), want) {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func TestForward_UpgradeElsewhereIsRelayedUntilItCloses(t *testing.T) {
	inForwardingBubble(t, 2, server.Options{}, func(t *testing.T, f *forwarders) {
		query, id := f.open("a")
		f.want("b", "POST", query, "40", http.StatusOK, "ok")
		conn := f.upgrade("b", id)
		say(t, conn, "2probe", "3probe")
		f.want("b", "GET", query, "", http.StatusOK, `40{"sid":"`)
		say(t, conn, "5", "")
		say(t, conn, `420["sync"]`, "430[")
		for range 20 { // pings
			if _, got, err := conn.ReadMessage(); err != nil || string(got) != "2" {
				t.Fatalf("got %q, %v", got, err)
			}
			say(t, conn, "3", "")
		}
		say(t, conn, `421["sync"]`, "431[")
		if got := f.nodes["b"].Stats().Forwarding; got.Relays != 1 || got.Relayed != 1 {
			t.Errorf("node b: %+v", got)
		}
		if got := f.nodes["b"].Stats().Sessions["websocket"] + f.nodes["a"].Stats().Sessions["websocket"]; got != 1 {
			t.Errorf("%d sessions", got)
		}
		_ = conn.Close()
		time.Sleep(time.Second)
		if got := f.nodes["b"].Stats().Forwarding; got.Relays != 0 {
			t.Errorf("after the end: %+v", got)
		}
		if got := f.nodes["a"].Stats().Sessions["websocket"]; got != 0 {
			t.Errorf("after the end: %d sessions", got)
		}
	})
}

func TestForward_OwnerSeesTheClientAndAnswersAlone(t *testing.T) {
	refused := make(chan server.ConnectionError, 10)
	options := server.Options{
		CORS:              &server.CORS{Origins: []string{"https://shop.example"}, Credentials: true},
		Headers:           func(h http.Header, _ *http.Request) { h.Add("X-App", "1") },
		OnConnectionError: func(e server.ConnectionError) { refused <- e },
	}
	inForwardingBubble(t, 2, options, func(t *testing.T, f *forwarders) {
		query, _ := f.open("a")
		transport := &http.Transport{DialContext: f.dial, DisableKeepAlives: true}
		r, _ := http.NewRequest("POST", "http://b/socket.io/?"+query, strings.NewReader("40"))
		r.Header.Set("Origin", "https://shop.example")
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		for _, name := range []string{"X-App", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Cache-Control", "Vary"} {
			if got := answer.Header[name]; answer.StatusCode != http.StatusOK || len(got) != 1 {
				t.Errorf("%d with %s: %q", answer.StatusCode, name, got)
			}
		}
		status, body := f.do("b", "GET", query, "", "Origin: https://evil.example", "X-Forwarded-For: 203.0.113.9")
		if e := <-refused; status != http.StatusForbidden || e.Reason != "origin" ||
			e.Request.Header.Get("X-Forwarded-For") != "203.0.113.9" || e.Request.RemoteAddr != "pipe" {
			t.Errorf("a foreign origin: got %d %s, %+v", status, body, e)
		}
	})
}

func TestForward_DeadOwnerIsCodeOneAtOnce(t *testing.T) {
	inForwardingBubble(t, 2, server.Options{}, func(t *testing.T, f *forwarders) {
		query, _ := f.open("a")
		polled := make(chan string)
		go func() {
			_, body := f.do("b", "GET", query, "")
			polled <- body
		}()
		synctest.Wait()
		f.nodes["a"].kill()
		began := time.Now()
		if got := <-polled; got != sessionUnknown {
			t.Errorf("a poll that waited: %q", got)
		}
		f.want("b", "GET", query, "", http.StatusBadRequest, sessionUnknown) // nobody listens at the address
		if got := f.nodes["b"].Stats().Forwarding; got.Unreachable != 2 {
			t.Errorf("node b: %+v", got)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		time.Sleep(time.Minute) // the owner is no member any more, and nobody calls it
		f.want("b", "GET", query, "", http.StatusBadRequest, sessionUnknown)
		if got := f.nodes["b"].Stats().Forwarding; got.Unreachable != 2 {
			t.Errorf("node b: %+v", got)
		}
	})
}

func TestForward_NodeThatSaidGoodbyeIsNotCalled(t *testing.T) {
	hub := memory.New()
	inForwardingBubble(t, 1, server.Options{Adapter: hub}, func(t *testing.T, f *forwarders) {
		stop := f.start("gone", server.Options{Adapter: hub, Advertise: "http://gone", ClusterSecret: clusterSecret})
		time.Sleep(time.Second)
		query, _ := f.open("gone")
		stop()
		synctest.Wait()         // the other node has heard of it
		delete(f.nodes, "gone") // a call would fail the test
		f.want("a", "GET", query, "", http.StatusBadRequest, sessionUnknown)
	})
}

// A node's first clients are there before all others have heard of it.
func TestForward_WaitsAMomentForANodeThatIsNew(t *testing.T) {
	hub := memory.New()
	inForwardingBubble(t, 1, server.Options{Adapter: hub}, func(t *testing.T, f *forwarders) {
		f.nodes["a"].wire.cut.Store(true)
		defer f.start("new", server.Options{Adapter: hub, Advertise: "http://new", ClusterSecret: clusterSecret})()
		synctest.Wait()
		f.nodes["a"].wire.cut.Store(false)
		query, _ := f.open("new")
		time.AfterFunc(time.Second/2, func() { f.nodes["new"].Of("/another") }) // of which it tells all
		began := time.Now()
		f.want("a", "POST", query, "40", http.StatusOK, "ok")
		if took := time.Since(began); took != time.Second/2 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestForward_ShutdownEndsWhatIsDoneForOthers(t *testing.T) {
	inForwardingBubble(t, 2, server.Options{}, func(t *testing.T, f *forwarders) {
		query, id := f.open("a")
		polling, _ := f.open("a")
		conn := f.upgrade("b", id)
		polled := make(chan int)
		go func() {
			status, _ := f.do("b", "GET", polling, "")
			polled <- status
		}()
		synctest.Wait()
		began := time.Now()
		if err := f.nodes["b"].Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-polled; got == http.StatusOK {
			t.Errorf("the poll got %d", got)
		}
		if _, _, err := conn.ReadMessage(); err == nil {
			t.Error("the relay is open")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		f.want("a", "POST", query, "40", http.StatusOK, "ok") // the session did not know of that node
	})
}

func TestForward_OtherSecretsAndNoSecretAreRefusedAndSaySo(t *testing.T) {
	for name, tt := range map[string]struct {
		other func(*server.Options)
		back  string // the answer to a request the other way round
	}{
		"another secret":    {func(o *server.Options) { o.ClusterSecret = []byte("fedcba9876543210") }, sessionUnknown},
		"a secret alone":    {func(o *server.Options) { o.Advertise = "" }, "ok"}, // it reaches, and is not reached
		"neither of either": {func(o *server.Options) { o.Advertise, o.ClusterSecret = "", nil }, sessionUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			hub := memory.New()
			inForwardingBubble(t, 1, server.Options{Adapter: hub, Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, f *forwarders) {
				o := server.Options{Adapter: hub, Advertise: "http://other", ClusterSecret: clusterSecret}
				tt.other(&o)
				defer f.start("other", o)()
				time.Sleep(time.Second)
				query, _ := f.open("other")
				f.want("a", "GET", query, "", http.StatusBadRequest, sessionUnknown)
				text := log.String()
				if !strings.Contains(text, "no address that is signed") || !strings.Contains(text, f.nodes["other"].NodeID()) {
					t.Errorf("the log does not name the owner and the fix:\n%s", text)
				}
				mine, _ := f.open("a")
				if _, got := f.do("other", "POST", mine, "40"); got != tt.back {
					t.Errorf("the other way round: got %q, want %q", got, tt.back)
				}
			})
		})
	}
}

func TestForward_WithoutASecretTheLogNamesOwnerAndFix(t *testing.T) {
	var log bytes.Buffer
	hub := memory.New()
	inForwardingBubble(t, 1, server.Options{Adapter: hub}, func(t *testing.T, f *forwarders) {
		defer f.start("off", server.Options{Adapter: hub, Logger: slog.New(slog.NewTextHandler(&log, nil))})()
		time.Sleep(time.Second)
		query, _ := f.open("a")
		for range 100 {
			f.want("off", "GET", query, "", http.StatusBadRequest, sessionUnknown)
		}
		text := log.String()
		if got := strings.Count(text, "ClusterSecret"); got == 0 || got > 10 || !strings.Contains(text, "owner="+f.nodes["a"].NodeID()) {
			t.Errorf("%d lines:\n%s", got, text)
		}
	})
}

// A forged heartbeat cannot make a node call an address.
func TestForward_ForgedHeartbeatsAreNotBelieved(t *testing.T) {
	hub := memory.New()
	inForwardingBubble(t, 2, server.Options{Adapter: hub}, func(t *testing.T, f *forwarders) {
		query, _ := f.open("a")
		var replayed []*adapter.Message
		link, err := hub.Join(t.Context(), "members", "evil", func(m *adapter.Message) {
			if m.Heartbeat != nil && string(m.From) == f.nodes["a"].NodeID() {
				replayed = append(replayed, m.Clone())
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if err := link.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		tag := replayed[0].Heartbeat.Tag
		for _, m := range []*adapter.Message{
			{From: "evil", Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: tag, Address: "http://evil"}},
			{From: "0", Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: tag, Address: "http://evil", Proof: replayed[0].Heartbeat.Proof}},
			{From: replayed[0].From, Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: tag, Address: "http://evil", Proof: replayed[0].Heartbeat.Proof}},
			{From: replayed[0].From, Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: tag ^ 1}},
		} {
			synctest.Wait()
			f.nodes["b"].wire.forge("members", m)
		}
		f.want("b", "POST", query, "40", http.StatusOK, "ok") // a itself is reached as before

		f.nodes["a"].kill()
		delete(f.nodes, "a") // a call would fail the test
		for second := range 60 {
			time.Sleep(time.Second)
			synctest.Wait()
			alive := &adapter.Message{From: replayed[0].From, Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: tag}}
			for _, m := range append(replayed, alive) {
				f.nodes["b"].wire.forge("members", m)
			}
			if second > 10 { // its own last word is older than HeartbeatTimeout
				f.want("b", "GET", query, "", http.StatusBadRequest, sessionUnknown)
			}
		}
	})
}
