package bus

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/internal/testutil/redisserver"
)

// These tests hold go-redis to what the package makes of it.

func TestGoRedis_DoesNotDialByItself(t *testing.T) {
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
	n := start(t, client, Config{})
	n.await(t)
	admin := plain(server.Addr())
	defer admin.Close()
	for round := range uint64(3) {
		before := dials.Load()
		if err := admin.ClientKillByFilter(t.Context(), "type", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "noticing", func() bool { return n.health.Status().Interruptions == round+1 })
		n.await(t)
		if got := dials.Load() - before; got != 1 {
			t.Errorf("round %d: %d dials, want 1", round, got)
		}
	}
}

// elsewhere returns a client of one master and the name of a channel that another owns.
func elsewhere(t *testing.T, c *rediscluster.Cluster) (client *goredis.Client, foreign, own, owner string) {
	t.Helper()
	masters, err := c.Masters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client = plain(masters[0])
	t.Cleanup(func() { _ = client.Close() })
	for _, name := range channelNames(50) {
		addr, err := c.Owner(t.Context(), slotOf(name))
		if err != nil {
			t.Fatal(err)
		}
		if addr == masters[0] {
			own = name
		} else {
			foreign, owner = name, addr
		}
	}
	return client, foreign, own, owner
}

func TestGoRedis_MovedIsAnAnswerAndNotTheConnectionsEnd(t *testing.T) {
	t.Parallel()
	c := rediscluster.Start(t)
	client, foreign, own, owner := elsewhere(t, c)

	pubsub := client.SSubscribe(t.Context(), foreign)
	defer pubsub.Close()
	if _, err := pubsub.Receive(t.Context()); !isMoved(err) {
		t.Fatalf("SSUBSCRIBE elsewhere: got %v, want MOVED", err)
	}
	if err := pubsub.SSubscribe(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	confirmed, err := pubsub.Receive(t.Context())
	if s, ok := confirmed.(*goredis.Subscription); err != nil || !ok || s.Kind != "ssubscribe" || s.Channel != own {
		t.Fatalf("got %v, %v", confirmed, err)
	}

	first, second := newOutgoing("spublish"), newOutgoing("spublish")
	first.Channel, second.Channel = foreign, own
	role := goredis.NewSliceCmd(t.Context(), "role")
	pipe := client.Pipeline()
	_ = pipe.BatchProcess(t.Context(), first, second, role)
	if _, err := pipe.Exec(t.Context()); !isMoved(err) || !isMoved(first.Err()) || second.Err() != nil || role.Err() != nil || role.Val()[0] != "master" {
		t.Errorf("each command has its own answer: got %v; %v, %v, %v", err, first.Err(), second.Err(), role)
	}
	if message, err := pubsub.Receive(t.Context()); err != nil || message.(*goredis.Message).Channel != own {
		t.Errorf("got %v, %v", message, err)
	}

	if err := c.MoveSlot(t.Context(), slotOf(own), owner); err != nil {
		t.Fatal(err)
	}
	ended, err := pubsub.Receive(t.Context())
	if s, ok := ended.(*goredis.Subscription); err != nil || !ok || s.Kind != "sunsubscribe" || s.Channel != own {
		t.Errorf("a moved slot ends its subscriptions: got %v, %v", ended, err)
	}
}

func TestGoRedis_QuitEndsAPipelinesConnection(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t, redisserver.User("least", "secret", "+publish", "+role", "+hello", "+client", "allchannels")...)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Username: "least", Password: "secret"})
	defer client.Close()
	id := func() int64 {
		cmd := goredis.NewIntCmd(t.Context(), "client", "id")
		pipeline(t.Context(), client, cmd)
		return cmd.Val()
	}
	before := id()
	if id() != before || before == 0 {
		t.Fatal("a pipeline does not use the connection of the last one")
	}
	quit := goredis.NewStatusCmd(t.Context(), "quit")
	if pipeline(t.Context(), client, quit); quit.Err() != nil {
		t.Error(quit.Err())
	}
	eventually(t, "another connection", func() bool { after := id(); return after != 0 && after != before })
}

func TestGoRedis_FailedDialSaysThatNothingWasSent(t *testing.T) {
	t.Parallel()
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1", DialerRetries: 1})
	defer client.Close()
	pipe := client.Pipeline()
	_ = pipe.Process(t.Context(), newOutgoing("publish"))
	if _, err := pipe.Exec(t.Context()); !isDial(err) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	if err := client.Subscribe(ctx).Subscribe(ctx, "x"); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("with a context that has ended: got %v", err)
	}
}
