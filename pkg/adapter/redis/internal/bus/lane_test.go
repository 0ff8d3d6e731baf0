package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/roomcast/roomcast/internal/testutil/redissentinel"
	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
)

func TestLane_DeliversOnceInOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{"classic": {}, "sharded": {Sharded: true}, "signed": {Key: []byte("0123456789abcdef")}} {
		t.Run(name, func(t *testing.T) {
			server := redisserver.Start(t)
			a, b := start(t, plain(server.Addr()), c), start(t, plain(server.Addr()), c)
			b.listen(t, "x")
			a.await(t)
			const messages = 3000
			for i := range messages {
				a.say(t, "x", fmt.Sprint(i))
			}
			b.expect(t, "x", fmt.Sprint(messages-1))
			for i, text := range b.list("x") {
				if text != fmt.Sprint(i) {
					t.Fatalf("message %d is %q", i, text)
				}
			}
			if n, err := a.Subscribers(t.Context(), "x"); n != 1 || err != nil {
				t.Errorf("got %d subscribers, %v, want 1", n, err)
			}
			if gaps := b.gaps(); len(gaps) > 0 {
				t.Errorf("the first connection is a gap: %v", gaps)
			}
		})
	}
}

func TestLane_GapIsReportedWithItsTopicsAndTimes(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	proxy := tcpproxy.Start(t, server.Addr())
	n := start(t, plain(proxy.Addr()), Config{Timing: quickProbes()})
	n.listen(t, "x")
	pause(t, 300*time.Millisecond)
	lost := time.Now()
	proxy.Refuse()
	n.becomes(t, adapter.Degraded)
	n.Subscribe(Channel{Name: "meanwhile"}, Route{To: n})
	if err := n.Await(t.Context(), Channel{Name: "meanwhile"}); !errors.Is(err, adapter.ErrDegraded) {
		t.Errorf("Await without Redis: got %v", err)
	}
	pause(t, 300*time.Millisecond)
	if err := proxy.Resume(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	n.becomes(t, adapter.Up)
	eventually(t, "the gap", func() bool { return len(n.gaps()) == 1 })
	gap := n.gaps()[0]
	if len(gap.Topics) != 1 || gap.Topics[0] != "/" || gap.From.After(lost) || gap.From.Before(lost.Add(-time.Second)) || gap.To.Before(back) {
		t.Errorf("lost at %v, back at %v: gap %+v", lost, back, gap)
	}
	if s := n.health.Status(); s.Gaps != 1 || s.Interruptions != 1 {
		t.Errorf("got %d gaps, %d interruptions, want 1 of each", s.Gaps, s.Interruptions)
	}
}

// A connection may be lost in silence: nothing is closed, and nothing arrives.
func TestLane_HalfOpenConnectionIsNoticedAndReplaced(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]tcpproxy.Direction{"both ways": tcpproxy.Both, "replies": tcpproxy.Replies, "requests": tcpproxy.Requests} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redisserver.Start(t)
			proxy := tcpproxy.Start(t, server.Addr())
			n := start(t, goredis.NewClient(&goredis.Options{Addr: proxy.Addr(), ReadTimeout: time.Second}), Config{})
			other := start(t, plain(server.Addr()), Config{})
			n.listen(t, "x")
			other.await(t)
			proxy.Hold(d)
			held := time.Now()
			n.becomes(t, adapter.Degraded)
			noticed := time.Since(held)
			pause(t, time.Second)
			if err := proxy.Resume(); err != nil {
				t.Fatal(err)
			}
			healed := time.Now()
			n.becomes(t, adapter.Up)
			t.Logf("noticed after %v, healed after %v", noticed.Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
			if noticed > 10*time.Second || time.Since(healed) > 2*time.Second {
				t.Error("want at most 10s and 2s")
			}
			other.say(t, "x", "after")
			n.expect(t, "x", "after")
		})
	}
}

func TestLane_OutageThatIsShortLosesNothingThatWaited(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	proxy := tcpproxy.Start(t, server.Addr())
	long := DefaultTiming()
	long.PublishAfter = patience // so that the outage is shorter, however slow the machine is
	a, b := start(t, plain(proxy.Addr()), Config{Timing: long}), start(t, plain(server.Addr()), Config{})
	b.listen(t, "x")
	a.await(t)
	proxy.Refuse()
	a.becomes(t, adapter.Degraded)
	a.say(t, "x", "waits 1")
	a.say(t, "x", "waits 2")
	if err := proxy.Resume(); err != nil {
		t.Fatal(err)
	}
	a.becomes(t, adapter.Up)
	a.say(t, "x", "after")
	b.expect(t, "x", "after")
	if b.count("x", "waits 1") != 1 || b.count("x", "waits 2") != 1 || len(a.health.Status().Dropped) != 0 {
		t.Errorf("heard %v, dropped %v", b.list("x"), a.health.Status().Dropped)
	}
}

