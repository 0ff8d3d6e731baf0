package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

func TestFault_RedisKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	const rooms = 2000
	server := redisserver.Start(t)
	a := join(t, newInterested(t, server.Addr()), "/", "a")
	b := join(t, newInterested(t, server.Addr()), "/", "b")
	for i := range rooms {
		a.occupy(t, fmt.Sprint("room", i))
	}
	a.own(t, "AAAA")

	server.Kill()
	a.await(t, adapter.Degraded)
	b.await(t, adapter.Degraded)
	if err := a.observer().RoomOccupied(t.Context(), "meanwhile"); !errors.Is(err, adapter.ErrDegraded) {
		t.Errorf("RoomOccupied without Redis: got %v, want ErrDegraded", err)
	}
	pause(t, 3*time.Second) // so that the back-off has grown

	server.Restart()
	back := time.Now()
	a.await(t, adapter.Up)
	b.await(t, adapter.Up)
	took := time.Since(back)
	t.Logf("both nodes were up again after %v", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Errorf("it took %v, want at most 2s", took)
	}
	for _, room := range []string{"room0", "room1999", "meanwhile", "an-id-of-a-socketAAAA"[1:]} {
		b.emit(t, "to "+room, room)
		a.expect(t, "to "+room)
	}
	if s := a.adapter.Status(); s.Interruptions != 1 {
		t.Errorf("got %d interruptions, want 1", s.Interruptions)
	}
}

// pause waits for real time to pass; what the tests wait for is not in a bubble.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

func TestFault_BlackHoleIsNoticedAndHeals(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	proxy := tcpproxy.Start(t, server.Addr())
	a := join(t, newAdapter(t, proxy.Addr()), "/", "a")
	b := join(t, newAdapter(t, server.Addr()), "/", "b")

	proxy.Hold(tcpproxy.Both)
	start := time.Now()
	a.await(t, adapter.Degraded)
	noticed := time.Since(start)
	pause(t, 3*time.Second)
	resume(t, proxy)
	start = time.Now()
	a.await(t, adapter.Up)
	healed := time.Since(start)
	t.Logf("noticed after %v, healed after %v", noticed.Round(time.Millisecond), healed.Round(time.Millisecond))
	if noticed > 10*time.Second || healed > 2*time.Second {
		t.Errorf("noticed after %v, healed after %v, want at most 10s and 2s", noticed, healed)
	}
	b.emit(t, "after")
	a.expect(t, "after")
	a.emit(t, "back")
	b.expect(t, "back")
}

func TestFault_SubscriberBlackHoleAloneIsNoticed(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	proxy := tcpproxy.Start(t, server.Addr())
	a := join(t, newAdapter(t, proxy.Addr()), "/", "a")
	client := newClient(t, server.Addr())
	subscriber := func() string {
		list := client.Do(t.Context(), "client", "list", "type", "pubsub").String()
		_, id, _ := strings.Cut(list, " id=")
		return strings.Fields(id)[0]
	}
	silent := subscriber()
	proxy.Hold(tcpproxy.Replies) // what we send still arrives, and Redis sees nothing wrong
	a.await(t, adapter.Degraded)
	pause(t, 4*time.Second)
	resume(t, proxy)
	a.await(t, adapter.Up)
	eventually(t, "the silent connection's end", func() bool { return subscriber() != silent })
}

func TestFault_KilledConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newInterested(t, server.Addr()), "/", "a")
	b := join(t, newInterested(t, server.Addr()), "/", "b")
	a.occupy(t, "room")
	for _, kind := range []string{"pubsub", "normal"} {
		before := a.adapter.Status().Interruptions
		if err := client.Do(t.Context(), "client", "kill", "type", kind, "skipme", "yes").Err(); err != nil {
			t.Fatal(err)
		}
		if kind == "pubsub" {
			eventually(t, "noticing", func() bool { return a.adapter.Status().Interruptions > before })
		}
		a.await(t, adapter.Up)
		b.await(t, adapter.Up)
		b.emit(t, "after "+kind, "room")
		a.expect(t, "after "+kind)
	}
}

