package server_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// node is a server of a cluster in a bubble.
type node struct {
	*server.Server
	dial rawclient.Dialer
	wire *wire
}

// inClusterBubble runs nodes that know each other, on networks of pipes with fake time.
func inClusterBubble(t *testing.T, size int, options server.Options, test func(t *testing.T, nodes []node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if options.Adapter == nil {
			options.Adapter = memory.New()
		}
		var nodes []node
		for range size {
			n, stop := startNode(t, options)
			defer stop()
			nodes = append(nodes, n)
		}
		time.Sleep(time.Second) // all have announced that they are in "/"
		test(t, nodes)
	})
}

func startNode(t *testing.T, options server.Options) (n node, stop func()) {
	t.Helper()
	n.wire = &wire{Adapter: options.Adapter}
	options.Adapter = n.wire
	n.Server, n.dial, stop = startOnPipes(t, options)
	return n, stop
}

// startOnPipes runs a server on a network of pipes.
func startOnPipes(t *testing.T, options server.Options) (s *server.Server, dial rawclient.Dialer, stop func()) {
	t.Helper()
	if options.Logger == nil {
		options.Logger = quiet
	}
	s, err := server.New(options)
	if err != nil {
		t.Fatal(err)
	}
	network := pipenet.New()
	web := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() { defer close(done); _ = web.Serve(network) }()
	sync(s.Of("/"))
	joining(s.Of("/"))
	return s, network.Dial, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		_ = web.Close()
		<-done
	}
}

// member connects a client and puts it into rooms.
func (n node) member(t *testing.T, rooms ...string) (*rawclient.Client, string) {
	t.Helper()
	c, id := rawclient.Join(t, pipeURL, "/", n.dial)
	if len(rooms) > 0 {
		c.Send(`21["join",["` + strings.Join(rooms, `","`) + `"]]`)
		c.Expect(`31[]`)
	}
	return c, id
}

// wire is a node's way to the others.
type wire struct {
	adapter.Adapter
	cut     atomic.Bool                                   // nothing travels, and nobody is told
	swallow atomic.Pointer[func(m *adapter.Message) bool] // what is not published

	delivers gosync.Map // func(*adapter.Message) by topic
}

// forge makes a message arrive that nobody has published.
func (w *wire) forge(topic string, m *adapter.Message) {
	deliver, _ := w.delivers.Load(topic)
	deliver.(func(*adapter.Message))(m)
}

func (w *wire) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	w.delivers.Store(topic, deliver)
	link, err := w.Adapter.Join(ctx, topic, self, func(m *adapter.Message) {
		if !w.cut.Load() {
			deliver(m)
		}
	})
	l := &wireLink{link, w}
	if rooms, ok := link.(adapter.RoomObserver); ok {
		return struct {
			*wireLink
			adapter.RoomObserver
		}{l, rooms}, err
	}
	return l, err
}

// drop keeps messages for which f is true from being published.
func (w *wire) drop(f func(*adapter.Message) bool) { w.swallow.Store(&f) }

type wireLink struct {
	adapter.Link
	wire *wire
}

func (l *wireLink) Publish(ctx context.Context, m *adapter.Message) error {
	swallow := l.wire.swallow.Load()
	if l.wire.cut.Load() || swallow != nil && (*swallow)(m) {
		return nil
	}
	return l.Link.Publish(ctx, m)
}

// meet waits until all nodes know of each other that they are in "/".
func meet(t testing.TB, servers []*server.Server) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, s := range servers {
		for n := 0; n != len(servers); {
			var err error
			if n, err = s.Of("/").CountNodes(t.Context()); err != nil || time.Now().After(deadline) {
				t.Fatalf("%d nodes of %d, %v", n, len(servers), err)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

// ids are those of sockets, sorted.
func ids(sockets []server.RemoteSocket) []string {
	var all []string
	for _, s := range sockets {
		all = append(all, s.ID)
	}
	slices.Sort(all)
	return all
}

// partial fails the test unless err is a *PartialError, because of cause, that names nodes.
func partial(t *testing.T, err, cause error, nodes ...string) *server.PartialError {
	t.Helper()
	var missing *server.PartialError
	if !errors.As(err, &missing) || !errors.Is(err, cause) || !slices.Equal(missing.Nodes, nodes) {
		t.Errorf("got %v, want a PartialError that names %q because of: %v", err, nodes, cause)
		return &server.PartialError{}
	}
	return missing
}

// answerCall reads an event that wants an acknowledgement and acknowledges it.
func answerCall(t testing.TB, c *rawclient.Client, event, args string) {
	t.Helper()
	acknowledge(c, expectCall(t, c, event), args)
}

// expectCall reads an event that wants an acknowledgement and returns its id.
func expectCall(t testing.TB, c *rawclient.Client, event string) (id string) {
	t.Helper()
	got := c.Next()
	call, ok := strings.CutPrefix(got, "2")
	id, ok2 := strings.CutSuffix(call, event)
	if !ok || !ok2 || id == "" || strings.Trim(id, "0123456789") != "" {
		t.Fatalf("got packet %q, want the event %s with an id", got, event)
	}
	return id
}

func acknowledge(c *rawclient.Client, id, args string) { c.Send("3" + id + "[" + args + "]") }

// mute keeps a node from answering, though it lives.
func (n node) mute() {
	n.wire.drop(func(m *adapter.Message) bool { return m.Kind == adapter.KindResponse })
}

// crowds runs nodes that know each other, each with clients that are sinks.
func crowds(tb testing.TB, nodes, clients int) (servers []*server.Server, urls []string) {
	tb.Helper()
	null := rawFile(tb, os.DevNull)
	bus := memory.New()
	for range nodes {
		s, url := start(tb, server.Options{Adapter: bus, CloseTimeout: 10 * time.Millisecond})
		joined := make(chan struct{}, clients)
		server.On(s.Of("/"), "join", func(ctx context.Context, s *server.Socket, rooms []string) error {
			err := s.Join(ctx, rooms...)
			joined <- struct{}{}
			return err
		})
		for range clients {
			listen(s, newSink(null, "room"))
		}
		for range clients {
			receive(tb, joined)
		}
		servers, urls = append(servers, s), append(urls, url)
	}
	meet(tb, servers)
	return servers, urls
}

// counted fails the test unless answers has these counts.
func counted[Res any](t *testing.T, answers *server.Answers[Res], expected, received int) {
	t.Helper()
	if e, r := answers.Counts(); e != expected || r != received {
		t.Errorf("counts are %d and %d, want %d and %d", e, r, expected, received)
	}
}
