package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/port"
	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// mixed are the options of a node among Node.js servers.
var mixed = redis.Options{NodeJS: true}

// subscribers returns how many connections listen to a channel, as Node.js counts.
func subscribers(t testing.TB, client *goredis.Client, channel string) int {
	t.Helper()
	found, err := client.PubSubNumSub(t.Context(), channel).Result()
	if err != nil {
		t.Fatal(err)
	}
	return int(found[channel])
}

func (n *node) countNodes(t testing.TB, want int) {
	t.Helper()
	got, err := n.link.(adapter.NodeCounter).CountNodes(t.Context())
	if err != nil || got != want {
		t.Errorf("CountNodes: got %d, %v, want %d", got, err, want)
	}
}

func TestNodeJS_EachNodeIsOneSubscriberOfTheRequests(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	join(t, newAdapter(t, server.Addr()), "/", "a")
	join(t, newAdapterWith(t, newClient(t, server.Addr()), mixed), "/", "b")
	shared := newAdapter(t, server.Addr())
	join(t, shared, "/", "c")
	join(t, shared, "/other", "c")
	link, err := newAdapterWith(t, newClient(t, server.Addr()), mixed).Join(t.Context(), "/", "emitter", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close(t.Context())
	for channel, want := range map[string]int{
		"socket.io-request#/#": 3, "socket.io-request#/other#": 1,
		"socket.io-response#/#": 1, "socket.io-response#/#b#": 1, "socket.io-response#/#a#": 0, "socket.io-response#/#emitter#": 0,
	} {
		if got := subscribers(t, client, channel); got != want {
			t.Errorf("%s has %d subscribers, want %d", channel, got, want)
		}
	}
}

func TestNodeJS_OnlyThoseWhoWantItCount(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	counts := func(opts redis.Options, topic string, deliver func(*adapter.Message)) bool {
		link, err := newAdapterWith(t, newClient(t, server.Addr()), opts).Join(t.Context(), topic, "n", deliver)
		if err != nil {
			t.Fatal(err)
		}
		defer link.Close(t.Context())
		_, ok := link.(adapter.NodeCounter)
		return ok
	}
	deliver := func(*adapter.Message) {}
	if !counts(mixed, "/", deliver) {
		t.Error("with NodeJS a namespace's link is no NodeCounter")
	}
	if counts(redis.Options{}, "/", deliver) || counts(mixed, "nodes", deliver) || counts(mixed, "/", nil) {
		t.Error("a link is a NodeCounter without the option, on another topic, or as an emitter's")
	}
}

func TestNodeJS_CountFollowsWhoComesAndGoes(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	a := join(t, newAdapterWith(t, newClient(t, server.Addr()), mixed), "/", "a")
	a.countNodes(t, 1)
	b := join(t, newAdapter(t, server.Addr()), "/", "b")
	a.countNodes(t, 2)
	foreign := newClient(t, server.Addr()).Subscribe(t.Context(), "socket.io-request#/#")
	defer foreign.Close()
	if _, err := foreign.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.countNodes(t, 3)
	if err := b.link.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node that left to be uncounted", func() bool {
		n, err := a.link.(adapter.NodeCounter).CountNodes(t.Context())
		return err == nil && n == 2
	})
	if err := a.link.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.link.(adapter.NodeCounter).CountNodes(t.Context()); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

func TestNodeJS_CountFailsAtOnceWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	a := join(t, newAdapterWith(t, newClient(t, server.Addr()), mixed), "/", "a")
	server.Kill()
	a.await(t, adapter.Degraded)
	start := time.Now()
	_, err := a.link.(adapter.NodeCounter).CountNodes(t.Context())
	if took := time.Since(start); !errors.Is(err, adapter.ErrDegraded) || took > time.Second {
		t.Errorf("got %v after %v, want ErrDegraded at once", err, took)
	}
	server.Restart()
	a.await(t, adapter.Up)
	a.countNodes(t, 1)
}

func TestNodeJS_CountWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	proxy := tcpproxy.Start(t, server.Addr())
	client := goredis.NewClient(&goredis.Options{Addr: proxy.Addr(), ReadTimeout: time.Second})
	t.Cleanup(func() { _ = client.Close() })
	a := join(t, newAdapterWith(t, client, mixed), "/", "a")
	proxy.Hold(tcpproxy.Both)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := a.link.(adapter.NodeCounter).CountNodes(ctx)
	if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 500*time.Millisecond {
		t.Errorf("got %v after %v", err, took)
	}
	resume(t, proxy)
}

func TestNodeJS_CountEndsWhenRedisIsFoundToBeAway(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	proxy := tcpproxy.Start(t, server.Addr())
	client := goredis.NewClient(&goredis.Options{Addr: proxy.Addr(), ReadTimeout: patience})
	t.Cleanup(func() { _ = client.Close() })
	a := join(t, newAdapterWith(t, client, mixed), "/", "a")
	proxy.Hold(tcpproxy.Both)
	_, err := a.link.(adapter.NodeCounter).CountNodes(t.Context())
	if !errors.Is(err, adapter.ErrDegraded) || a.state() != adapter.Degraded {
		t.Errorf("got %v, %v, want ErrDegraded", err, a.state())
	}
	resume(t, proxy)
}

