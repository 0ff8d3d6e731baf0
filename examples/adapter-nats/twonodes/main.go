// Command twonodes serves one chat on two ports: two nodes that hear each other
// through NATS.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	natsadapter "github.com/roomcast/roomcast/examples/adapter-nats"
	"github.com/roomcast/roomcast/pkg/server"
)

func main() {
	url := flag.String("nats", nats.DefaultURL, "address of the NATS server")
	flag.Parse()
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	var doors []net.Listener
	for _, addr := range []string{"localhost:3001", "localhost:3002"} {
		door, err := net.Listen("tcp", addr)
		if err != nil {
			log.Fatal(err)
		}
		doors = append(doors, door)
	}
	if err := run(stop, *url, doors); err != nil {
		log.Fatal(err)
	}
}

// run serves a node at each door until stop ends.
func run(stop context.Context, url string, doors []net.Listener) error {
	failed := make(chan error, len(doors))
	var nodes []*node
	for _, door := range doors {
		n, err := newNode(url)
		if err != nil {
			return errors.Join(err, closeAll(nodes))
		}
		nodes = append(nodes, n)
		log.Printf("a node listens on http://%s", door.Addr())
		go func() { failed <- n.web.Serve(door) }()
	}
	select {
	case err := <-failed:
		return errors.Join(err, closeAll(nodes))
	case <-stop.Done():
		return closeAll(nodes)
	}
}

func closeAll(nodes []*node) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, n := range nodes {
		err = errors.Join(err, n.close(ctx))
	}
	return err
}

// node is what would be one process: a server with a connection of its own.
type node struct {
	conn *nats.Conn
	chat *server.Server
	web  *http.Server
}

func newNode(url string) (*node, error) {
	conn, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	chat, err := server.New(server.Options{Adapter: natsadapter.New(conn, "chat")})
	if err != nil {
		conn.Close()
		return nil, err
	}
	server.On(chat.Of("/"), "say", func(_ context.Context, s *server.Socket, text string) error {
		return chat.Of("/").Emit("said", s.ID(), text)
	})
	n := &node{conn: conn, chat: chat, web: &http.Server{Handler: chat}}
	server.ConfigureHTTP(n.web)
	return n, nil
}

func (n *node) close(ctx context.Context) error {
	err := errors.Join(n.chat.Shutdown(ctx), n.web.Shutdown(ctx))
	n.conn.Close() // after the last link
	return err
}
