package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/server"
)

// holders is on how many nodes each room is.
const holders = 2

// welcome is what a guest gets when it is in its rooms.
const welcome = `42["welcome"]`

// stopLimit bounds the end of a node.
const stopLimit = 20 * time.Second

// node is a server with one guest. Node i of n has the rooms i and i+1, so that each room is
// on two neighbours.
type node struct {
	tap     tap
	client  io.Closer // of Redis; nil with an adapter that was given
	server  *server.Server
	web     *http.Server
	network *pipenet.Network
	serving sync.WaitGroup
	guest   *guest
}

// room is the name of the i-th of n rooms.
func room(i, n int) string { return fmt.Sprint("room ", i%n) }

// open starts node i of n over the Redis at addr.
func open(ctx context.Context, f form, addr string, i, n int) (*node, error) {
	m := &node{}
	client := m.tap.client(addr)
	m.client = client
	bus, err := f.over(client)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	if err := m.start(ctx, bus, i, n); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// start makes the server and lets its guest in.
func (m *node) start(ctx context.Context, bus adapter.Adapter, i, n int) error {
	var err error
	if m.server, err = server.New(server.Options{Adapter: bus, Logger: quiet}); err != nil {
		return err
	}
	m.server.Of("/").OnConnect(func(ctx context.Context, s *server.Socket) error {
		if err := s.Join(ctx, room(i, n), room(i+1, n)); err != nil {
			return err
		}
		return s.Emit("welcome")
	})
	m.network = pipenet.New()
	m.web = &http.Server{Handler: m.server}
	m.serving.Go(func() { _ = m.web.Serve(m.network) })
	m.guest, err = visit(ctx, m.network)
	return err
}

// publish emits measured event n to a room.
func (m *node) publish(n int, room string) error {
	return m.server.Of("/").To(room).Emit("said", marked(n))
}

func (m *node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	var errs []error
	if m.guest != nil {
		m.guest.leave()
	}
	if m.server != nil {
		errs = append(errs, m.server.Shutdown(ctx))
	}
	if m.web != nil {
		errs = append(errs, m.web.Close())
		m.serving.Wait()
	}
	if m.client != nil {
		errs = append(errs, m.client.Close())
	}
	return errors.Join(errs...)
}

// meet waits until all nodes know each other.
func meet(ctx context.Context, nodes []*node, n int) error {
	for _, m := range nodes {
		for len(m.server.Health().Nodes) != n-1 {
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return fmt.Errorf("scaling: a node knows %d others of %d: %w", len(m.server.Health().Nodes), n-1, err)
			}
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// subscriptions counts what Redis keeps for all nodes together. PUBSUB NUMPAT would not do: it
// counts a pattern once, however many have it. Redis lists sharded ones since 7.0.3.
func subscriptions(ctx context.Context, client *goredis.Client) (total int, err error) {
	list, err := client.Do(ctx, "CLIENT", "LIST", "TYPE", "pubsub").Text()
	if err != nil {
		return 0, fmt.Errorf("scaling: %w", err)
	}
	for _, field := range strings.Fields(list) {
		switch name, value, _ := strings.Cut(field, "="); name {
		case "sub", "psub", "ssub":
			n, err := strconv.Atoi(value)
			if err != nil {
				return 0, fmt.Errorf("scaling: CLIENT LIST: %s: %w", field, err)
			}
			total += n
		}
	}
	return total, nil
}
