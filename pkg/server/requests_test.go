package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"
	"syscall"
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

// inCluster runs nodes that know each other, on networks of pipes with fake time.
func inCluster(t *testing.T, size int, options server.Options, test func(t *testing.T, nodes []node)) {
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
	options.Adapter, options.Logger = n.wire, quiet
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
	n.Server, n.dial = s, network.Dial
	return n, func() {
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
}

func (w *wire) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
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

func TestFetchSockets_SelectionsOnThreeNodes(t *testing.T) {
	inCluster(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		type client struct {
			id    string
			node  int
			rooms []string
		}
		var clients []client
		for i, rooms := range [][]string{{"a"}, {"a", "b"}, {"b"}, {"c"}, {"a", "b", "c"}, {}} {
			_, id := nodes[i%3].member(t, rooms...)
			clients = append(clients, client{id, i % 3, append(rooms, id)})
		}
		inAny := func(c client, rooms []string) bool {
			return slices.ContainsFunc(rooms, func(r string) bool { return slices.Contains(c.rooms, r) })
		}
		for _, s := range []struct{ to, except []string }{
			{},
			{to: []string{"a"}},
			{to: []string{"a", "b", "c"}},
			{to: []string{"a"}, except: []string{"b"}},
			{except: []string{"a"}},
			{except: []string{"a", "b", "c"}},
			{to: []string{clients[2].id}},
			{to: []string{"a", clients[2].id}, except: []string{clients[0].id}},
			{to: []string{"nobody"}},
		} {
			for at, n := range nodes {
				for _, local := range []bool{false, true} {
					b := n.Of("/").To(s.to...).Except(s.except...)
					if local {
						b = b.Local()
					}
					var want, rooms []string
					for _, c := range clients {
						if (!local || c.node == at) && (len(s.to) == 0 || inAny(c, s.to)) && !inAny(c, s.except) {
							want, rooms = append(want, c.id), append(rooms, c.rooms...)
						}
					}
					slices.Sort(want)
					slices.Sort(rooms)
					sockets, err := b.FetchSockets(t.Context())
					if got := ids(sockets); err != nil || !slices.Equal(got, want) {
						t.Errorf("%+v on node %d, local %v: got %q, %v; want %q", s, at, local, got, err, want)
					}
					got, err := b.Rooms(t.Context())
					if want := slices.Compact(rooms); err != nil || !slices.Equal(got, want) {
						t.Errorf("%+v on node %d, local %v: got rooms %q, %v; want %q", s, at, local, got, err, want)
					}
				}
			}
		}
	})
}

func TestFetchSockets_DescribesASocketAlikeOnAllNodes(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		type profile struct {
			Name   string
			Scores []int
			Raw    []byte
		}
		attached := profile{"Ada \u2028 <&>", []int{3, 4}, []byte{0, 255}}
		nodes[1].Of("/").OnConnect(func(ctx context.Context, s *server.Socket) error {
			server.SetData(s, attached)
			return s.Join(ctx, "a")
		})
		c := rawclient.Dial(t, pipeURL, nodes[1].dial)
		id := c.Connect("/", `{"user":"ada"}`)
		c.ExpectNothing("/") // OnConnect has run
		here := nodes[1].Of("/").Sockets()[0].Handshake()
		for i, n := range nodes {
			sockets, err := n.Of("/").All().FetchSockets(t.Context())
			if err != nil || len(sockets) != 1 {
				t.Fatalf("node %d: got %d sockets, %v", i, len(sockets), err)
			}
			got := sockets[0]
			var data profile
			if err := got.DecodeData(&data); err != nil || fmt.Sprint(data) != fmt.Sprint(attached) {
				t.Errorf("node %d: data is %+v, %v", i, data, err)
			}
			if slices.Sort(got.Rooms); got.ID != id || !slices.Equal(got.Rooms, slices.Sorted(slices.Values([]string{"a", id}))) {
				t.Errorf("node %d: got %q in %q", i, got.ID, got.Rooms)
			}
			h, err := got.Handshake()
			if err != nil {
				t.Fatal(err)
			}
			var auth struct {
				User string `json:"user"`
			}
			if err := h.DecodeAuth(&auth); err != nil || auth.User != "ada" {
				t.Errorf("node %d: auth is %s, %v", i, h.Auth, err)
			}
			if got := h.Query().Get("transport"); got != "websocket" {
				t.Errorf("node %d: the query is %v", i, h.Query())
			}
			if got, want := h.Header().Get("Sec-Websocket-Key"), here.Header().Get("Sec-Websocket-Key"); got != want || got == "" {
				t.Errorf("node %d: the header has %q, want %q", i, got, want)
			}
			if h.RemoteAddr != here.RemoteAddr {
				t.Errorf("node %d: the address is %q, want %q", i, h.RemoteAddr, here.RemoteAddr)
			}
		}
	})
}

