package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestBroadcast_SelectionsOnThreeNodes(t *testing.T) {
	servers, urls := cluster(t, 3)
	type client struct {
		*rawclient.Client
		id    string
		rooms []string
	}
	var clients []client
	for i, rooms := range [][]string{{"a"}, {"a", "b"}, {"b"}, {"c"}, {"a", "b", "c"}, {"d"}} {
		joining(servers[i%3].Of("/"))
		c, id := member(t, urls[i%3], rooms...)
		clients = append(clients, client{c, id, append(rooms, id)})
	}
	inAny := func(c client, rooms []string) bool {
		return slices.ContainsFunc(rooms, func(r string) bool { return slices.Contains(c.rooms, r) })
	}
	for n, emit := range []struct{ to, except []string }{
		{},
		{to: []string{"a"}},
		{to: []string{"a", "b", "c"}},
		{to: []string{"a"}, except: []string{"b"}},
		{except: []string{"a"}},
		{except: []string{"a", "b", "c", "d"}},
		{to: []string{clients[2].id}},
		{to: []string{"a", clients[2].id}, except: []string{clients[0].id}},
		{to: []string{"nobody"}},
	} {
		b := servers[n%3].Of("/").To(emit.to...).Except(emit.except...)
		if err := b.Emit("n", n); err != nil {
			t.Fatal(err)
		}
		// The marker shows in order that nothing else arrived before it.
		if err := servers[n%3].Emit("marker"); err != nil {
			t.Fatal(err)
		}
		for i, c := range clients {
			if (len(emit.to) == 0 || inAny(c, emit.to)) && !inAny(c, emit.except) {
				c.Expect(fmt.Sprintf(`2["n",%d]`, n))
			}
			if got := c.Next(); got != `2["marker"]` {
				t.Fatalf("selection %+v: client %d got %q", emit, i, got)
			}
		}
	}
}

func TestBroadcast_LocalStaysOnItsNode(t *testing.T) {
	servers, urls := cluster(t, 2)
	here, _ := rawclient.Join(t, urls[0], "/", nil)
	there, _ := rawclient.Join(t, urls[1], "/", nil)
	_ = servers[0].Of("/").Local().Emit("local")
	_ = servers[0].Emit("all")
	here.Expect(`2["local"]`, `2["all"]`)
	there.Expect(`2["all"]`)
}

func TestBroadcast_FromSocketExcludesItself(t *testing.T) {
	servers, urls := cluster(t, 2)
	for _, s := range servers {
		joining(s.Of("/"))
		server.On(s.Of("/"), "say", func(_ context.Context, s *server.Socket, text string) error {
			if err := s.To("a").Emit("said", text); err != nil {
				return err
			}
			return s.Broadcast().Emit("all", text)
		})
	}
	speaker, _ := member(t, urls[0], "a")
	others := []*rawclient.Client{}
	for _, url := range urls {
		c, _ := member(t, url, "a")
		others = append(others, c)
	}
	speaker.Send(`21["say","x"]`)
	speaker.Expect(`31[]`)
	speaker.ExpectNothing("/")
	for _, c := range others {
		c.Expect(`2["said","x"]`, `2["all","x"]`)
	}
}

func TestBroadcast_IsImmutable(t *testing.T) {
	s, url := start(t, server.Options{})
	joining(s.Of("/"))
	a, _ := member(t, url, "a")
	b, _ := member(t, url, "b")
	base := s.Of("/").To("a")
	_ = base.To("b")
	_ = base.Except("a")
	_ = base.Emit("x")
	a.Expect(`2["x"]`)
	b.ExpectNothing("/")
}

func TestBroadcast_BinaryAcrossNodes(t *testing.T) {
	servers, urls := cluster(t, 2)
	there, _ := rawclient.Join(t, urls[1], "/", nil)
	_ = servers[0].Emit("file", map[string]any{"body": []byte{0, 255}})
	there.Expect(`51-["file",{"body":{"_placeholder":true,"num":0}}]`, "binary:\x00\xff")
}

