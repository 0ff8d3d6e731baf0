package server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestConnect_IDsHaveTwentyCharactersAndTheNodesTag(t *testing.T) {
	_, url := start(t, server.Options{})
	a, id := rawclient.Join(t, url, "/", nil)
	_, other := rawclient.Join(t, url, "/", nil)
	if len(id) != 20 || len(other) != 20 || id == other || id[16:] != other[16:] {
		t.Errorf("ids %q and %q: want 20 characters each, different, ending alike", id, other)
	}
	_ = a
}

func TestConnect_UnknownNamespaceIsRefusedAndMainUnharmed(t *testing.T) {
	_, url := start(t, server.Options{})
	c, _ := rawclient.Join(t, url, "/", nil)
	for _, name := range []string{"/nowhere", "/#", "/*", "//", "/../", "/?", "/[a-z]", "/main#", "/admin", "/ ", "/%2e", "/\u202e", "/" + strings.Repeat("n", 600)} {
		c.Send("0" + name + ",")
		c.Expect("4" + name + `,{"message":"Invalid namespace"}`)
	}
	c.ExpectNothing("/")
}

func TestConnect_MiddlewareRefusesWithDataAndClientMayTryAgain(t *testing.T) {
	s, url := start(t, server.Options{})
	ns := s.Of("/secret")
	sync(ns)
	ns.Use(func(_ context.Context, s *server.Socket) error {
		var auth struct{ Token string }
		if err := s.Handshake().DecodeAuth(&auth); err != nil {
			return err
		}
		switch auth.Token {
		case "":
			return &server.ConnectError{Message: "no token", Data: map[string]int{"code": 7}}
		case "boom":
			panic("a middleware's panic")
		case "internal":
			return errors.New("the database password is hunter2")
		}
		return nil
	})
	c := rawclient.Dial(t, url, nil)
	c.Send("0/secret,")
	c.Expect(`4/secret,{"message":"no token","data":{"code":7}}`)
	for _, token := range []string{"boom", "internal"} {
		c.Send(`0/secret,{"Token":"` + token + `"}`)
		c.Expect(`4/secret,{"message":"internal error"}`)
	}
	c.Connect("/secret", `{"Token":"x"}`)
	c.ExpectNothing("/secret")
}

func TestConnect_RoomsJoinedInMiddlewareCountFromTheReplyOn(t *testing.T) {
	s, url := start(t, server.Options{})
	entered, proceed := make(chan struct{}), make(chan struct{})
	s.Of("/").Use(func(ctx context.Context, s *server.Socket) error {
		if err := s.Emit("early"); !errors.Is(err, server.ErrDisconnected) {
			t.Errorf("Emit in a middleware: %v, want ErrDisconnected", err)
		}
		err := s.Join(ctx, "tenant")
		close(entered)
		<-proceed
		return err
	})
	c := rawclient.Dial(t, url, nil)
	c.Send("0")
	receive(t, entered)
	_ = s.To("tenant").Emit("too early")
	close(proceed)
	if reply := c.Next(); !strings.HasPrefix(reply, `0{"sid":`) {
		t.Fatalf("first packet is %q, want the CONNECT reply", reply)
	}
	c.ExpectNothing("/")
	_ = s.To("tenant").Emit("now")
	c.Expect(`2["now"]`)
}

func TestConnect_HandlerRunsBeforeFirstEvent(t *testing.T) {
	s, url := start(t, server.Options{})
	ready := make(chan struct{})
	var connected bool
	s.Of("/").OnConnect(func(context.Context, *server.Socket) error {
		<-ready
		connected = true
		return nil
	})
	server.Handle(s.Of("/"), "connected?", func(context.Context, *server.Socket, struct{}) (bool, error) { return connected, nil })
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`20["connected?"]`)
	close(ready)
	c.Expect(`30[true]`)
}

func TestConnect_FailingHandlerDisconnects(t *testing.T) {
	s, url := start(t, server.Options{})
	s.Of("/").OnConnect(func(context.Context, *server.Socket) error { return errors.New("no") })
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Expect("1")
}

// A client that breaks the protocol is closed, and nobody else notices.
func TestConnect_ViolationsCloseTheConnection(t *testing.T) {
	s, url := start(t, server.Options{})
	sync(s.Of("/chat"))
	bystander, _ := rawclient.Join(t, url, "/", nil)
	for name, packets := range map[string][]string{
		"event before CONNECT":         {`2["a"]`},
		"binary header before CONNECT": {`51-["a",{"_placeholder":true,"num":0}]`},
		"CONNECT twice":                {"0", "0"},
		"CONNECT_ERROR":                {"0", `4{"message":"x"}`},
		"event for another namespace":  {"0", `2/chat,["a"]`},
		"ack for another namespace":    {"0", `3/chat,1[]`},
		"DISCONNECT not joined":        {"1"},
		"event after DISCONNECT":       {"0/chat,", "1/chat,", `2/chat,["a"]`},
		"CONNECT with an array":        {"0[]"},
		"CONNECT with null":            {"0null"},
		"type 7":                       {"7"},
		"no array":                     {"0", `2{"a":1}`},
		"empty array":                  {"0", `2[]`},
		"reserved event":               {"0", `2["disconnect"]`},
		"attachments: none":            {"0", `50-["a"]`},
		"attachments: 11":              {"0", `511-["a"]`},
		"text where binary is due":     {"0", `51-["a",{"_placeholder":true,"num":0}]`, `2["a"]`},
		"deep nesting":                 {"0", `2["a",` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "]"},
		"too many CONNECT packets":     strings.Split(strings.Repeat("0/nowhere,\n", 1001), "\n")[:1001],
	} {
		t.Run(name, func(t *testing.T) {
			c := rawclient.Dial(t, url, nil)
			for _, p := range packets {
				c.Send(p)
			}
			c.ExpectClose()
			bystander.ExpectNothing("/")
		})
	}
	c, _ := rawclient.Join(t, url, "/", nil)
	c.SendBinary([]byte("not due"))
	c.ExpectClose()
}

