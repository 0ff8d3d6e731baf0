// Command server is what a load generator measures: three handlers (join a room,
// publish to a room, echo) on one node, with the adapter that is asked for. It says
// {"url"} on the standard output when it listens.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof" // on --pprof's own listener only
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

func main() {
	var at place
	flag.StringVar(&at.address, "listen", "127.0.0.1:3000", "address to listen on")
	flag.StringVar(&at.cert, "tls-cert", "", "certificate in PEM; with it and its key the server speaks TLS")
	flag.StringVar(&at.key, "tls-key", "", "key of the certificate")
	kind := flag.String("adapter", "memory", "memory, pubsub, sharded or streams")
	url := flag.String("redis", "", "URL of the Redis server, for all but memory")
	interest := flag.Bool("interest-routing", false, "a room's messages visit only the nodes that have it; for pubsub and sharded")
	var options server.Options
	flag.DurationVar(&options.ParkAfter, "park-after", 0, "how long a connection is quiet before it is parked; 0: the default; negative: never")
	flag.DurationVar(&options.ReleaseMemoryAfter, "release-after", 5*time.Second, "when memory goes back to the system after many clients have come or gone")
	namespaces := flag.Int("namespaces", 0, "further namespaces with the same handlers: /0, /1 and so on")
	typed := flag.Bool("typed", false, "echo {\"text\":…} by way of a struct")
	deflate := flag.Bool("deflate", false, "compress messages of 1 KB and more on WebSockets whose client wants it")
	profile := flag.String("pprof", "", "address of a listener for profiles; empty: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *profile != "" {
		go func() { log.Println(http.ListenAndServe(*profile, nil)) }()
	}
	bus := busOptions{kind: *kind, url: *url, interest: *interest}
	if *deflate {
		options.PerMessageDeflate = &server.Deflate{}
	}
	echo := echoRaw
	if *typed {
		echo = echoTyped
	}
	if err := run(ctx, at, bus, options, *namespaces, echo); err != nil {
		log.Fatal(err)
	}
}

// place is where the server listens, and with which certificate, if any.
type place struct{ address, cert, key string }

// listen returns the listener and the URL at which it is reached.
func (p place) listen(ctx context.Context) (listener net.Listener, url string, err error) {
	var config *tls.Config
	if p.cert != "" {
		pair, err := tls.LoadX509KeyPair(p.cert, p.key)
		if err != nil {
			return nil, "", fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	if listener, err = server.Listen(ctx, "tcp", p.address); err != nil {
		return nil, "", err
	}
	if config == nil {
		return listener, "http://" + listener.Addr().String(), nil
	}
	return tls.NewListener(listener, config), "https://" + listener.Addr().String(), nil
}

func run(ctx context.Context, at place, bus busOptions, options server.Options, namespaces int, echo func(*server.Namespace)) error {
	opened, closeBus, err := bus.open()
	if err != nil {
		return err
	}
	defer closeBus()
	options.Adapter = opened
	srv, err := server.New(options)
	if err != nil {
		return err
	}
	names := []string{"/"}
	for i := range namespaces {
		names = append(names, "/"+strconv.Itoa(i))
	}
	for _, name := range names {
		register(srv.Of(name))
		echo(srv.Of(name))
	}

	listener, url, err := at.listen(ctx)
	if err != nil {
		return errors.Join(err, srv.Shutdown(ctx))
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srv)
	web := &http.Server{Handler: mux}
	server.ConfigureHTTP(web)
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	err = json.NewEncoder(os.Stdout).Encode(map[string]string{"url": url})
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(err, srv.Shutdown(limit), web.Shutdown(limit))
	logRouting(srv.Stats().Bus["broadcast"])
	return err
}

// logRouting says how many of the other nodes' broadcasts came here in vain.
func logRouting(b server.BusStats) {
	wanted := b.Received - b.Discarded
	if wanted == 0 {
		return
	}
	log.Printf("broadcasts of other nodes: %d received, %d wanted, ratio %.3f", b.Received, wanted, float64(b.Received)/float64(wanted))
}

// busOptions say what connects the nodes.
type busOptions struct {
	kind, url string
	interest  bool
}

func (o busOptions) open() (bus adapter.Adapter, closeBus func(), err error) {
	if o.kind == "memory" {
		if o.interest {
			err = errors.New("--interest-routing is for pubsub and sharded")
		}
		return nil, func() {}, err
	}
	parsed, err := goredis.ParseURL(o.url)
	if err != nil {
		return nil, nil, fmt.Errorf("--redis: %w", err)
	}
	client := goredis.NewClient(parsed)
	if bus, err = o.over(client); err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return bus, func() { _ = client.Close() }, nil
}

func (o busOptions) over(client *goredis.Client) (adapter.Adapter, error) {
	options := redis.Options{InterestRouting: o.interest}
	switch o.kind {
	case "pubsub":
		return redis.New(client, options)
	case "sharded":
		return redis.NewSharded(client, redis.ShardedOptions{Options: options})
	case "streams":
		return redis.NewStreams(client, redis.StreamsOptions{Options: options})
	}
	return nil, fmt.Errorf("--adapter %q is unknown; there are memory, pubsub, sharded and streams", o.kind)
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
}

// echoRaw answers with the argument as it came.
func echoRaw(ns *server.Namespace) {
	server.On(ns, "echo", func(_ context.Context, _ *server.Socket, a server.Args) error {
		return a.Ack(a.At(0))
	})
}

// greeting is what is echoed with --typed. Other members of an object are lost.
type greeting struct {
	Text string `json:"text"`
}

func echoTyped(ns *server.Namespace) {
	server.Handle(ns, "echo", func(_ context.Context, _ *server.Socket, v greeting) (greeting, error) { return v, nil })
}