func TestFetchSockets_DataWithoutJSONFormIsLeftOut(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		for _, value := range []any{make(chan int), func() {}, map[string]any{"x": make(chan int)}} {
			c, id := nodes[0].member(t)
			socket := nodes[0].Of("/").Sockets()[0]
			server.SetData(socket, value)
			for i, n := range nodes {
				sockets, err := n.To(id).FetchSockets(t.Context())
				if err != nil || len(sockets) != 1 {
					t.Fatalf("node %d, %T: got %d sockets, %v", i, value, len(sockets), err)
				}
				data := "untouched"
				if err := sockets[0].DecodeData(&data); err != nil || data != "untouched" {
					t.Errorf("node %d, %T: data is %q, %v", i, value, data, err)
				}
			}
			c.Close()
			synctest.Wait()
		}
	})
}

func TestFetchSockets_MoreThanFitIntoOneAnswer(t *testing.T) {
	servers, _ := crowds(t, 2, 2500)
	sockets, err := servers[0].Of("/").All().FetchSockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(slices.Compact(ids(sockets))); got != 5000 {
		t.Errorf("got %d different sockets, want 5,000", got)
	}
}

func TestRemoteSocket_IsUsedLikeASocket(t *testing.T) {
	inCluster(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		c, id := nodes[0].member(t, "a")
		bystander, _ := nodes[0].member(t, "a")
		for i, n := range nodes {
			sockets, err := n.To(id).FetchSockets(t.Context())
			if err != nil || len(sockets) != 1 {
				t.Fatalf("node %d: got %d sockets, %v", i, len(sockets), err)
			}
			s := sockets[0]
			if err := errors.Join(s.Emit("direct", i), s.Join(t.Context(), "b"), s.Leave(t.Context(), "a")); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(nodes[0].To("a").Emit("no"), nodes[0].To("b").Emit("yes")); err != nil {
				t.Fatal(err)
			}
			c.Expect(fmt.Sprintf(`2["direct",%d]`, i), `2["yes"]`)
			bystander.Expect(`2["no"]`)
			answers := server.CallAll[string](t.Context(), s.Broadcast, "ask")
			answerCall(t, c, `["ask"]`, `"mine"`)
			if got, err := answers.Wait(); err != nil || !slices.Equal(got, []string{"mine"}) {
				t.Errorf("node %d: CallAll got %q, %v", i, got, err)
			}
			if err := errors.Join(s.Leave(t.Context(), "b"), s.Join(t.Context(), "a")); err != nil {
				t.Fatal(err)
			}
		}
		sockets, err := nodes[2].To(id).FetchSockets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := sockets[0].Disconnect(t.Context(), false); err != nil {
			t.Error(err)
		}
		c.Expect("1")
		if sockets, err = nodes[1].Of("/").All().FetchSockets(t.Context()); err != nil || len(sockets) != 1 {
			t.Errorf("after Disconnect there are %d sockets, %v", len(sockets), err)
		}
		bystander.ExpectNothing("/")
	})
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

