package server_test

import (
	"context"
	"slices"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestDisconnect_ReasonsAndRoomsAreReadable(t *testing.T) {
	for name, test := range map[string]struct {
		act    func(c *rawclient.Client)
		reason server.DisconnectReason
	}{
		"client leaves":            {func(c *rawclient.Client) { c.Send("1") }, server.ClientDisconnect},
		"server ends it":           {func(c *rawclient.Client) { c.Send(`2["out",false]`) }, server.ServerDisconnect},
		"server ends the session":  {func(c *rawclient.Client) { c.Send(`2["out",true]`) }, server.ServerDisconnect},
		"invalid Socket.IO packet": {func(c *rawclient.Client) { c.Send("9") }, server.ForcedClose},
		"invalid Engine.IO packet": {func(c *rawclient.Client) { c.SendRaw("9") }, server.ParseError},
		"ping from the client":     {func(c *rawclient.Client) { c.SendRaw("2") }, server.TransportError},
		"connection lost":          {func(c *rawclient.Client) { c.Close() }, server.TransportClose},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := start(t, server.Options{})
			ns := s.Of("/")
			joining(ns)
			server.On(ns, "out", func(_ context.Context, s *server.Socket, close bool) error {
				s.Disconnect(close)
				return nil
			})
			type end struct {
				reason server.DisconnectReason
				rooms  []string
				ctx    error
				left   int
			}
			ends := make(chan end, 1)
			ns.OnDisconnect(func(ctx context.Context, socket *server.Socket, reason server.DisconnectReason) {
				_ = socket.To("a").Emit("left")
				ends <- end{reason, socket.Rooms(), ctx.Err(), len(ns.Sockets())}
			})
			friend, _ := member(t, url, "a")
			c, id := member(t, url, "a", "b")
			test.act(c)
			got := receive(t, ends)
			if got.reason != test.reason {
				t.Errorf("reason is %q, want %q", got.reason, test.reason)
			}
			slices.Sort(got.rooms)
			if want := slices.Sorted(slices.Values([]string{"a", "b", id})); !slices.Equal(got.rooms, want) {
				t.Errorf("rooms are %q, want %q", got.rooms, want)
			}
			if got.ctx != nil {
				t.Errorf("the context of OnDisconnect has ended: %v", got.ctx)
			}
			if got.left != 1 {
				t.Errorf("%d sockets are left, want 1", got.left)
			}
			friend.Expect(`2["left"]`)
		})
	}
}

func TestDisconnect_EventsThatCameBeforeAreHandledAndContextEndsAtOnce(t *testing.T) {
	s, url := start(t, server.Options{})
	ns := s.Of("/")
	started := make(chan struct{})
	handled := make(chan string, 10)
	server.On(ns, "wait", func(ctx context.Context, _ *server.Socket, _ struct{}) error {
		close(started)
		<-ctx.Done()
		handled <- "wait"
		return nil
	})
	server.On(ns, "save", func(context.Context, *server.Socket, struct{}) error {
		handled <- "save"
		return nil
	})
	ns.OnDisconnect(func(context.Context, *server.Socket, server.DisconnectReason) { handled <- "end" })
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`2["wait"]`)
	receive(t, started)
	c.Send(`2["save"]`)
	c.Send("1")
	for _, want := range []string{"wait", "save", "end"} {
		if got := receive(t, handled); got != want {
			t.Fatalf("handled %q, want %q", got, want)
		}
	}
}

func TestDisconnect_OneNamespaceLeavesTheOthers(t *testing.T) {
	s, url := start(t, server.Options{})
	sync(s.Of("/chat"))
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Connect("/chat", "")
	c.Send("1")
	c.ExpectNothing("/chat")
	_ = s.Emit("main")
	_ = s.Of("/chat").Emit("chat")
	c.Expect(`2/chat,["chat"]`)
}

func TestDisconnect_ClosesTheConnectionOfClientThatLeft(t *testing.T) {
	s, url := start(t, server.Options{})
	s.Of("/").OnDisconnect(func(_ context.Context, s *server.Socket, _ server.DisconnectReason) { s.Disconnect(true) })
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send("1")
	c.ExpectClose()
}
