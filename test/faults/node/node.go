package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/server"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// stopLimit bounds the end of a node beyond its drain: with what the process itself
// takes it is less than 5 s.
const stopLimit = 4500 * time.Millisecond

// node is a running node.
type node struct {
	config Config
	server *server.Server
	main   *server.Namespace
	bus    adapter.Adapter

	emitting sync.Mutex // orders numbers as their broadcasts; Emit does not wait
	number   int
}

// Run is the program: it serves until ctx ends, when it drains, or until its input does,
// which is how it notices that the bench has gone. It prints its Addresses as a line of
// JSON. It fails if it leaves a goroutine behind.
func Run(ctx context.Context, arguments string, input io.Reader, output io.Writer) error {
	var config Config
	if err := json.Unmarshal([]byte(arguments), &config); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, input)
		stop(errAlone)
	}()
	before := busyGoroutines()
	if err := config.run(ctx, output); err != nil {
		return err
	}
	return awaitGoroutines(before)
}

// errAlone is why a node ends that the bench has left.
var errAlone = errors.New("node: the bench has gone")

// run makes the node and serves until ctx ends.
func (c Config) run(ctx context.Context, output io.Writer) error {
	bus, shut, err := c.open()
	if err != nil {
		return err
	}
	defer shut()
	n := &node{config: c, bus: bus}
	if n.server, err = server.New(c.options(bus)); err != nil {
		return err
	}
	n.main = n.server.Of("/")
	register(n.main)
	return n.serve(ctx, output)
}

func (c Config) options(bus adapter.Adapter) server.Options {
	o := server.Options{
		Adapter:           bus,
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		PingInterval:      c.PingInterval,
		PingTimeout:       c.PingTimeout,
		HeartbeatInterval: c.HeartbeatInterval,
		HeartbeatTimeout:  c.HeartbeatTimeout,
	}
	if c.Recovery {
		o.Recovery = &server.Recovery{}
	}
	return o
}

// register adds what an application has: a room for each client from the start,
// rooms by request, and a question that can be answered.
func register(ns *server.Namespace) {
	ns.Use(func(ctx context.Context, s *server.Socket) error {
		var auth struct {
			Room int `json:"room"`
		}
		if err := s.Handshake().DecodeAuth(&auth); err != nil {
			return err
		}
		if auth.Room == tally.Everybody {
			return nil
		}
		return unlessDegraded(s.Join(ctx, Room(auth.Room)))
	})
	server.Handle(ns, "join", func(ctx context.Context, s *server.Socket, room string) (bool, error) {
		return true, unlessDegraded(s.Join(ctx, room))
	})
	server.Handle(ns, "rooms", func(_ context.Context, s *server.Socket, _ string) ([]string, error) {
		return s.Rooms(), nil
	})
	server.Handle(ns, "echo", func(_ context.Context, _ *server.Socket, text string) (string, error) {
		return text, nil
	})
}

// Room returns the name of a room.
func Room(number int) string { return "room" + strconv.Itoa(number) }

// unlessDegraded drops an error that only says that others hear of it later.
func unlessDegraded(err error) error {
	if errors.Is(err, adapter.ErrDegraded) {
		return nil
	}
	return err
}

// serve prints the addresses and serves until ctx ends.
func (n *node) serve(ctx context.Context, output io.Writer) error {
	web, err := server.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", n.server)
	public := &http.Server{Handler: mux}
	server.ConfigureHTTP(public)
	private := &http.Server{Handler: n.admin()}
	var serving sync.WaitGroup
	failed := make(chan error, 2)
	serving.Go(func() { failed <- public.Serve(web) })
	serving.Go(func() { failed <- private.Serve(admin) })
	err = json.NewEncoder(output).Encode(Addresses{Web: web.Addr().String(), Admin: admin.Addr().String()})
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	window := n.config.Drain
	if errors.Is(context.Cause(ctx), errAlone) {
		window = 0
	}
	limit, cancel := context.WithTimeout(context.Background(), window+stopLimit)
	defer cancel()
	err = errors.Join(err, n.server.Drain(limit, window), public.Shutdown(limit), private.Close())
	serving.Wait()
	return err
}