func TestRequests_FromASocketLeaveItOut(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		self, own := nodes[0].member(t, "a")
		here, hereID := nodes[0].member(t, "a")
		there, thereID := nodes[1].member(t, "a")
		socket := nodes[0].Of("/").Sockets()[0]
		if socket.ID() != own {
			t.Fatal("the first socket is not the first client's")
		}
		want := slices.Sorted(slices.Values([]string{hereID, thereID}))
		for _, b := range []server.Broadcast{socket.Broadcast(), socket.To("a"), socket.Volatile().To("a"), socket.Compress(false).To("a")} {
			if sockets, err := b.FetchSockets(t.Context()); err != nil || !slices.Equal(ids(sockets), want) {
				t.Errorf("got %q, %v; want %q", ids(sockets), err, want)
			}
		}
		if err := socket.To("a").Join(t.Context(), "b"); err != nil {
			t.Error(err)
		}
		if err := socket.Broadcast().Leave(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if got := socket.Rooms(); !slices.Equal(got, []string{own, "a"}) {
			t.Errorf("rooms are %q", got)
		}
		if err := socket.To("b").Disconnect(t.Context(), true); err != nil {
			t.Error(err)
		}
		for _, c := range []*rawclient.Client{here, there} {
			if got := c.ExpectClose(); !slices.Equal(got, []string{"41"}) {
				t.Errorf("before the close came %q", got)
			}
		}
		self.ExpectNothing("/")
	})
}

// A socket's own selection concerns nobody else and asks no other node.
func TestRequests_OfASocketsOwnSelectionStayHere(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		_, own := nodes[0].member(t)
		other, _ := nodes[1].member(t)
		nodes[0].wire.drop(func(m *adapter.Message) bool {
			if m.Kind == adapter.KindRequest {
				t.Errorf("a request was published: %+v", m.Request)
			}
			return false
		})
		only := nodes[0].Of("/").Sockets()[0].Volatile()
		if sockets, err := only.FetchSockets(t.Context()); err != nil || !slices.Equal(ids(sockets), []string{own}) {
			t.Errorf("got %q, %v", ids(sockets), err)
		}
		if rooms, err := only.Rooms(t.Context()); err != nil || !slices.Equal(rooms, []string{own}) {
			t.Errorf("rooms are %q, %v", rooms, err)
		}
		if err := errors.Join(only.Join(t.Context(), "a"), only.Leave(t.Context(), "a"), only.Disconnect(t.Context(), false)); err != nil {
			t.Error(err)
		}
		other.ExpectNothing("/")
	})
}

// calls are all ways to ask a cluster something.
var calls = map[string]func(context.Context, *server.Namespace) error{
	"FetchSockets": func(ctx context.Context, ns *server.Namespace) error {
		_, err := ns.All().FetchSockets(ctx)
		return err
	},
	"Rooms":      func(ctx context.Context, ns *server.Namespace) error { _, err := ns.All().Rooms(ctx); return err },
	"Join":       func(ctx context.Context, ns *server.Namespace) error { return ns.All().Join(ctx, "a") },
	"Leave":      func(ctx context.Context, ns *server.Namespace) error { return ns.All().Leave(ctx, "a") },
	"Disconnect": func(ctx context.Context, ns *server.Namespace) error { return ns.To("nobody").Disconnect(ctx, false) },
	"CallAll": func(ctx context.Context, ns *server.Namespace) error {
		_, err := server.CallAll[string](ctx, ns.To("nobody"), "ask").Wait()
		return err
	},
	"CallServers": func(ctx context.Context, ns *server.Namespace) error {
		_, err := server.CallServers[string](ctx, ns, "ask")
		return err
	},
}

func TestRequests_OfAPatternAreRefused(t *testing.T) {
	s, _ := start(t, server.Options{})
	pattern := s.OfFunc(func(context.Context, string, *server.Handshake) bool { return true })
	for name, call := range calls {
		if err := call(t.Context(), pattern); !errors.Is(err, server.ErrNamespace) {
			t.Errorf("%s: %v, want ErrNamespace", name, err)
		}
	}
	if _, err := pattern.CountNodes(t.Context()); !errors.Is(err, server.ErrNamespace) {
		t.Errorf("CountNodes: %v, want ErrNamespace", err)
	}
	if err := pattern.ServerSideEmit(t.Context(), "x"); !errors.Is(err, server.ErrNamespace) {
		t.Errorf("ServerSideEmit: %v, want ErrNamespace", err)
	}
}

