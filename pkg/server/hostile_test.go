package server_test

import (
	"context"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
	tongue    tongue // of the bystander
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
	v := &victim{server: s, tongue: tongue{options.Parser}, sockets: make(chan *server.Socket, 10_000), ends: make(chan server.DisconnectReason, 10_000)}
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
