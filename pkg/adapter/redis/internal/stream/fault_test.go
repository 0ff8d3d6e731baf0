package stream

import (
	"context"
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
	if _, _, repeated := b.part.counts(); repeated != 4 {
		t.Errorf("counted %d repeats, want 4", repeated)
	}
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
	if err := a.Flush(t.Context()); err != nil { // they were heard before the writer knew
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

func TestFault_TrimmedBeyondTheReaderIsAGap(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	proxy := tcpproxy.Start(t, server.Addr())
	client := newClient(t, server.Addr())
	a, b := open(t, client), open(t, newClient(t, proxy.Addr()))
	b.listen()
	a.append(numbered(0, 10)...)
	b.await(10)
	proxy.Refuse()
	eventually(t, "noticing", func() bool { return !b.part.isUp() })
	a.append(numbered(10, 50)...)
	a.flush()
	if err := client.XTrimMaxLen(t.Context(), "log", 20).Err(); err != nil {
		t.Fatal(err)
	}
	proxy.Resume()
	heard := b.await(30)
	if want := slices.Concat(numbered(0, 10), numbered(40, 20)); !slices.Equal(data(heard), want) {
		t.Errorf("heard %v, want %v", data(heard), want)
	}
	b.part.look(func() {
		if len(b.part.gaps) != 1 || len(b.part.resets) > 0 {
			t.Fatalf("%d gaps, %d resets, want 1 and 0", len(b.part.gaps), len(b.part.resets))
		}
		if g := b.part.gaps[0]; g.Missed != 30 || !slices.Equal(g.Topics, []string{"/"}) || !g.From.Before(g.To) {
			t.Errorf("gap %+v, want 30 missed of /", g)
		}
	})
	if _, err := b.readAll(heard[9].ID); !errors.Is(err, adapter.ErrNoOffset) {
		t.Errorf("Read behind a trimmed entry: %v, want ErrNoOffset", err)
	}
	if got, err := b.readAll(heard[10].ID); err != nil || len(got) != 19 {
		t.Errorf("Read behind the oldest entry: %d, %v", len(got), err)
	}
}

func TestFault_TrimmedUpToTheReaderIsNoGap(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a := open(t, client)
	l := a.listen()
	for i := range 5 {
		a.append(numbered(10*i, 10)...)
		a.await(10 * (i + 1))
		if err := client.XTrimMaxLen(t.Context(), "log", 0).Err(); err != nil {
			t.Fatal(err)
		}
		before := calls(t, client, "xinfo|stream")
		eventually(t, "comparing", func() bool { return calls(t, client, "xinfo|stream") > before+1 })
	}
	if gaps, resets, _ := a.part.counts(); gaps+resets > 0 {
		t.Errorf("%d gaps, %d resets though all was read", gaps, resets)
	}
	if err := a.Covers(t.Context(), l.Start()); !errors.Is(err, adapter.ErrNoOffset) {
		t.Errorf("Covers of the beginning: %v, want ErrNoOffset", err)
	}
}

func TestFault_LapWithinOneReadIsSeen(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	client := newClient(t, server.Addr())
	b := open(t, client, func(c *Config) { c.ReadCount = 10 })
	held, leave := make(chan struct{}), make(chan struct{})
	l, err := b.Listen(t.Context(), "/", func(e *Entry) {
		if e.Data == "stop" {
			close(held)
			<-leave
			return
		}
		b.hear(e)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	a := open(t, client)
	a.append("stop")
	<-held
	a.append(numbered(0, 200)...)
	a.flush()
	client.XTrimMaxLen(t.Context(), "log", 50)
	close(leave)
	if heard := data(b.await(50)); !slices.Equal(heard, numbered(150, 50)) {
		t.Errorf("heard %v", heard)
	}
	b.part.look(func() {
		if len(b.part.gaps) != 1 || b.part.gaps[0].Missed != 150 {
			t.Errorf("gaps %+v, want one of 150", b.part.gaps)
		}
	})
}

func TestFault_LostStreamIsAReset(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(context.Context, *goredis.Client){
		"flushed": func(ctx context.Context, c *goredis.Client) { c.FlushAll(ctx) },
		"deleted and written to": func(ctx context.Context, c *goredis.Client) {
			c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
				p.Del(ctx, "log")
				for i := range 3 {
					p.XAdd(ctx, &goredis.XAddArgs{Stream: "log", Values: []any{"uid", "n", "nsp", "/", "type", "3", "data", fmt.Sprint(10 + i)}})
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, startRedis(t).Addr())
			a, b := open(t, client), open(t, client)
			b.listen()
			a.append(numbered(0, 10)...)
			heard := b.await(10)
			last, _ := parseID(heard[9].ID)
			eventually(t, "another millisecond", func() bool { return client.Time(t.Context()).Val().UnixMilli() > int64(last.ms) })
			lose(t.Context(), client)
			eventually(t, "noticing", func() bool { _, resets, _ := b.part.counts(); return resets == 1 })
			a.append("13")
			eventually(t, "hearing what follows", func() bool { return slices.Contains(b.texts(), "13") })
			if gaps, resets, _ := b.part.counts(); gaps != 0 || resets != 1 {
				t.Errorf("%d gaps, %d resets, want one reset", gaps, resets)
			}
			if _, err := b.readAll(heard[5].ID); !errors.Is(err, adapter.ErrNoOffset) {
				t.Errorf("an offset of the old stream: %v, want ErrNoOffset", err)
			}
		})
	}
}

func TestFault_RestoredOldStreamIsNotDeliveredAgain(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a := open(t, client)
	a.append("old 1", "old 2")
	a.flush()
	copied := client.Dump(t.Context(), "log").Val()
	b := open(t, client)
	a.append("before")
	a.flush()
	b.listen()
	a.append("0", "1")
	b.await(2)
	// A Redis that saves now and then comes back as it was before b began.
	if err := client.RestoreReplace(t.Context(), "log", 0, copied).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "noticing", func() bool { _, resets, _ := b.part.counts(); return resets == 1 })
	a.append("2")
	b.await(3)
	checkNumbered(t, b.texts(), 3)
}

func TestFault_RolledBackStreamGoesOnBehindWhatWasRead(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a := open(t, client)
	b := open(t, client)
	b.listen()
	a.append(numbered(0, 10)...)
	b.await(10)
	copied := client.Dump(t.Context(), "log").Val()
	last := client.XInfoStream(t.Context(), "log").Val().LastGeneratedID
	a.append("lost 1", "lost 2")
	heard := b.await(12)
	// The replica that takes over has not got the last two, and its clock is behind:
	// what it is given has ids between.
	_, err := client.TxPipelined(t.Context(), func(p goredis.Pipeliner) error {
		p.RestoreReplace(t.Context(), "log", 0, copied)
		at, _ := parseID(last)
		p.XAdd(t.Context(), &goredis.XAddArgs{Stream: "log", ID: at.next().String(),
			Values: []any{"uid", "node.js", "nsp", "/", "type", "3", "data", "new 1"}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.await(13)
	a.append("new 2")
	b.await(14)
	want := slices.Concat(numbered(0, 10), []string{"lost 1", "lost 2", "new 1", "new 2"})
	if got := b.texts(); !slices.Equal(got, want) {
		t.Errorf("heard %v, want %v", got, want)
	}
	if gaps, resets, _ := b.part.counts(); gaps+resets > 0 {
		t.Errorf("%d gaps, %d resets though nothing was skipped", gaps, resets)
	}
	if _, err := b.readAll(heard[11].ID); !errors.Is(err, adapter.ErrNoOffset) {
		t.Errorf("an offset that was lost: %v, want ErrNoOffset", err)
	}
	if got, err := b.readAll(heard[8].ID); err != nil || !slices.Equal(got, []string{"9", "new 1", "new 2"}) {
		t.Errorf("an offset before: %v, %v", got, err)
	}
}

func TestFault_RefusedEntriesAreKept(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	for name, c := range map[string]struct {
		refuse, allow func(context.Context, *goredis.Client) error
		cause         string
	}{
		"no memory": {
			func(ctx context.Context, c *goredis.Client) error { return c.ConfigSet(ctx, "maxmemory", "1").Err() },
			func(ctx context.Context, c *goredis.Client) error { return c.ConfigSet(ctx, "maxmemory", "0").Err() },
			"OOM",
		},
		"replica": {
			func(ctx context.Context, c *goredis.Client) error { return c.ReplicaOf(ctx, "127.0.0.1", "1").Err() },
			func(ctx context.Context, c *goredis.Client) error { return c.ReplicaOf(ctx, "no", "one").Err() },
			"READONLY",
		},
		"a text": {
			func(ctx context.Context, c *goredis.Client) error { return c.Set(ctx, "log", "text", 0).Err() },
			func(ctx context.Context, c *goredis.Client) error { return c.Del(ctx, "log").Err() },
			"WRONGTYPE",
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, server.Addr())
			client.FlushAll(t.Context())
			a := open(t, client)
			a.listen()
			a.append("0")
			a.await(1)
			if err := c.refuse(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			a.append(numbered(1, 5)...)
			eventually(t, "noticing", func() bool {
				var known bool
				a.part.look(func() { known = goredis.HasErrorPrefix(a.part.cause, c.cause) })
				return known
			})
			if err := c.allow(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			a.await(6)
			checkNumbered(t, a.texts(), 6)
			eventually(t, "coming back", a.part.isUp)
		})
	}
}

func TestFault_GarbageIsPassedOver(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a := open(t, client)
	a.listen()
	bad := [][]any{
		{"x", "y"}, {"", ""}, {"uid", "", "nsp", "/", "type", "3"}, {"nsp", "/"}, {"type", "3", "uid", "u"},
		{"uid", "u", "nsp", "", "type", "3", "data", "\x00\xff"},
	}
	odd := [][]any{ // delivered: what is in the fields is not this package's business
		{"uid", "u", "nsp", "/", "type", "99", "data", "0", "seq", "-5"},
		{"uid", "u", "nsp", "/", "type", "3", "data", "1", "seq", "w-99999999999999999999"},
		{"uid", "u", "nsp", "/", "type", "3", "data", "2", "seq", string(make([]byte, 1000)) + "-1"},
	}
	for _, values := range append(bad, odd...) {
		if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "log", Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	a.append("3")
	a.await(4)
	checkNumbered(t, a.texts(), 4)
	a.part.look(func() {
		if a.part.dropped[malformed] != len(bad) {
			t.Errorf("dropped %v, want %d malformed", a.part.dropped, len(bad))
		}
	})
}

func TestSeal_ForgedEntriesCountForNothing(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	sealing := func(c *Config) {
		c.Seal = func(e *Entry, seq string) string { return "sealed " + seq + e.Data }
		c.Open = func(e *Entry, seq, seal string) bool { return seal == "sealed "+seq+e.Data }
	}
	a, b := open(t, client, sealing), open(t, client, sealing)
	b.listen()
	a.append("0")
	first := b.await(1)
	forge := func(seq string) {
		client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "log", Values: []any{
			"uid", "u", "nsp", "/", "type", "3", "data", "forged", "seq", seq, "mac", "sealed"}})
	}
	forge(a.writer.name + "-1000000")
	forge("other-1")
	a.append("1")
	b.await(2)
	checkNumbered(t, b.texts(), 2)
	if got, err := b.readAll(first[0].ID); err != nil || !slices.Equal(got, []string{"1"}) {
		t.Errorf("recovered %v, %v", got, err)
	}
	b.part.look(func() {
		if b.part.dropped[unsigned] != 2 {
			t.Errorf("dropped %v, want 2 unsigned", b.part.dropped)
		}
	})
}

func TestLog_BurstOfOneNodeLapsNobody(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	small := func(c *Config) { c.MaxLen = 400 }
	a := open(t, newClient(t, server.Addr()), small)
	a.listen()
	eventually(t, "connecting", a.part.isUp)
	server.Kill()
	eventually(t, "noticing", func() bool { return !a.part.isUp() })
	const count = 10_000
	a.append(numbered(0, count)...)
	server.Restart()
	a.await(count)
	checkNumbered(t, a.texts(), count)
	if gaps, _, _ := a.part.counts(); gaps > 0 {
		t.Errorf("%d gaps", gaps)
	}
}

func TestFault_DeletedEntriesAreNoStall(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a := open(t, client, func(c *Config) { c.MaxLen = 40 }) // a window of ten
	held, leave := make(chan struct{}), make(chan struct{})
	l, err := a.Listen(t.Context(), "/", func(e *Entry) {
		if e.Data == "stop" {
			close(held)
			<-leave
			return
		}
		a.hear(e)
	})
	if err != nil {
		t.Fatal(err)
	}
	a.append("stop")
	<-held
	a.append(slices.Repeat([]string{"deleted"}, 9)...)
	eventually(t, "writing", func() bool { return client.XLen(t.Context(), "log").Val() == 10 })
	for _, e := range client.XRange(t.Context(), "log", "-", "+").Val()[1:] {
		client.XDel(t.Context(), "log", e.ID)
	}
	a.append(slices.Repeat([]string{"left"}, 20)...)
	close(leave)
	a.await(20)
	eventually(t, "a connection that lasts", func() bool { return a.part.isUp() })
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFault_UserWithTheLeastRights(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	admin := newClient(t, server.Addr())
	rights := strings.Fields("acl setuser node on >secret ~log ~record:* " +
		"+xadd +xread +xrange +xrevrange +xinfo|stream +xtrim +multi +exec +wait +time +get +set +getrange +pexpire +eval +evalsha")
	args := make([]any, len(rights))
	for i, r := range rights {
		args[i] = r
	}
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Username: "node", Password: "secret"})
	t.Cleanup(func() { _ = client.Close() })
	a := open(t, client, func(c *Config) { c.MaxAge, c.WaitReplicas = time.Hour, 1 })
	a.listen()
	a.append(numbered(0, 10)...)
	heard := a.await(10)
	if got, err := a.readAll(heard[0].ID); err != nil || len(got) != 9 {
		t.Errorf("Read: %v, %v", got, err)
	}
	r := Records{Client: client}
	if err := r.Save(t.Context(), "record:1", "a", "a", true, time.Minute); err != nil {
		t.Error(err)
	}
	if _, err := r.Keep(t.Context(), []Owned{{"record:1", "a"}}, time.Minute); err != nil {
		t.Error(err)
	}
	if got, err := r.Take(t.Context(), "record:1", time.Minute); got != "a" || err != nil {
		t.Errorf("Take: %q, %v", got, err)
	}
	if !a.part.isUp() {
		t.Error("the log does not work")
	}
	log, err := admin.ACLLog(t.Context(), 100).Result()
	for _, entry := range log {
		if strings.HasPrefix(entry.Object, "client") || entry.Object == "hello" {
			continue // go-redis introduces itself, and goes without
		}
		t.Errorf("refused: %s %s", entry.Reason, entry.Object)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestFault_MissingRightIsSaid(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	admin := newClient(t, server.Addr())
	if err := admin.Do(t.Context(), "acl", "setuser", "mute", "on", ">secret", "~*", "+@all", "-xadd").Err(); err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Username: "mute", Password: "secret"})
	t.Cleanup(func() { _ = client.Close() })
	a := open(t, client)
	a.append("0")
	eventually(t, "saying so", func() bool {
		var known bool
		a.part.look(func() { known = goredis.HasErrorPrefix(a.part.cause, "NOPERM") })
		return known
	})
	if err := admin.Do(t.Context(), "acl", "setuser", "mute", "+xadd").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "writing", func() bool { return a.Flush(t.Context()) == nil })
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
	server.Restart()
	eventually(t, "noticing", func() bool { return !a.part.isUp() })
	eventually(t, "coming back", a.part.isUp)
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
	last := newClient(t, server.Addr()).Time(t.Context()).Val().Add(2 * time.Millisecond)
	eventually(t, "other milliseconds", func() bool { return time.Now().After(last) })
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

func TestFault_StreamLostUnderLoadIsNoticed(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a, b := open(t, client), open(t, client, func(c *Config) { c.ReadCount = 2 })
	a.listen()
	b.listen()
	stop := load(t, a, b)
	b.await(500)
	client.FlushAll(t.Context())
	eventually(t, "noticing", func() bool { _, resets, _ := b.part.counts(); return resets == 1 })
	count := stop()
	last := fmt.Sprint(count - 1)
	eventually(t, "hearing the last", func() bool { return slices.Contains(b.texts(), last) })
	heard := b.texts()
	slices.Sort(heard)
	if unique := len(slices.Compact(slices.Clone(heard))); unique != len(heard) {
		t.Errorf("%d of %d entries came twice", len(heard)-unique, len(heard))
	}
}