func TestRequests_AfterShutdownAreRefused(t *testing.T) {
	s, _ := start(t, server.Options{})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, call := range calls {
		if err := call(t.Context(), s.Of("/")); !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("%s: %v, want ErrServerClosed", name, err)
		}
	}
	if err := s.Of("/").ServerSideEmit(t.Context(), "x"); !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("ServerSideEmit: %v, want ErrServerClosed", err)
	}
}

// mute keeps a node from answering, though it lives.
func (n node) mute() {
	n.wire.drop(func(m *adapter.Message) bool { return m.Kind == adapter.KindResponse })
}

func TestRequests_EndWithTheirContextAndNameWhoIsMissing(t *testing.T) {
	inCluster(t, 3, server.Options{HeartbeatInterval: time.Minute, HeartbeatTimeout: 3 * time.Minute}, func(t *testing.T, nodes []node) {
		_, id := nodes[1].member(t)
		nodes[2].mute()
		sockets, err := nodes[0].Of("/").All().FetchSockets(t.Context())
		if partial(t, err, context.DeadlineExceeded, nodes[2].NodeID()); !slices.Equal(ids(sockets), []string{id}) {
			t.Errorf("got the sockets %q, want that of the node that answers", ids(sockets))
		}
		for name, call := range calls {
			begin := time.Now()
			partial(t, call(t.Context(), nodes[0].Of("/")), context.DeadlineExceeded, nodes[2].NodeID())
			if got := time.Since(begin); got != 5*time.Second {
				t.Errorf("%s without a deadline took %v, want RequestTimeout", name, got)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			begin = time.Now()
			partial(t, call(ctx, nodes[0].Of("/")), context.DeadlineExceeded, nodes[2].NodeID())
			if got := time.Since(begin); got != 7*time.Second {
				t.Errorf("%s took %v, want its context's 7 s", name, got)
			}
			cancel()
			cause := errors.New("changed my mind")
			ctx, stop := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { stop(cause) })
			partial(t, call(ctx, nodes[0].Of("/")), cause, nodes[2].NodeID())
		}
	})
}

// A node that dies is waited for no longer than HeartbeatTimeout after its last
// sign of life, and afterwards not at all.
func TestRequests_DeadNodeIsGivenUp(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
				nodes[2].wire.cut.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begin := time.Now()
				partial(t, call(ctx, nodes[0].Of("/")), server.ErrNodeLost, nodes[2].NodeID())
				if got := time.Since(begin); got > 11*time.Second {
					t.Errorf("took %v, want at most HeartbeatTimeout and a check", got)
				}
				begin = time.Now()
				if err := call(ctx, nodes[0].Of("/")); err != nil || time.Since(begin) != 0 {
					t.Errorf("the next call: %v after %v", err, time.Since(begin))
				}
			})
		})
	}
}

// What another program's node answers may be anything: it is an error of its own
// part, and nothing else.
func TestRequests_GarbageOfAnotherNodeIsAnError(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		here, _ := nodes[0].member(t)
		there, id := nodes[1].member(t)
		for _, garbage := range []string{"", "garbage", "{", "[1", "7", `"text"`, `[{"_placeholder":true,"num":3}]`, `{"headers":7,"query":[],"auth":1}`, "\xff\xfe"} {
			nodes[1].wire.drop(func(m *adapter.Message) bool {
				if r := m.Response; r != nil {
					for i := range r.Sockets {
						r.Sockets[i].Handshake, r.Sockets[i].Data = []byte(garbage), []byte(garbage)
					}
					if r.Answer != nil {
						r.Answer.Data, r.Answer.Attachments = []byte(garbage), nil
					}
				}
				return false
			})
			sockets, err := nodes[0].To(id).FetchSockets(t.Context())
			if err != nil || len(sockets) != 1 {
				t.Fatalf("%q: got %d sockets, %v", garbage, len(sockets), err)
			}
			if _, err := sockets[0].Handshake(); err != nil && !errors.Is(err, server.ErrArguments) {
				t.Errorf("%q: Handshake fails with %v, want ErrArguments", garbage, err)
			}
			var data struct{ X int }
			if err := sockets[0].DecodeData(&data); err != nil && !errors.Is(err, server.ErrArguments) {
				t.Errorf("%q: DecodeData fails with %v, want ErrArguments", garbage, err)
			}
			answers := server.CallAll[struct{ X int }](t.Context(), nodes[0].Of("/").All(), "ask")
			answerCall(t, here, `["ask"]`, `{"X":1}`)
			answerCall(t, there, `["ask"]`, "2")
			got, err := answers.Wait()
			if len(got) == 0 || len(got) == 1 && !errors.Is(err, server.ErrArguments) {
				t.Errorf("%q: CallAll got %v, %v", garbage, got, err)
			}
			counted(t, answers, 2, 2)
		}
	})
}