// The connection is cut after Redis has executed a PUBLISH and before its reply has
// arrived.
func TestLane_LostReplyDoesNotMakeADuplicate(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	proxy := tcpproxy.Start(t, server.Addr())
	rare := DefaultTiming()
	rare.Probe = time.Hour // behind a probe whose reply is held back, nothing would be sent
	a, b := start(t, plain(proxy.Addr()), Config{Timing: rare}), start(t, plain(server.Addr()), Config{})
	b.listen(t, "x")
	a.await(t)
	for round := range uint64(5) {
		event := fmt.Sprint("event ", round)
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		proxy.Hold(tcpproxy.Replies)
		a.say(t, "x", event)
		b.expect(t, "x", event)
		proxy.Reset()
		if err := proxy.Resume(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "noticing", func() bool { return a.health.Status().Interruptions == round+1 }) // it may be over by now
		a.becomes(t, adapter.Up)
		a.say(t, "x", "after "+event)
		b.expect(t, "x", "after "+event)
		if got := b.count("x", event); got != 1 {
			t.Errorf("round %d: heard %d times, want once", round, got)
		}
	}
}

func TestLane_PubsubKilledAHundredTimesUnderLoadLosesNoSubscription(t *testing.T) {
	t.Parallel()
	const rooms, kills = 300, 100
	server := redisserver.Start(t)
	a, b := start(t, plain(server.Addr()), Config{}), start(t, plain(server.Addr()), Config{})
	admin := plain(server.Addr())
	defer admin.Close()
	var names []string
	for i := range rooms {
		names = append(names, fmt.Sprint("room", i))
	}
	b.listen(t, names...)
	a.await(t)
	load, stop := context.WithCancel(t.Context())
	defer stop()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; load.Err() == nil; i++ {
			_ = a.trySay(names[i%rooms], "load")
			extra := Channel{Name: fmt.Sprint("extra", i%20)}
			b.Subscribe(extra, Route{To: b})
			b.Unsubscribe(extra, Route{To: b}, i%3 == 0)
			<-tick.C
		}
	}()
	for range kills {
		if err := admin.ClientKillByFilter(t.Context(), "type", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		pause(t, time.Duration(20+time.Now().UnixNano()%60)*time.Millisecond)
	}
	stop()
	<-loaded
	a.becomes(t, adapter.Up)
	b.listen(t, "afterwards") // who has not noticed the last kill is up as well, and is confirmed nothing
	for _, name := range names {
		a.say(t, name, "after")
	}
	for _, name := range names {
		b.expect(t, name, "after")
		if got := b.count(name, "after"); got != 1 {
			t.Errorf("%s: heard %d times", name, got)
		}
	}
	found, err := admin.PubSubNumSub(t.Context(), names...).Result()
	for _, name := range names {
		if err != nil || found[name] != 1 {
			t.Errorf("%s has %d subscribers, %v", name, found[name], err)
		}
	}
	if b.health.Status().Gaps == 0 {
		t.Error("no gap was told of")
	}
}

// Both connections may stay on a master that was demoted and lives: what is published
// there comes back, and nobody else hears it.
func TestLane_DemotedMasterIsNoticed(t *testing.T) {
	t.Parallel()
	old, next := redisserver.Start(t), redisserver.Start(t)
	var addr atomic.Pointer[string]
	point := func(to *redisserver.Server) { a := to.Addr(); addr.Store(&a) }
	point(old)
	var dialer net.Dialer
	client := goredis.NewClient(&goredis.Options{Addr: "redis", Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, *addr.Load())
	}})
	n := start(t, client, Config{Timing: quickTiming()})
	n.listen(t, "x")
	other := start(t, plain(next.Addr()), Config{})
	other.listen(t, "x")

	admin := plain(old.Addr())
	defer admin.Close()
	host, port, _ := net.SplitHostPort(next.Addr())
	if err := admin.ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	demoted := time.Now()
	n.becomes(t, adapter.Degraded)
	if _, err := n.health.Check(); !errors.Is(err, errReplica) {
		t.Errorf("the cause is %v", err)
	}
	point(next)
	n.becomes(t, adapter.Up)
	t.Logf("on the other server after %v", time.Since(demoted).Round(time.Millisecond))
	n.say(t, "x", "to the other")
	other.expect(t, "x", "to the other")
	other.say(t, "x", "and back")
	n.expect(t, "x", "and back")
}

// A subscriber that stays on another server than the publisher hears the others there,
// but not itself.
func TestLane_SubscriberOnAnotherServerIsGivenUp(t *testing.T) {
	t.Parallel()
	first, second := redisserver.Start(t), redisserver.Start(t)
	var dials atomic.Int64
	var dialer net.Dialer
	client := goredis.NewClient(&goredis.Options{Addr: "redis", Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
		to := second.Addr()
		if dials.Add(1) == 1 { // the subscriber's
			to = first.Addr()
		}
		return dialer.DialContext(ctx, network, to)
	}})
	noise := start(t, plain(first.Addr()), Config{})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_ = noise.trySay("x", "noise")
			}
		}
	}()
	n := start(t, client, Config{Timing: quickTiming()})
	n.Subscribe(Channel{Name: "x"}, Route{To: n})
	n.expect(t, "x", "noise")
	n.becomes(t, adapter.Up)
	close(stop)
	<-done
	n.say(t, "x", "to myself")
	n.expect(t, "x", "to myself")
}

