package redis_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/packet"
)

// quiet is a goredis logger that says nothing.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// patience bounds every wait.
const patience = 20 * time.Second

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		<-pause.C
	}
}

func newClient(t testing.TB, addr string) *goredis.Client {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: addr})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newAdapterWith(t testing.TB, client goredis.UniversalClient, opts redis.Options) *redis.Adapter {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	a, err := redis.New(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newAdapter returns an adapter with a client of its own.
func newAdapter(t testing.TB, addr string) *redis.Adapter {
	t.Helper()
	return newAdapterWith(t, newClient(t, addr), redis.Options{})
}

// newInterested returns an adapter that routes by interest.
func newInterested(t testing.TB, addr string) *redis.Adapter {
	t.Helper()
	return newAdapterWith(t, newClient(t, addr), interested)
}

var interested = redis.Options{InterestRouting: true}

// reporting is any of the package's adapters.
type reporting interface {
	adapter.Adapter
	adapter.Reporter
}

// node is a member of a namespace with what it has heard.
type node struct {
	adapter reporting
	link    adapter.Link

	mu    sync.Mutex
	heard []string
}

// join enters topic as id. The error of Join may only be ErrDegraded, and then
// only if that is wanted.
func join(t testing.TB, a reporting, topic, id string) *node {
	t.Helper()
	n, err := tryJoin(t, a, topic, id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func tryJoin(t testing.TB, a reporting, topic, id string) (*node, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n := &node{adapter: a}
	link, err := a.Join(ctx, topic, adapter.NodeID(id), n.put)
	if link == nil {
		t.Fatalf("Join: got no link: %v", err)
	}
	n.link = link
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := link.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n, err
}

func (n *node) put(m *adapter.Message) {
	text := fmt.Sprintf("kind %d", m.Kind)
	switch {
	case m.Request != nil:
		text = fmt.Sprintf("request %d of %s", m.Request.Action, m.From)
	case m.Response != nil:
		text = fmt.Sprintf("response to %s", m.Response.ID)
	case m.Broadcast != nil:
		var args []string
		if err := json.Unmarshal(m.Broadcast.Packet.Data, &args); err != nil {
			args = []string{string(m.Broadcast.Packet.Data)}
		}
		text = strings.Join(args, " ")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = append(n.heard, text)
}

// count returns how often text was heard.
func (n *node) count(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, heard := range n.heard {
		if heard == text {
			count++
		}
	}
	return count
}

func (n *node) expect(t testing.TB, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("hearing %q", text), func() bool { return n.count(text) > 0 })
}

func (n *node) emit(t testing.TB, event string, rooms ...string) {
	t.Helper()
	if err := n.link.Publish(t.Context(), broadcast(event, rooms...)); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}

func broadcast(event string, rooms ...string) *adapter.Message {
	data, err := json.Marshal([]string{event})
	if err != nil {
		panic(err)
	}
	return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{Type: packet.Event, Data: data}, Rooms: rooms}}
}

func (n *node) occupy(t testing.TB, rooms ...string) {
	t.Helper()
	for _, room := range rooms {
		if err := n.observer().RoomOccupied(t.Context(), room); err != nil {
			t.Fatalf("RoomOccupied: %v", err)
		}
	}
}

func (n *node) own(t testing.TB, suffix string) {
	t.Helper()
	if err := n.observer().SocketIDs(t.Context(), suffix); err != nil {
		t.Fatalf("SocketIDs: %v", err)
	}
}

func (n *node) observer() adapter.RoomObserver { return n.link.(adapter.RoomObserver) }

func (n *node) state() adapter.State { return n.adapter.Status().State }

func (n *node) await(t testing.TB, s adapter.State) {
	t.Helper()
	eventually(t, "state "+s.String(), func() bool { return n.state() == s })
}

// channels returns the channels that anyone is subscribed to.
func channels(t testing.TB, client *goredis.Client) []string {
	t.Helper()
	list, err := client.PubSubChannels(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// calls returns how often a command was executed.
func calls(t testing.TB, client *goredis.Client, command string) int {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		var n int
		if _, err := fmt.Sscanf(line, "cmdstat_"+command+":calls=%d,", &n); err == nil {
			return n
		}
	}
	return 0
}

// resume ends what a proxy does to connections.
func resume(t testing.TB, proxy *tcpproxy.Proxy) {
	t.Helper()
	if err := proxy.Resume(); err != nil {
		t.Fatal(err)
	}
}