// away is a bus whose backend is not reached.
type away struct {
	adapter.Adapter
	state atomic.Int32
}

func (a *away) Status() adapter.Status { return adapter.Status{State: adapter.State(a.state.Load())} }

// While the backend is known to be away nobody waits, and this node serves its own.
func TestRequests_WithoutTheBackendEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &away{Adapter: memory.New()}
		// Nodes look at the status of their own adapter, which a wire would hide.
		var servers []*server.Server
		for range 2 {
			s, err := server.New(server.Options{Adapter: bus, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Shutdown(context.Background()) }()
			servers = append(servers, s)
		}
		time.Sleep(time.Second)
		bus.state.Store(int32(adapter.Degraded))
		for name, call := range calls {
			begin := time.Now()
			if partial(t, call(t.Context(), servers[0].Of("/")), server.ErrDegraded, servers[1].NodeID()); time.Since(begin) != 0 {
				t.Errorf("%s took %v", name, time.Since(begin))
			}
		}
	})
}

func TestRequests_NodeThatLeavesIsNotWaitedFor(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		nodes[1].mute()
		done := make(chan error, 1)
		go func() {
			_, err := nodes[0].Of("/").All().FetchSockets(t.Context())
			done <- err
		}()
		synctest.Wait()
		begin := time.Now()
		if err := nodes[1].Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		partial(t, <-done, server.ErrNodeLost, nodes[1].NodeID())
		if got := time.Since(begin); got != 0 {
			t.Errorf("took %v", got)
		}
	})
}

func TestShutdown_EndsPendingRequests(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 2, server.Options{HeartbeatInterval: time.Minute, HeartbeatTimeout: 3 * time.Minute}, func(t *testing.T, nodes []node) {
				nodes[1].mute()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- call(ctx, nodes[0].Of("/")) }()
				synctest.Wait()
				begin := time.Now()
				if err := nodes[0].Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				partial(t, <-done, server.ErrServerClosed, nodes[1].NodeID())
				if got := time.Since(begin); got != 0 {
					t.Errorf("Shutdown waited %v for the call", got)
				}
			})
		})
	}
}

// routed is a bus that takes broadcasts to rooms only where they are wanted, and
// hears of that with some delay.
type routed struct {
	adapter.Adapter
	mu       gosync.Mutex
	occupied map[string]int // how often each room was announced, by all nodes
	empty    map[string]int // how often it was given back
}

func newRouted() *routed {
	return &routed{Adapter: memory.New(), occupied: make(map[string]int), empty: make(map[string]int)}
}

func (r *routed) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	l := &routedLink{bus: r, wanted: make(map[string]bool)}
	link, err := r.Adapter.Join(ctx, topic, self, func(m *adapter.Message) {
		if m.Kind != adapter.KindBroadcast || len(m.Broadcast.Rooms) == 0 || l.wants(m.Broadcast.Rooms) {
			deliver(m)
		}
	})
	l.Link = link
	return l, err
}

func (r *routed) counts(room string) (occupied, empty int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.occupied[room], r.empty[room]
}

type routedLink struct {
	adapter.Link
	bus *routed

	mu       gosync.Mutex
	wanted   map[string]bool
	suffixes []string
}

