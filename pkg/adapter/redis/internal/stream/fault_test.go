package stream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// persistent makes a Redis that loses nothing that it has confirmed.
func persistent(t testing.TB) []string {
	return []string{"--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir()}
}

func TestFault_KilledRedisLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	server := startRedis(t, persistent(t)...)
	a, b := open(t, newClient(t, server.Addr())), open(t, newClient(t, server.Addr()))
	a.listen()
	b.listen()
	const count = 3000
	var appending sync.WaitGroup
	reached := make(chan struct{}, 1)
	appending.Go(func() {
		for i, text := range numbered(0, count) {
			a.append(text)
			if i%500 == 250 {
				signal(reached)
				a.await(i - 1000)
			}
		}
	})
	for range 4 {
		<-reached
		server.Restart()
	}
	appending.Wait()
	a.await(count)
	b.await(count)
	checkNumbered(t, a.texts(), count)
	checkNumbered(t, b.texts(), count)
	got, err := b.readAll(b.await(1)[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	checkNumbered(t, append([]string{"0"}, got...), count)
	if gaps, resets, _ := a.part.counts(); gaps+resets > 0 {
		t.Errorf("%d gaps, %d resets of a log that lost nothing", gaps, resets)
	}
}

func TestFault_LostRepliesAreLookedUp(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	proxy := tcpproxy.Start(t, server.Addr())
	a, b := open(t, newClient(t, proxy.Addr())), open(t, newClient(t, server.Addr()))
	b.listen()
	const rounds = 10
	for i := range rounds {
		eventually(t, "writing", func() bool { return a.part.isUp() && a.Flush(t.Context()) == nil })
		proxy.Hold(tcpproxy.Replies)
		a.append(fmt.Sprint(i))
		b.await(i + 1) // it was executed
		proxy.Reset()
		proxy.Resume()
	}
	a.append(fmt.Sprint(rounds))
	b.await(rounds + 1)
	checkNumbered(t, b.texts(), rounds+1)
	if _, _, repeated := b.part.counts(); repeated > 0 {
		t.Errorf("%d entries were written again though they were in the log", repeated)
	}
}

func TestFault_LateBytesOfAnOldConnectionAreRepeats(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	client := newClient(t, server.Addr())
	a, b := open(t, client), open(t, client)
	b.listen()
	a.append("0", "1", "2")
	first := b.await(3)
	// What a retransmission brings hours later is what was written before.
	late := func(from, to int) {
		entries := client.XRangeN(t.Context(), "log", "-", "+", 100).Val()
		for _, e := range entries[from:to] {
			if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "log", Values: e.Values}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	late(0, 3)
	a.append("3")
	b.await(4)
	late(2, 3)
	a.append("4")
	b.await(5)
	checkNumbered(t, b.texts(), 5)
	eventually(t, "counting four repeats", func() bool { _, _, repeated := b.part.counts(); return repeated == 4 })
	for name, n := range map[string]*node{"the reader's node": b, "a node that has just started": open(t, client)} {
		got, err := n.readAll(first[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := numbered(1, 4); !slices.Equal(got, want) {
			t.Errorf("%s: recovered %v, want %v", name, got, want)
		}
	}
}

func TestFault_LateBytesAreRepeatsToANodeThatStartedAfterTheFirst(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	client := newClient(t, server.Addr())
	a := open(t, client)
	a.append("0", "1")
	a.flush()
	b := open(t, client)
	b.listen()
	entries := client.XRangeN(t.Context(), "log", "-", "+", 100).Val()
	if _, err := b.readAll(entries[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "log", Values: e.Values})
	}
	a.append("2")
	if heard := b.await(1); heard[0].Data != "2" {
		t.Errorf("a client that has recovered was told again: %v", data(heard))
	}
}

func TestFault_SilentConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	proxy := tcpproxy.Start(t, server.Addr())
	a, b := open(t, newClient(t, server.Addr())), open(t, newClient(t, proxy.Addr()))
	a.listen()
	b.listen()
	eventually(t, "connecting", b.part.isUp)
	for _, d := range []tcpproxy.Direction{tcpproxy.Both, tcpproxy.Requests, tcpproxy.Replies} {
		before := len(b.texts())
		proxy.Hold(d)
		eventually(t, "noticing", func() bool { return !b.part.isUp() })
		for i := range 100 {
			a.append(fmt.Sprint(before + i))
		}
		a.flush()
		proxy.Resume()
		b.await(before + 100)
		eventually(t, "coming back", b.part.isUp)
	}
	checkNumbered(t, b.texts(), 300)
}

func TestFault_WithoutRedisEntriesWaitInOrder(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	server.Kill()
	a := open(t, newClient(t, server.Addr()), func(c *Config) { c.QueueBytes = 64 << 10 })
	ctx, cancel := contextWithin(t, 2000)
	defer cancel()
	l, err := a.Listen(ctx, "/", a.hear)
	if l == nil || !errors.Is(err, adapter.ErrDegraded) {
		t.Fatalf("Listen: %v, %v, want a listener and ErrDegraded", l, err)
	}
	if got := l.Start(); got != "" {
		t.Errorf("Start is %q before Redis has answered", got)
	}
	accepted := 0
	for err = nil; err == nil && accepted < 1000; {
		if err = a.Append(entry(fmt.Sprint(accepted))); err == nil {
			accepted++
		}
	}
	if !errors.Is(err, adapter.ErrQueueFull) {
		t.Errorf("after %d entries: %v, want ErrQueueFull", accepted, err)
	}
	if err := a.Flush(t.Context()); !errors.Is(err, adapter.ErrDegraded) {
		t.Errorf("Flush: %v, want ErrDegraded", err)
	}
	server.Restart()
	a.await(accepted)
	checkNumbered(t, a.texts(), accepted)
	if l.Start() != "0-0" {
		t.Errorf("Start is %q, want that of an empty log", l.Start())
	}
	eventually(t, "the writer to know", a.part.isUp) // after they were heard
	if err := a.Flush(t.Context()); err != nil {
		t.Errorf("Flush after the outage: %v", err)
	}
	if err := a.Append(entry(fmt.Sprint(accepted))); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	a.await(accepted + 1)
}

func TestFault_SilentRedisHoldsListenNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	proxy := tcpproxy.Start(t, startRedis(t).Addr())
	proxy.Hold(tcpproxy.Both)
	a := open(t, newClient(t, proxy.Addr()))
	ctx, cancel := contextWithin(t, 50)
	defer cancel()
	start := time.Now()
	l, err := a.Listen(ctx, "/", a.hear)
	if l == nil || !errors.Is(err, adapter.ErrDegraded) || time.Since(start) > time.Second {
		t.Fatalf("got %v, %v after %v", l, err, time.Since(start))
	}
	proxy.Resume()
	eventually(t, "connecting", a.part.isUp)
	a.append("0")
	a.await(1)
}

func TestFault_LargeEntriesComeInSmallReplies(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a := open(t, client, func(c *Config) { c.QueueBytes = 64 << 20 })
	a.listen()
	large := strings.Repeat("x", 1<<20)
	const count = 24
	for range count {
		a.append(large)
	}
	heard := a.await(count)
	if asked := a.pace.count(a.ReadCount); asked > 8 {
		t.Errorf("asks for %d entries of a megabyte at once", asked)
	}
	if got, err := a.readAll(heard[0].ID); err != nil || len(got) != count-1 {
		t.Errorf("recovered %d of %d, %v", len(got), count-1, err)
	}
	for i := range 50 {
		a.append(fmt.Sprint(i))
	}
	a.await(count + 50)
}

func TestFault_IdleWriterIsReadyAfterAnOutage(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	a := open(t, newClient(t, server.Addr()))
	a.listen()
	a.append("0")
	a.await(1)
	eventually(t, "being up", a.part.isUp)
	server.Kill()
	both := func(fail bool) bool {
		a.condition.mu.Lock()
		defer a.condition.mu.Unlock()
		return (a.condition.cause[reading] != nil) == fail && (a.condition.cause[writing] != nil) == fail
	}
	eventually(t, "noticing", func() bool { return both(true) })
	server.Restart()
	eventually(t, "coming back", func() bool { return both(false) })
	var before int
	a.part.look(func() { before = a.part.changes })
	a.append("1")
	a.await(2)
	a.part.look(func() {
		if a.part.changes != before {
			t.Errorf("the first entry after the outage found a dead connection: %v", a.part.cause)
		}
	})
}

func TestFault_NodeThatFindsRedisLaterMissesNothingSinceItListens(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	proxy := tcpproxy.Start(t, server.Addr())
	proxy.Refuse()
	a, b := open(t, newClient(t, server.Addr())), open(t, newClient(t, proxy.Addr()))
	a.append("before 1", "before 2")
	a.flush()
	last := newClient(t, server.Addr()).Time(t.Context()).Val().Add(time.Second)
	eventually(t, "another time, however long the reply takes that says it", func() bool { return time.Now().After(last) })
	l, err := b.Listen(t.Context(), "/", b.hear)
	if !errors.Is(err, adapter.ErrDegraded) {
		t.Fatal(err)
	}
	a.append(numbered(0, 100)...)
	a.flush()
	proxy.Resume()
	b.await(100)
	a.append("100")
	b.await(101)
	checkNumbered(t, b.texts(), 101)
	if got, err := b.readAll(l.Start()); err != nil || len(got) != 101 {
		t.Errorf("behind Start there are %d entries, %v", len(got), err)
	}
	if gaps, resets, _ := b.part.counts(); gaps+resets > 0 {
		t.Errorf("%d gaps, %d resets", gaps, resets)
	}
}