// Clients drop the connection on a packet with too many attachments; not every
// node of a cluster need know that.
func TestBroadcast_TooManyAttachmentsOfAnotherNodeAreDropped(t *testing.T) {
	bus := memory.New()
	generous, _ := start(t, server.Options{Adapter: bus, MaxAttachments: 20})
	strict, url := start(t, server.Options{Adapter: bus})
	there, _ := rawclient.Join(t, url, "/", nil)
	if err := errors.Join(generous.Emit("files", slices.Repeat([]any{[]byte{1}}, 11)...), generous.Emit("after")); err != nil {
		t.Fatal(err)
	}
	there.Expect(`2["after"]`)
	if got := strict.Health().BusDropped["refused"]; got != 1 {
		t.Errorf("%d broadcasts are counted as dropped, want 1", got)
	}
}

// Clients drop the connection on a reserved name, which no server sends; who writes to
// the backend may be none.
func TestBroadcast_ReservedNamesOfOthersAreDropped(t *testing.T) {
	bus := memory.New()
	s, url := start(t, server.Options{Adapter: bus})
	client, _ := rawclient.Join(t, url, "/", nil)
	link, err := bus.Join(t.Context(), "/", "a program", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close(t.Context())
	for _, data := range []string{`["disconnect"]`, `["connect_error","x"]`, `["dis\u0063onnect"]`, `["disconnected"]`} {
		p := packet.Packet{Type: packet.Event, Namespace: "/", Data: jsontext.Value(data)}
		broadcast := &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: p}}
		call := &adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{ID: "1", Action: adapter.ActionCall, Packet: p}}
		if err := errors.Join(link.Publish(t.Context(), broadcast), link.Publish(t.Context(), call)); err != nil {
			t.Fatal(err)
		}
	}
	client.Expect(`2["disconnected"]`, `20["disconnected"]`)
	if got := s.Health().BusDropped["refused"]; got != 6 {
		t.Errorf("%d messages are counted as dropped, want 6", got)
	}
}

// What one goroutine emits arrives in that order, whatever it is: broadcasts that
// wait in the fan-out queue, direct emits, acknowledgements. Other goroutines keep
// the queue busy.
func TestBroadcast_OneGoroutinesEmitsKeepTheirOrder(t *testing.T) {
	s, url := start(t, server.Options{})
	ns := s.Of("/")
	joining(ns)
	const rounds = 300
	server.On(ns, "go", func(_ context.Context, s *server.Socket, a server.Args) error {
		for i := range rounds {
			var err error
			switch i % 3 {
			case 0:
				err = ns.To("room").Emit("n", i)
			case 1:
				err = s.Emit("n", i)
			case 2:
				err = ns.To("room", s.ID()).Emit("n", i)
			}
			if err != nil {
				return err
			}
		}
		return a.Ack()
	})
	for range 20 {
		listener, _ := member(t, url, "noise")
		go func() { // reads so that it is no slow consumer
			for {
				if _, _, err := listener.Conn().ReadMessage(); err != nil {
					return
				}
			}
		}()
	}
	stop := make(chan struct{})
	noise := make(chan struct{})
	go func() {
		defer close(noise)
		for {
			select {
			case <-stop:
				return
			default:
				_ = ns.To("noise").Emit("noise", strings.Repeat("x", 100))
			}
		}
	}()
	c, _ := member(t, url, "room")
	c.Send(`21["go"]`)
	for i := range rounds {
		c.Expect(fmt.Sprintf(`2["n",%d]`, i))
	}
	c.Expect(`31[]`)
	close(stop)
	receive(t, noise)
}