func TestConnect_DisconnectedByServerMayReturnAndLateEventsAreIgnored(t *testing.T) {
	s, url := start(t, server.Options{})
	ns := s.Of("/chat")
	sync(ns)
	server.On(ns, "out", func(_ context.Context, s *server.Socket, _ struct{}) error {
		s.Disconnect(false)
		return nil
	})
	c := rawclient.Dial(t, url, nil)
	c.Connect("/chat", "")
	c.Send(`2/chat,["out"]`)
	c.Expect("1/chat,")
	c.Send(`2/chat,["late"]`)
	c.Connect("/chat", "")
	c.ExpectNothing("/chat")
}

func TestConnect_NamespacesPerConnectionAreLimited(t *testing.T) {
	s, url := start(t, server.Options{MaxNamespacesPerConnection: 2})
	for i := range 3 {
		sync(s.Of(fmt.Sprintf("/n%d", i)))
	}
	c := rawclient.Dial(t, url, nil)
	c.Connect("/n0", "")
	c.Connect("/n1", "")
	c.Send("0/n2,")
	c.Expect(`4/n2,{"message":"too many namespaces"}`)
	c.Send("1/n0,")
	c.Connect("/n2", "")
	c.ExpectNothing("/n1")
}

func TestOfFunc_ChildrenShareHandlersAndAreLimited(t *testing.T) {
	s, url := start(t, server.Options{MaxDynamicNamespaces: 2})
	pattern := s.OfFunc(func(_ context.Context, name string, h *server.Handshake) bool {
		return strings.HasPrefix(name, "/room-") && h.Auth == nil
	})
	sync(pattern)
	server.Handle(pattern, "where", func(_ context.Context, s *server.Socket, _ struct{}) (string, error) {
		return s.Namespace().Name(), nil
	})
	c := rawclient.Dial(t, url, nil)
	c.Connect("/room-1", "")
	c.Connect("/room-2", "")
	c.Send(`2/room-2,5["where"]`)
	c.Expect(`3/room-2,5["/room-2"]`)
	c.Send(`0/room-3,{"auth":1}`)
	c.Expect(`4/room-3,{"message":"Invalid namespace"}`)
	c.Send("0/room-3,")
	c.Expect(`4/room-3,{"message":"too many namespaces"}`)
	if err := pattern.Emit("all"); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{c.Next(): true, c.Next(): true}
	if !got[`2/room-1,["all"]`] || !got[`2/room-2,["all"]`] {
		t.Errorf("an emit to the pattern gave %v", got)
	}
	if n := len(pattern.Sockets()); n != 2 {
		t.Errorf("the pattern has %d sockets, want 2", n)
	}
}

func TestConnect_EventsOfRefusedClientAreNotHandled(t *testing.T) {
	s, url := start(t, server.Options{})
	ns := s.Of("/x")
	sent, handled := make(chan struct{}), make(chan struct{}, 1)
	ns.OnConnect(func(context.Context, *server.Socket) error { <-sent; return errors.New("no") })
	server.On(ns, "secret", func(context.Context, *server.Socket, struct{}) error { handled <- struct{}{}; return nil })
	gone := make(chan struct{})
	ns.OnDisconnect(func(context.Context, *server.Socket, server.DisconnectReason) { close(gone) })
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Connect("/x", "")
	c.Send(`2/x,["secret"]`)
	c.ExpectNothing("/")
	close(sent)
	c.Expect("1/x,")
	receive(t, gone)
	select {
	case <-handled:
		t.Error("an event of a client that OnConnect has refused was handled")
	default:
	}
}

// Emitting to a namespace that no client has asked for yet must not open it to
// clients that its pattern's middleware refuses.
func TestOf_NameOfAPatternHasItsMiddlewares(t *testing.T) {
	s, url := start(t, server.Options{})
	pattern := s.OfFunc(func(_ context.Context, name string, _ *server.Handshake) bool {
		return strings.HasPrefix(name, "/org-")
	})
	pattern.Use(func(context.Context, *server.Socket) error { return &server.ConnectError{Message: "members only"} })
	if err := s.Of("/org-5").Emit("news"); err != nil {
		t.Fatal(err)
	}
	c := rawclient.Dial(t, url, nil)
	c.Send("0/org-5,")
	c.Expect(`4/org-5,{"message":"members only"}`)
	if s.Of("/org-5") != s.Of("org-5") || s.Of("/other") == s.Of("/org-5") {
		t.Error("Of does not give the namespace of its name")
	}
}

// A system call less, for each client that comes.
func TestConnect_ResponseAndOpenPacketAreOneWrite(t *testing.T) {
	s, _ := start(t, server.Options{})
	name := filepath.Join(t.TempDir(), "client")
	client := newSink(rawFile(t, name), "room")
	writes := make(chan string, 10)
	client.writes = func() {
		before, _ := os.ReadFile(name)
		writes <- string(before)
	}
	listen(s, client)
	if before := receive(t, writes); before != "" {
		t.Errorf("%q came otherwise", before)
	}
	if before := receive(t, writes); !strings.HasPrefix(before, "HTTP/1.1 101 ") || !strings.Contains(before, "\r\n\r\n\x81") || !strings.HasSuffix(before, "}") {
		t.Errorf("the first write was %q", before)
	}
}
