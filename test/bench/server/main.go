// Command server is what a load generator measures: three handlers (join a room,
// publish to a room, echo) on one node, with the adapter that is asked for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	_ "net/http/pprof" // on --pprof's own listener only
	"os"
	"os/signal"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3000", "address to listen on")
	kind := flag.String("adapter", "memory", "memory or pubsub")
	url := flag.String("redis", "", "URL of the Redis server, for pubsub")
	profile := flag.String("pprof", "", "address of a listener for profiles; empty: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *profile != "" {
		go func() { log.Println(http.ListenAndServe(*profile, nil)) }()
	}
	if err := run(ctx, *listen, *kind, *url); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen, kind, url string) error {
	bus, closeBus, err := newAdapter(kind, url)
	if err != nil {
		return err
	}
	defer closeBus()
	srv, err := server.New(server.Options{Adapter: bus})
	if err != nil {
		return err
	}
	register(srv.Of("/"))

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srv)
	web := &http.Server{Addr: listen, Handler: mux}
	server.ConfigureHTTP(web)
	failed := make(chan error, 1)
	go func() { failed <- web.ListenAndServe() }()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, srv.Shutdown(limit), web.Shutdown(limit))
}

func newAdapter(kind, url string) (bus adapter.Adapter, closeBus func(), err error) {
	switch kind {
	case "memory":
		return nil, func() {}, nil
	case "pubsub":
		options, err := goredis.ParseURL(url)
		if err != nil {
			return nil, nil, fmt.Errorf("--redis: %w", err)
		}
		client := goredis.NewClient(options)
		bus, err := redis.New(client, redis.Options{})
		return bus, func() { _ = client.Close() }, err
	case "sharded", "streams":
		return nil, nil, fmt.Errorf("--adapter %s does not exist; there are memory and pubsub", kind)
	}
	return nil, nil, fmt.Errorf("--adapter %q is unknown; there are memory and pubsub", kind)
}

func register(ns *server.Namespace) {
	server.On(ns, "join", func(ctx context.Context, s *server.Socket, a server.Args) error {
		var room string
		if err := a.Decode(&room); err != nil {
			return err
		}
		if err := s.Join(ctx, room); err != nil {
			return err
		}
		return a.Ack()
	})
	server.On(ns, "publish", func(_ context.Context, _ *server.Socket, a server.Args) error {
		var room string
		if err := a.Decode(&room); err != nil {
			return err
		}
		return ns.To(room).Emit("msg", a.At(1))
	})
	server.On(ns, "echo", func(_ context.Context, _ *server.Socket, a server.Args) error {
		return a.Ack(a.At(0))
	})
}