// startCluster returns the addresses of n masters that share the slots.
func startCluster(t *testing.T, n int) []string {
	t.Helper()
	var addrs []string
	for i := range n {
		bus, release, err := port.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		_, busPort, _ := net.SplitHostPort(bus)
		server := redisserver.Start(t, "--cluster-enabled", "yes", "--cluster-port", busPort)
		plain := newClient(t, server.Addr())
		if err := plain.Do(t.Context(), "cluster", "addslotsrange", i*16384/n, (i+1)*16384/n-1).Err(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			host, first, _ := net.SplitHostPort(server.Addr())
			if err := newClient(t, addrs[0]).Do(t.Context(), "cluster", "meet", host, first, busPort).Err(); err != nil {
				t.Fatal(err)
			}
		}
		addrs = append(addrs, server.Addr())
	}
	for _, addr := range addrs {
		plain := newClient(t, addr)
		eventually(t, "the cluster", func() bool {
			info, err := plain.ClusterInfo(t.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", n))
		})
	}
	return addrs
}

func TestNodeJS_CountIsTheSumOverAllMasters(t *testing.T) {
	t.Parallel()
	addrs := startCluster(t, 3)
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() { _ = client.Close() })
	a := join(t, newAdapterWith(t, client, mixed), "/", "a")
	for i, addr := range addrs {
		foreign := newClient(t, addr).Subscribe(t.Context(), "socket.io-request#/#")
		defer foreign.Close()
		if _, err := foreign.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.countNodes(t, i+2)
	}
}

func TestNodeJS_RequestsAndAnswersReachTheirNodes(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	a := join(t, newAdapterWith(t, newClient(t, server.Addr()), mixed), "/", "a")
	b := join(t, newAdapter(t, server.Addr()), "/", "b")
	c := join(t, newAdapterWith(t, newClient(t, server.Addr()), mixed), "/other", "c")
	publish := func(n *node, m *adapter.Message) {
		t.Helper()
		if err := n.link.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	publish(a, &adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{ID: "1", Action: adapter.ActionRooms}})
	b.expect(t, "request 5 of a")
	publish(b, &adapter.Message{Kind: adapter.KindResponse, To: "a", Response: &adapter.Response{ID: "1", Action: adapter.ActionRooms, Done: true}})
	a.expect(t, "response to 1")
	client := newClient(t, server.Addr())
	for _, channel := range []string{"socket.io-response#/#", "socket.io-response#/#a#"} {
		if err := client.Publish(t.Context(), channel, `{"requestId":"`+channel+`","rooms":[]}`).Err(); err != nil {
			t.Fatal(err)
		}
		a.expect(t, "response to "+channel)
	}
	a.emit(t, "end")
	b.expect(t, "end")
	if got := fmt.Sprint(a.heard, b.heard, c.heard); got != "[response to 1 response to socket.io-response#/# response to socket.io-response#/#a#] [request 5 of a end] []" {
		t.Errorf("heard %s", got)
	}
}

func TestNodeJS_RequestsAndBroadcastsArriveInOrder(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	a := join(t, newAdapter(t, server.Addr()), "/", "a")
	b := join(t, newAdapter(t, server.Addr()), "/", "b")
	var want []string
	for i := range 100 {
		join := &adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{Action: adapter.ActionJoin, Targets: []string{"x"}}}
		if err := a.link.Publish(t.Context(), join); err != nil {
			t.Fatal(err)
		}
		a.emit(t, fmt.Sprint(i), "room")
		want = append(want, "request 1 of a", fmt.Sprint(i))
	}
	b.expect(t, "99")
	if !slices.Equal(b.heard, want) {
		t.Errorf("heard %v", b.heard)
	}
}

// A Node.js server may emit to a room right after it has put a socket of this node
// into it: no subscription that begins then would be in time.
func TestNodeJS_BroadcastsArriveWithoutASubscriptionOfTheirRoom(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	plain := join(t, newAdapter(t, server.Addr()), "/a", "plain")
	inMix := join(t, newAdapterWith(t, newClient(t, server.Addr()), mixed), "/a", "mixed")
	other := join(t, newAdapter(t, server.Addr()), "/a#b", "other")
	if _, observes := inMix.link.(adapter.RoomObserver); observes {
		t.Error("who hears everything asks for rooms")
	}
	plain.emit(t, "to a new room", "new")
	plain.emit(t, "to a socket", "AAAAAAAAAAAAAAAAmine")
	plain.emit(t, "to several", "x", "y")
	other.emit(t, "to another namespace", "c") // its channel matches the pattern
	plain.emit(t, "to all")
	for _, text := range []string{"to a new room", "to a socket", "to several", "to all"} {
		inMix.expect(t, text)
	}
	if n := inMix.count("to another namespace"); n != 0 {
		t.Errorf("another namespace's broadcast arrived %d times", n)
	}
	if dropped := inMix.adapter.Status().Dropped; len(dropped) > 0 {
		t.Errorf("dropped %v", dropped)
	}
	for _, text := range []string{"to a new room", "to all"} {
		if n := inMix.count(text); n != 1 {
			t.Errorf("%q arrived %d times", text, n)
		}
	}
}

func TestNodeJS_ClientsOfReplicasAreRefused(t *testing.T) {
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ReadOnly: true})
	defer client.Close()
	if _, err := redis.New(client, mixed); err == nil || !strings.Contains(err.Error(), "NodeJS") {
		t.Errorf("got %v, want an error that names the option", err)
	}
	if _, err := redis.New(client, redis.Options{}); err != nil {
		t.Errorf("without the option: %v", err)
	}
}