func TestJoin_LeaveAndRoomsAreSeenAtOnce(t *testing.T) {
	s, url := start(t, server.Options{MaxRoomsPerSocket: 3})
	sockets := make(chan *server.Socket, 1)
	s.Of("/").OnConnect(func(_ context.Context, s *server.Socket) error { sockets <- s; return nil })
	c, id := rawclient.Join(t, url, "/", nil)
	socket := receive(t, sockets)
	rooms := func() []string { return slices.Sorted(slices.Values(socket.Rooms())) }
	want := func(rooms ...string) []string { return slices.Sorted(slices.Values(append(rooms, id))) }

	if err := socket.Join(t.Context(), "a", "b", "a"); err != nil {
		t.Fatal(err)
	}
	if got := rooms(); !slices.Equal(got, want("a", "b")) {
		t.Errorf("rooms are %q", got)
	}
	if err := socket.Join(t.Context(), "c", "d"); !errors.Is(err, server.ErrTooManyRooms) {
		t.Errorf("fourth room: %v, want ErrTooManyRooms", err)
	}
	if got := rooms(); !slices.Equal(got, want("a", "b")) {
		t.Errorf("after a refused Join rooms are %q", got)
	}
	socket.Leave("a", "nowhere", id)
	if got := rooms(); !slices.Equal(got, want("b")) {
		t.Errorf("after Leave rooms are %q", got)
	}
	_ = s.To("a").Emit("no")
	_ = s.To("b").Emit("yes")
	_ = s.To(id).Emit("own")
	c.Expect(`2["yes"]`, `2["own"]`)
}

// A socket that leaves after an emit still gets what was emitted before; one that
// joins after it does not.
func TestBroadcast_ReceiversAreThoseOfTheCall(t *testing.T) {
	s, url := start(t, server.Options{})
	sockets := make(chan *server.Socket, 2)
	s.Of("/").OnConnect(func(_ context.Context, s *server.Socket) error { sockets <- s; return nil })
	first, _ := rawclient.Join(t, url, "/", nil)
	a := receive(t, sockets)
	second, _ := rawclient.Join(t, url, "/", nil)
	b := receive(t, sockets)
	for i := range 200 {
		if err := a.Join(t.Context(), "room"); err != nil {
			t.Fatal(err)
		}
		_ = s.To("room").Emit("n", i)
		a.Leave("room")
		if err := b.Join(t.Context(), "room"); err != nil {
			t.Fatal(err)
		}
		b.Leave("room")
		first.Expect(fmt.Sprintf(`2["n",%d]`, i))
	}
	second.ExpectNothing("/")
}

func TestBroadcast_EventBeforeDisconnectArrives(t *testing.T) {
	for _, close := range []bool{false, true} {
		s, url := start(t, server.Options{})
		server.On(s.Of("/"), "kick", func(_ context.Context, socket *server.Socket, _ struct{}) error {
			for i := range 50 {
				_ = s.Emit("bye", i)
			}
			socket.Disconnect(close)
			_ = s.Emit("after")
			return nil
		})
		c, _ := rawclient.Join(t, url, "/", nil)
		c.Send(`2["kick"]`)
		for i := range 50 {
			c.Expect(fmt.Sprintf(`2["bye",%d]`, i))
		}
		c.Expect("1")
		if close {
			if rest := c.ExpectClose(); len(rest) > 0 {
				t.Errorf("after DISCONNECT came %q", rest)
			}
		}
	}
}

// joiner is a backend whose joins of one topic wait.
type joiner struct {
	topic    string
	joining  chan struct{} // closed when one waits
	released chan struct{}
}

func (j *joiner) Join(_ context.Context, topic string, _ adapter.NodeID, _ func(*adapter.Message)) (adapter.Link, error) {
	if topic == j.topic {
		close(j.joining)
		<-j.released
	}
	return j, nil
}

func (j *joiner) Publish(context.Context, *adapter.Message) error { return nil }
func (j *joiner) Close(context.Context) error                     { return nil }

func TestEmit_ToPatternDoesNotWaitForJoiningNamespaces(t *testing.T) {
	backend := &joiner{"/child", make(chan struct{}), make(chan struct{})}
	s, url := start(t, server.Options{Adapter: backend})
	pattern := s.OfFunc(func(context.Context, string, *server.Handshake) bool { return true })
	sync(pattern)
	c := rawclient.Dial(t, url, nil)
	c.Send("0/child,")
	receive(t, backend.joining)
	emitted := make(chan error, 1)
	go func() { emitted <- pattern.Emit("early") }()
	if err := receive(t, emitted); err != nil {
		t.Error(err)
	}
	close(backend.released)
	if reply := c.Next(); !strings.HasPrefix(reply, "0/child,") {
		t.Errorf("first came %q, want the reply to CONNECT", reply)
	}
	c.ExpectNothing("/child")
}