// TestFault_GoRedisDoesNotDialByItself holds go-redis to what subscriber.go makes
// of it: a lost subscription costs one dial, which is ours.
func TestFault_GoRedisDoesNotDialByItself(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	var dials atomic.Int64
	dialer := goredis.NewDialer(&goredis.Options{DialTimeout: patience})
	client := goredis.NewClient(&goredis.Options{
		Addr: server.Addr(),
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if ctx.Err() == nil {
				dials.Add(1)
			}
			return dialer(ctx, network, addr)
		},
	})
	defer client.Close()
	a := join(t, newAdapterWith(t, client, redis.Options{}), "/", "a")
	for round := range uint64(3) {
		before := dials.Load()
		if err := newClient(t, server.Addr()).ClientKillByFilter(t.Context(), "type", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "noticing", func() bool { return a.adapter.Status().Interruptions == round+1 })
		a.await(t, adapter.Up)
		if got := dials.Load() - before; got != 1 {
			t.Errorf("round %d: %d dials, want 1", round, got)
		}
	}
}

func TestFault_WithoutRedisMessagesExpireAndTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	a := join(t, newAdapterWith(t, newClient(t, server.Addr()), redis.Options{PublishQueueBytes: 64 << 10}), "/", "a")
	server.Kill()
	a.await(t, adapter.Degraded)
	var err error
	start := time.Now()
	accepted := 0
	for err == nil && accepted < 10_000 {
		if err = a.link.Publish(t.Context(), broadcast("lost")); err == nil {
			accepted++
		}
	}
	if !errors.Is(err, adapter.ErrQueueFull) {
		t.Errorf("after %d messages: got %v, want ErrQueueFull", accepted, err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("Publish waited: %d calls took %v", accepted, took)
	}
	eventually(t, "expiring", func() bool { return a.adapter.Status().Dropped["expired"] >= uint64(accepted) })
	if got := a.adapter.Status().Dropped["queue_full"]; got == 0 {
		t.Error("the refused message was not counted")
	}
	server.Restart()
	a.await(t, adapter.Up)
	b := join(t, newAdapter(t, server.Addr()), "/", "b")
	a.emit(t, "after")
	b.expect(t, "after")
	if b.count("lost") != 0 {
		t.Error("a message of the outage arrived long after it")
	}
}

func TestFault_RefusedDialIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	proxy := tcpproxy.Start(t, "127.0.0.1:1")
	proxy.Refuse()
	start := time.Now()
	_, err := tryJoin(t, newAdapter(t, proxy.Addr()), "/", "a")
	if !errors.Is(err, adapter.ErrDegraded) || time.Since(start) > time.Second {
		t.Errorf("got %v after %v, want ErrDegraded within a second", err, time.Since(start))
	}
}

func TestFault_SilentRedisHoldsJoinNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	proxy := tcpproxy.Start(t, server.Addr())
	proxy.Hold(tcpproxy.Both)
	a := newAdapter(t, proxy.Addr())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	link, err := a.Join(ctx, "/", "a", func(*adapter.Message) {})
	if link == nil || !errors.Is(err, adapter.ErrDegraded) {
		t.Fatalf("got %v, %v, want a link and ErrDegraded", link, err)
	}
	resume(t, proxy)
	eventually(t, "connecting", func() bool { return a.Status().State == adapter.Up })
	if err := link.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFault_RefusedSubscribeIsReported(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	admin := newClient(t, server.Addr())
	if err := admin.Do(t.Context(), "acl", "setuser", "mute", "on", ">secret", "+ping", "+publish", "+hello", "+client", "allchannels").Err(); err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Username: "mute", Password: "secret"})
	defer client.Close()
	_, err := tryJoin(t, newAdapterWith(t, client, redis.Options{}), "/", "a")
	if !errors.Is(err, adapter.ErrDegraded) || !goredis.HasErrorPrefix(err, "NOPERM") {
		t.Errorf("got %v, want ErrDegraded because of NOPERM", err)
	}
}

func TestFault_ClusterOfOneKeepsOrder(t *testing.T) {
	t.Parallel()
	addrs := startCluster(t, 1)
	var nodes []*node
	for _, id := range []string{"a", "b"} {
		client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs})
		defer client.Close()
		nodes = append(nodes, join(t, newAdapterWith(t, client, interested), "/", id))
	}
	nodes[1].occupy(t, "x", "y")
	for i := range 300 {
		nodes[0].emit(t, fmt.Sprint(i), []string{"x", "y"}[i%2])
	}
	nodes[1].expect(t, "299")
	for i, heard := range nodes[1].heard {
		if heard != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, heard)
		}
	}
}
