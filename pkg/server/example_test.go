package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// exampleClient stands in for a browser: it sends packets and prints what it gets.
type exampleClient struct{ conn *websocket.Conn }

func newClient(s *server.Server) (client *exampleClient, stop func()) {
	web := httptest.NewServer(s)
	url := "ws" + strings.TrimPrefix(web.URL, "http") + "/socket.io/?EIO=4&transport=websocket"
	conn, response, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		panic(err)
	}
	_ = response.Body.Close()
	c := &exampleClient{conn}
	c.receive() // the open packet
	c.send("40")
	c.receive() // the answer to CONNECT
	return c, func() {
		_ = conn.Close()
		_ = s.Shutdown(context.Background())
		web.Close()
	}
}

func (c *exampleClient) send(packet string) {
	_ = c.conn.WriteMessage(websocket.TextMessage, []byte(packet))
}

func (c *exampleClient) receive() string {
	_, data, _ := c.conn.ReadMessage()
	return string(data)
}

func (c *exampleClient) print() { fmt.Println("client gets", c.receive()) }

func newServer(options server.Options) *server.Server {
	options.Logger = quiet
	s, err := server.New(options)
	if err != nil {
		panic(err)
	}
	return s
}

func Example() {
	type message struct{ From, Text string }

	srv, err := server.New(server.Options{})
	if err != nil {
		panic(err)
	}
	chat := srv.Of("/")
	chat.OnConnect(func(ctx context.Context, s *server.Socket) error {
		return s.Join(ctx, "lobby")
	})
	server.On(chat, "say", func(ctx context.Context, s *server.Socket, m message) error {
		return chat.To("lobby").Emit("said", m)
	})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srv)

	client, stop := newClient(srv)
	defer stop()
	client.send(`42["say",{"From":"Ada","Text":"hello"}]`)
	client.print()
	// Output: client gets 42["said",{"From":"Ada","Text":"hello"}]
}

func ExampleHandle() {
	type terms struct{ A, B int }

	srv := newServer(server.Options{})
	server.Handle(srv.Of("/"), "divide", func(ctx context.Context, s *server.Socket, t terms) (int, error) {
		if t.B == 0 {
			return 0, &server.EventError{Message: "division by zero"}
		}
		return t.A / t.B, nil
	})

	client, stop := newClient(srv)
	defer stop()
	client.send(`420["divide",{"A":6,"B":2}]`)
	client.print()
	client.send(`421["divide",{"A":6,"B":0}]`)
	client.print()
	// Output:
	// client gets 430[3]
	// client gets 431[{"error":{"message":"division by zero"}}]
}

func ExampleArgs() {
	srv := newServer(server.Options{})
	server.On(srv.Of("/"), "move", func(ctx context.Context, s *server.Socket, a server.Args) error {
		var x, y int
		if err := a.Decode(&x, &y); err != nil {
			return err
		}
		return a.Ack("moved", x+y)
	})

	client, stop := newClient(srv)
	defer stop()
	client.send(`427["move",3,4]`)
	client.print()
	// Output: client gets 437["moved",7]
}

func ExampleCall() {
	srv := newServer(server.Options{})
	done := make(chan struct{})
	server.On(srv.Of("/"), "order", func(ctx context.Context, s *server.Socket, item string) error {
		defer close(done)
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		sure, err := server.Call[bool](ctx, s, "sure?", item)
		fmt.Println("server gets", sure, err)
		return err
	})

	client, stop := newClient(srv)
	defer stop()
	client.send(`42["order","tea"]`)
	client.print()
	client.send(`430[true]`)
	<-done
	// Output:
	// client gets 420["sure?","tea"]
	// server gets true <nil>
}

func ExampleNamespace_Use() {
	srv := newServer(server.Options{})
	srv.Of("/admin").Use(func(ctx context.Context, s *server.Socket) error {
		var auth struct{ Token string }
		if err := s.Handshake().DecodeAuth(&auth); err != nil || auth.Token != "secret" {
			return &server.ConnectError{Message: "not authorized", Data: map[string]bool{"retry": false}}
		}
		return nil
	})

	client, stop := newClient(srv)
	defer stop()
	client.send(`40/admin,{"Token":"guess"}`)
	client.print()
	// Output: client gets 44/admin,{"message":"not authorized","data":{"retry":false}}
}

func ExampleServer_OfFunc() {
	srv := newServer(server.Options{})
	projects := srv.OfFunc(func(ctx context.Context, name string, h *server.Handshake) bool {
		return strings.HasPrefix(name, "/project-")
	})
	server.Handle(projects, "name", func(ctx context.Context, s *server.Socket, _ struct{}) (string, error) {
		return s.Namespace().Name(), nil
	})

	client, stop := newClient(srv)
	defer stop()
	client.send(`40/project-7,`)
	client.receive()
	client.send(`42/project-7,1["name"]`)
	client.print()
	// Output: client gets 43/project-7,1["/project-7"]
}

func ExampleBroadcast() {
	srv := newServer(server.Options{})
	ns := srv.Of("/")
	server.On(ns, "enter", func(ctx context.Context, s *server.Socket, room string) error {
		if err := s.Join(ctx, room); err != nil {
			return err
		}
		// To the others in the room, on every node.
		if err := s.To(room).Emit("entered", s.ID()); err != nil {
			return err
		}
		// To all in either room but those who asked not to be disturbed.
		return ns.To(room, "lobby").Except("quiet").Emit("news", room)
	})

	client, stop := newClient(srv)
	defer stop()
	client.send(`42["enter","garden"]`)
	client.print()
	// Output: client gets 42["news","garden"]
}

func ExampleNamespace_OnDisconnect() {
	srv := newServer(server.Options{})
	ns := srv.Of("/")
	ns.OnConnect(func(ctx context.Context, s *server.Socket) error {
		if err := s.Join(ctx, "garden"); err != nil {
			return err
		}
		return s.Emit("welcome")
	})
	left := make(chan struct{})
	ns.OnDisconnect(func(ctx context.Context, s *server.Socket, reason server.DisconnectReason) {
		fmt.Println(reason, s.Rooms()[1:])
		close(left)
	})

	client, stop := newClient(srv)
	defer stop()
	client.print()
	client.send(`41`)
	<-left
	// Output:
	// client gets 42["welcome"]
	// client namespace disconnect [garden]
}

// Two nodes of one process share a memory adapter; with the adapter of package
// adapter/redis they would be two processes.
func ExampleOptions_adapter() {
	bus := memory.New()
	here := newServer(server.Options{Adapter: bus})
	there := newServer(server.Options{Adapter: bus})
	defer func() { _ = here.Shutdown(context.Background()) }()

	client, stop := newClient(there)
	defer stop()
	if err := here.Emit("hello"); err != nil {
		fmt.Println(err)
	}
	client.print()
	// Output: client gets 42["hello"]
}

func ExampleServer_Drain() {
	srv, err := server.New(server.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// What a program does when it is told to stop: its clients come back to other
	// nodes, over ten seconds.
	const window = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), window+5*time.Second)
	defer cancel()
	fmt.Println(srv.Drain(ctx, window), srv.Health().Ready)
	// Output: <nil> false
}

func ExampleServer_Shutdown() {
	srv := newServer(server.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(srv.Shutdown(ctx))
	fmt.Println(errors.Is(srv.Emit("late"), server.ErrServerClosed))
	// Output:
	// <nil>
	// true
}
