package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing/fstest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/server"
)

// twoNodes returns two servers of one cluster, and a client of the second.
func twoNodes() (here, there *server.Server, client *exampleClient, stop func()) {
	bus := memory.New()
	here = newServer(server.Options{Adapter: bus})
	there = newServer(server.Options{Adapter: bus})
	there.Of("/").Use(func(ctx context.Context, s *server.Socket) error {
		server.SetData(s, profile{Name: "Ada"})
		return s.Join(ctx, "garden")
	})
	// Which nodes there are to ask, here learns when they say so.
	for nodes := 0; nodes < 2; <-time.After(time.Millisecond) {
		nodes, _ = here.Of("/").CountNodes(context.Background())
	}
	client, leave := newClient(there)
	return here, there, client, func() {
		leave()
		_ = here.Shutdown(context.Background())
	}
}

type profile struct{ Name string }

func ExampleBroadcast_FetchSockets() {
	here, _, _, stop := twoNodes()
	defer stop()
	sockets, err := here.To("garden").FetchSockets(context.Background())
	var missing *server.PartialError
	if errors.As(err, &missing) {
		fmt.Println("no answer from", missing.Nodes) // what the others answered is in sockets
	}
	for _, s := range sockets {
		var p profile
		if err := s.DecodeData(&p); err != nil {
			fmt.Println(err)
		}
		fmt.Println(p.Name, len(s.Rooms))
	}
	// Output: Ada 2
}

func ExampleBroadcast_Join() {
	here, _, client, stop := twoNodes()
	defer stop()
	// What any node emits to the room arrives when Join has returned.
	if err := here.To("garden").Join(context.Background(), "greenhouse"); err != nil {
		fmt.Println(err)
	}
	if err := here.To("greenhouse").Emit("warm"); err != nil {
		fmt.Println(err)
	}
	client.print()
	// Output: client gets 42["warm"]
}

func ExampleCallAll() {
	here, _, client, stop := twoNodes()
	defer stop()
	answers := server.CallAll[int](context.Background(), here.To("garden"), "how many?", "apples")
	client.print()
	client.send(`430[3]`)
	for count, err := range answers.Each() { // as they come
		fmt.Println(count, err)
	}
	expected, received := answers.Counts()
	fmt.Println(received, "of", expected, answers.Err())
	// Output:
	// client gets 420["how many?","apples"]
	// 3 <nil>
	// 1 of 1 <nil>
}

func ExampleCallServers() {
	here, there, _, stop := twoNodes()
	defer stop()
	server.HandleServerSide(there.Of("/"), "load", func(ctx context.Context, of string) (float64, error) {
		return 0.7, nil
	})
	loads, err := server.CallServers[float64](context.Background(), here.Of("/"), "load", "cpu")
	fmt.Println(loads, err)
	// Output: [0.7] <nil>
}

func ExampleOnServerSide() {
	here, there, _, stop := twoNodes()
	defer stop()
	cleared := make(chan string)
	server.OnServerSide(there.Of("/"), "clear cache", func(ctx context.Context, key string) error {
		cleared <- key
		return nil
	})
	if err := here.Of("/").ServerSideEmit(context.Background(), "clear cache", "users"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-cleared)
	// Output: users
}

func ExampleUpdateData() {
	srv := newServer(server.Options{})
	server.On(srv.Of("/"), "score", func(ctx context.Context, s *server.Socket, points int) error {
		total := server.UpdateData(s, func(total int) int { return total + points })
		return s.Emit("total", total)
	})

	client, stop := newClient(srv)
	defer stop()
	client.send(`42["score",2]`)
	client.print()
	client.send(`42["score",3]`)
	client.print()
	// Output:
	// client gets 42["total",2]
	// client gets 42["total",5]
}

func ExampleNamespace_UseEvent() {
	srv := newServer(server.Options{})
	ns := srv.Of("/")
	ns.UseEvent(func(ctx context.Context, s *server.Socket, event string, args server.Args) error {
		if event == "delete" {
			return &server.EventError{Message: "not allowed"}
		}
		return nil
	})
	server.On(ns, "delete", func(ctx context.Context, s *server.Socket, name string) error {
		fmt.Println("deleted", name)
		return nil
	})

	client, stop := newClient(srv)
	defer stop()
	client.send(`421["delete","garden"]`)
	client.print()
	// Output: client gets 431[{"error":{"message":"not allowed"}}]
}

func ExampleNamespace_OnAnyOutgoing() {
	srv := newServer(server.Options{})
	srv.Of("/").OnAnyOutgoing(func(s *server.Socket, event string, args server.Args) {
		fmt.Println("server sends", event, string(args.At(0).Value))
	})
	client, stop := newClient(srv)
	defer stop()
	if err := srv.Emit("news", "rain"); err != nil {
		fmt.Println(err)
	}
	client.print()
	// Output:
	// server sends news "rain"
	// client gets 42["news","rain"]
}

func ExampleRecovery() {
	srv := newServer(server.Options{Recovery: &server.Recovery{}})
	ns := srv.Of("/")
	ns.OnConnect(func(ctx context.Context, s *server.Socket) error {
		if s.Recovered() {
			return nil // it is in its rooms, has its data, and gets what it missed
		}
		if err := s.Join(ctx, "garden"); err != nil {
			return err
		}
		return s.Emit("welcome", "to the garden")
	})
	client, stop := newClient(srv)
	defer stop()
	event := client.receive() // it ends with the offset, which the client says when it comes back
	fmt.Println(event[:len(`42["welcome","to the garden","`)])
	// Output: 42["welcome","to the garden","
}

func get(srv *server.Server, path string) (status int) {
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code
}

// upper is a parser that shouts.
type upper struct{}

func (upper) Append(dst []byte, p *packet.Packet) ([]byte, bool, error) {
	q := *p
	if q.Type == packet.Event {
		q.Data = append(q.Data[:len(q.Data)-1:len(q.Data)-1], `,"!"]`...)
	}
	return q.AppendText(dst), false, nil
}

func (upper) NewReader(l packet.Limits) packet.Reader { return packet.NewDecoder(l) }

func ExampleOptions_parser() {
	srv := newServer(server.Options{Parser: upper{}})
	client, stop := newClient(srv)
	defer stop()
	if err := srv.Emit("hello"); err != nil {
		fmt.Println(err)
	}
	client.print()
	// Output: client gets 42["hello","!"]
}

func ExampleConnectionError() {
	srv := newServer(server.Options{
		OnConnectionError: func(e server.ConnectionError) { fmt.Println(e.Code, e.Message) },
		Client:            fstest.MapFS{"socket.io.min.js": {Data: []byte("…")}}, // or an embed.FS
	})
	defer func() { _ = srv.Shutdown(context.Background()) }()
	get(srv, "/socket.io/?EIO=4&transport=carrier-pigeon")
	fmt.Println(get(srv, "/socket.io/socket.io.min.js"))
	// Output:
	// 0 Transport unknown
	// 200
}