func TestLane_FollowsSentinels(t *testing.T) {
	t.Parallel()
	for _, alive := range []bool{false, true} {
		t.Run(map[bool]string{false: "killed", true: "demoted"}[alive], func(t *testing.T) {
			t.Parallel()
			group := redissentinel.Start(t, 1)
			a := start(t, goredis.NewFailoverClient(group.Options()), Config{})
			b := start(t, goredis.NewFailoverClient(group.Options()), Config{})
			b.listen(t, "x")
			a.await(t)
			a.say(t, "x", "before")
			b.expect(t, "x", "before")
			if alive {
				if _, err := group.Failover(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				old, err := group.KillPrimary(t.Context())
				if err == nil {
					_, err = group.AwaitPrimary(t.Context(), old)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			promoted := time.Now()
			eventually(t, "the way from a to b", func() bool {
				_ = a.trySay("x", "after")
				pause(t, 10*time.Millisecond)
				return b.count("x", "after") > 0
			})
			a.becomes(t, adapter.Up)
			b.becomes(t, adapter.Up)
			took := time.Since(promoted)
			t.Logf("back %v after the promotion", took.Round(time.Millisecond))
			if took > 2*time.Second {
				t.Error("want at most 2s")
			}
		})
	}
}

// go-redis dials ten times for a command that finds nobody, and after enough of them not
// at all for up to a second, in which Redis may be back.
func TestLane_AbsentRedisIsDialledOncePerAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		n := start(t, goredis.NewClient(&goredis.Options{
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				dials.Add(1)
				return nil, net.ErrClosed
			},
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		}), Config{})
		n.say(t, "x", "lost")
		time.Sleep(10 * time.Second) // so that the back-off has grown
		before := dials.Load()
		time.Sleep(time.Minute)
		if got := dials.Load() - before; got > 120 { // the publisher's and the subscriber's, a second apart
			t.Errorf("%d dials in a minute", got)
		}
	})
}

func TestLane_GarbageOnTheProbesChannelIsCounted(t *testing.T) {
	t.Parallel()
	for reason, key := range map[string][]byte{"malformed": nil, "unsigned": []byte("0123456789abcdef")} {
		server := redisserver.Start(t)
		n := start(t, plain(server.Addr()), Config{Key: key})
		n.await(t)
		for _, text := range []string{"", "garbage", "1.1.1", "99.1", "1.-1"} {
			if err := n.client.Publish(t.Context(), n.lane("").table.probeName(), text).Err(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "counting", func() bool { return n.health.Status().Dropped[reason] == 5 })
	}
}

func TestLane_UserWithoutRoleIsServed(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t, redisserver.User("least", "secret", "+ping", "+publish", "+subscribe", "+unsubscribe", "+hello", "+client", "allchannels")...)
	n := start(t, goredis.NewClient(&goredis.Options{Addr: server.Addr(), Username: "least", Password: "secret"}), Config{Timing: quickProbes()})
	n.listen(t, "x")
	n.say(t, "x", "hello")
	n.expect(t, "x", "hello")
	pause(t, time.Second)
	if s := n.health.Status(); s.State != adapter.Up || s.Interruptions != 0 {
		t.Errorf("got %+v", s)
	}
}

// stuck is a receiver that does not return until it is let go.
type stuck struct{ letGo, called chan struct{} }

func (s stuck) Topic() string { return "/" }

func (s stuck) Receive(Arrival) {
	s.called <- struct{}{}
	<-s.letGo
}

func TestLane_ReceiverThatBlocksHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	n := start(t, plain(server.Addr()), Config{Timing: quickTiming()})
	n.listen(t, "x")
	var receivers []stuck
	for _, name := range []string{"first", "second"} {
		s := stuck{make(chan struct{}), make(chan struct{}, 1)}
		receivers = append(receivers, s)
		n.Subscribe(Channel{Name: name}, Route{To: s})
		n.await(t, Channel{Name: name})
		n.say(t, name, "hold")
		<-s.called
		n.say(t, "x", "beside "+name)
		n.expect(t, "x", "beside "+name)
	}
	pause(t, time.Second)
	if s := n.health.Status(); s.State != adapter.Up || s.Interruptions != 0 {
		t.Errorf("while two are held: %+v", s)
	}
	for _, s := range receivers {
		close(s.letGo)
	}
	n.say(t, "x", "afterwards")
	n.expect(t, "x", "afterwards")
}