func (l *routedLink) wants(rooms []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(rooms, func(room string) bool {
		return l.wanted[room] || len(room) == 20 && slices.ContainsFunc(l.suffixes, func(s string) bool { return strings.HasSuffix(room, s) })
	})
}

func (l *routedLink) RoomOccupied(_ context.Context, room string) error {
	l.bus.mu.Lock()
	l.bus.occupied[room]++
	l.bus.mu.Unlock()
	for range rand.IntN(4) {
		runtime.Gosched()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted[room] = true
	return nil
}

func (l *routedLink) RoomEmpty(room string) {
	l.bus.mu.Lock()
	l.bus.empty[room]++
	l.bus.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.wanted, room)
}

func (l *routedLink) SocketIDs(_ context.Context, suffix string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suffixes = append(l.suffixes, suffix)
	return nil
}

// Whoever puts a socket into a room, what any node emits to that room afterwards
// arrives; and after Leave it does not.
func TestJoin_AcrossNodesReturnsWhenBroadcastsArrive(t *testing.T) {
	bus := newRouted()
	var servers []*server.Server
	var clients []*rawclient.Client
	var own []string
	for range 3 {
		s, url := start(t, server.Options{Adapter: bus})
		c, id := rawclient.Join(t, url, "/", nil)
		servers, clients, own = append(servers, s), append(clients, c), append(own, id)
	}
	meet(t, servers)
	rounds, begin := 0, time.Now()
	for ; rounds < 10_000 && time.Since(begin) < 3*time.Second; rounds++ {
		who, room := rand.IntN(3), fmt.Sprint("room", rounds)
		if err := servers[rand.IntN(3)].To(own[who]).Join(t.Context(), room, "other"); err != nil {
			t.Fatal(err)
		}
		emitter := servers[rand.IntN(3)]
		if err := emitter.To(room).Emit("in", rounds); err != nil {
			t.Fatal(err)
		}
		clients[who].Expect(fmt.Sprintf(`2["in",%d]`, rounds))
		if err := servers[rand.IntN(3)].To("other").Leave(t.Context(), room, "other"); err != nil {
			t.Fatal(err)
		}
		if err := emitter.To(room).Emit("out", rounds); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rounds", rounds)
	for _, c := range clients {
		c.ExpectNothing("/")
	}
}

// The own sockets' rooms need no answer of others.
func TestJoin_OfThisNodeIsAnnouncedBeforeOthersConfirm(t *testing.T) {
	bus := newRouted()
	inCluster(t, 2, server.Options{Adapter: bus}, func(t *testing.T, nodes []node) {
		c, id := nodes[0].member(t)
		nodes[1].mute()
		done := make(chan error, 1)
		go func() { done <- nodes[0].To(id).Join(t.Context(), "a") }()
		synctest.Wait()
		if occupied, _ := bus.counts("a"); occupied != 1 {
			t.Errorf("while the other node is waited for, the room was announced %d times", occupied)
		}
		if err := nodes[1].To("a").Emit("hello"); err != nil {
			t.Fatal(err)
		}
		c.Expect(`2["hello"]`)
		partial(t, <-done, context.DeadlineExceeded, nodes[1].NodeID())
	})
}

// stuck is a backend that does not confirm any room.
type stuck struct{ *routed }

func (s stuck) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	l, err := s.routed.Join(ctx, topic, self, deliver)
	return stuckLink{l.(*routedLink)}, err
}

type stuckLink struct{ *routedLink }

func (stuckLink) RoomOccupied(ctx context.Context, _ string) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestJoin_WaitsForTheBackendNoLongerThanRequestTimeout(t *testing.T) {
	inCluster(t, 2, server.Options{Adapter: stuck{newRouted()}}, func(t *testing.T, nodes []node) {
		_, id := rawclient.Join(t, pipeURL, "/", nodes[0].dial)
		for _, n := range nodes {
			begin := time.Now()
			if err := n.To(id).Join(t.Context(), "a"); n.Server == nodes[0].Server && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the end of the time", err)
			}
			if got := time.Since(begin); got != 5*time.Second {
				t.Errorf("took %v, want RequestTimeout", got)
			}
		}
	})
}

// Several put sockets in and out of one room at a time: in the end the adapter
// knows what is true.
func TestJoin_InterestIsAnnouncedPerNodeAndGivenBackAtTheEnd(t *testing.T) {
	bus := newRouted()
	var servers []*server.Server
	for range 3 {
		s, url := start(t, server.Options{Adapter: bus})
		servers = append(servers, s)
		for range 4 {
			rawclient.Join(t, url, "/", nil)
		}
	}
	meet(t, servers)
	if err := servers[0].Of("/").All().Join(t.Context(), "calm"); err != nil {
		t.Fatal(err)
	}
	if occupied, empty := bus.counts("calm"); occupied != 3 || empty != 0 {
		t.Errorf("three nodes announced the room %d times and gave it back %d times", occupied, empty)
	}
	if err := servers[1].Of("/").All().Leave(t.Context(), "calm"); err != nil {
		t.Fatal(err)
	}
	if _, empty := bus.counts("calm"); empty != 3 {
		t.Errorf("three nodes gave the room back %d times", empty)
	}
	var busy gosync.WaitGroup
	for _, s := range servers {
		busy.Go(func() {
			for range 100 {
				_ = s.Of("/").All().Join(t.Context(), "busy")
				_ = s.Of("/").All().Leave(t.Context(), "busy")
			}
		})
	}
	busy.Wait()
	if rooms, err := servers[0].To("busy").Rooms(t.Context()); err != nil || len(rooms) != 0 {
		t.Errorf("somebody stayed: %q, %v", rooms, err)
	}
	for _, s := range servers {
		if err := s.Of("/").Local().Join(t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
		if err := s.Of("/").Local().Leave(t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJoin_LimitOfRoomsIsOfEachSocket(t *testing.T) {
	inCluster(t, 2, server.Options{MaxRoomsPerSocket: 2}, func(t *testing.T, nodes []node) {
		_, fullHere := nodes[0].member(t, "a", "b")
		_, here := nodes[0].member(t)
		_, fullThere := nodes[1].member(t, "a", "b")
		_, there := nodes[1].member(t)
		if err := nodes[0].Of("/").All().Join(t.Context(), "c"); !errors.Is(err, server.ErrTooManyRooms) {
			t.Errorf("got %v, want ErrTooManyRooms for the full socket of this node", err)
		}
		sockets, err := nodes[0].To("c").FetchSockets(t.Context())
		if want := slices.Sorted(slices.Values([]string{here, there})); err != nil || !slices.Equal(ids(sockets), want) {
			t.Errorf("in the room are %q, %v; want %q", ids(sockets), err, want)
		}
		if err := nodes[0].To(fullThere).Join(t.Context(), "c"); err != nil {
			t.Errorf("for a full socket of another node: %v, want its node's word that it is done", err)
		}
		if err := nodes[0].To(fullHere).Join(t.Context(), "b", "a"); err != nil {
			t.Errorf("rooms in which it is: %v", err)
		}
	})
}

// crowds runs nodes that know each other, each with clients that are sinks.
func crowds(tb testing.TB, nodes, clients int) (servers []*server.Server, urls []string) {
	tb.Helper()
	null := devNull(tb)
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
			listen(s, null, "room")
		}
		for range clients {
			receive(tb, joined)
		}
		servers, urls = append(servers, s), append(urls, url)
	}
	meet(tb, servers)
	return servers, urls
}

func devNull(tb testing.TB) syscall.RawConn {
	tb.Helper()
	file, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = file.Close() })
	null, err := file.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	return null
}

func BenchmarkFetchSockets_ThreeNodes(b *testing.B) {
	const clients = 9_999
	servers, _ := crowds(b, 3, clients/3)
	ns := servers[0].Of("/")
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		sockets, err := ns.All().FetchSockets(b.Context())
		if err != nil || len(sockets) != clients {
			b.Fatalf("got %d sockets, %v", len(sockets), err)
		}
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*clients), "ns/socket")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N*clients), "allocs/socket")
}
