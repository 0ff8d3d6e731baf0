package stream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
)

func TestLog_DeliversToAllInOneOrder(t *testing.T) {
	t.Parallel()
	addr := startRedis(t).Addr()
	a, b := open(t, newClient(t, addr)), open(t, newClient(t, addr))
	a.listen()
	b.listen()
	const each = 2000
	for i := range each {
		a.append("a" + numbered(i, 1)[0])
		b.append("b" + numbered(i, 1)[0])
	}
	a.await(2 * each)
	b.await(2 * each)
	first, second := a.texts(), b.texts()
	if !slices.Equal(first, second) {
		t.Error("two nodes were told in different orders")
	}
	for _, writer := range []string{"a", "b"} {
		n := 0
		for _, text := range first {
			if text[:1] == writer {
				if text[1:] != numbered(n, 1)[0] {
					t.Fatalf("entry %d of %s is %q", n, writer, text)
				}
				n++
			}
		}
	}
	if gaps, resets, repeated := a.part.counts(); gaps+resets+repeated > 0 {
		t.Errorf("without a fault: %d gaps, %d resets, %d repeats", gaps, resets, repeated)
	}
}

func TestLog_OwnEntriesComeBackWithTheirValue(t *testing.T) {
	t.Parallel()
	a := open(t, newClient(t, startRedis(t).Addr()))
	a.listen()
	e := entry("x")
	e.Value = t
	if err := a.Append(e); err != nil {
		t.Fatal(err)
	}
	got := a.await(1)[0]
	if got.Value != t || got.UID != e.UID || got.Topic != e.Topic || got.Type != e.Type || got.Data != e.Data || got.Own != e.Own {
		t.Errorf("got %+v", got)
	}
	if _, ok := parseID(got.ID); !ok {
		t.Errorf("id %q", got.ID)
	}
}

func TestListen_PassesOnlyWhatIsAppendedAfterwards(t *testing.T) {
	t.Parallel()
	addr := startRedis(t).Addr()
	a, b := open(t, newClient(t, addr)), open(t, newClient(t, addr))
	for round := range 20 {
		a.append("before")
		a.flush()
		l := b.listen()
		a.append("after")
		heard := b.await(1)
		if heard[0].Data != "after" || Compare(l.Start(), heard[0].ID) >= 0 {
			t.Fatalf("round %d: heard %v behind %s", round, data(heard), l.Start())
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		b.heard = nil
		b.mu.Unlock()
	}
}

func TestListener_CloseWaitsForARunningCall(t *testing.T) {
	t.Parallel()
	a := open(t, newClient(t, startRedis(t).Addr()))
	entered, leave := make(chan struct{}), make(chan struct{})
	l, err := a.Listen(t.Context(), "/", func(*Entry) { close(entered); <-leave })
	if err != nil {
		t.Fatal(err)
	}
	a.append("1", "2")
	<-entered
	ctx, cancel := contextWithin(t, 20)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, ctx.Err()) || err == nil {
		t.Errorf("while f runs: got %v, want the context's error", err)
	}
	close(leave)
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLog_ClosedRefuses(t *testing.T) {
	t.Parallel()
	a := open(t, newClient(t, startRedis(t).Addr()))
	a.append("1")
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(entry("2")); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Append: %v", err)
	}
	if l, err := a.Listen(t.Context(), "/", func(*Entry) {}); l != nil || !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Listen: %v, %v", l, err)
	}
	if _, err := a.readAll("0-0"); err == nil {
		t.Error("Read of a closed log")
	}
	if err := a.Close(t.Context()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestRead_YieldsWhatFollowsOfItsTopic(t *testing.T) {
	t.Parallel()
	a := open(t, newClient(t, startRedis(t).Addr()), func(c *Config) { c.ReadCount = 7 })
	a.listen()
	const count = 100
	for i := range count {
		a.append(numbered(i, 1)[0])
		other := entry("other")
		other.Topic = "/other"
		if err := a.Append(other); err != nil {
			t.Fatal(err)
		}
	}
	heard := a.await(count)
	for _, i := range []int{0, 41, 98, 99} {
		got, err := a.readAll(heard[i].ID)
		if want := data(heard[i+1 : count]); err != nil || !slices.Equal(got, want) {
			t.Errorf("behind entry %d: got %v, %v, want %v", i, got, err, want)
		}
		if err := a.Covers(t.Context(), heard[i].ID); err != nil {
			t.Errorf("Covers: %v", err)
		}
	}
	got, err := a.readAll("0-0")
	if err != nil || len(got) != count {
		t.Errorf("from where reading began: %d, %v", len(got), err)
	}
}

func TestRead_RefusesWhatIsNoOffsetOfTheLog(t *testing.T) {
	t.Parallel()
	addr := startRedis(t).Addr()
	a := open(t, newClient(t, addr))
	a.append("before")
	a.flush()
	b := open(t, newClient(t, addr))
	b.listen()
	a.append("after")
	at := b.await(1)[0].ID
	for _, offset := range []string{
		"", "x", "-", "+", "$", "1", "1-", "-1", "+1-1", "1-1-1", "0-0", "1-1", "99999999999999-0", "1-99999999999999999999",
		at + "0", at + " ", "(" + at,
	} {
		if _, err := b.readAll(offset); !errors.Is(err, adapter.ErrNoOffset) {
			t.Errorf("Read(%q): %v", offset, err)
		}
		if err := b.Covers(t.Context(), offset); !errors.Is(err, adapter.ErrNoOffset) {
			t.Errorf("Covers(%q): %v", offset, err)
		}
	}
}

func TestLog_WorksOverTLSAndBesideAPoolOfOne(t *testing.T) {
	t.Parallel()
	server, config := redisserver.StartTLS(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), TLSConfig: config, PoolSize: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	a := open(t, client)
	a.listen()
	a.append(numbered(0, 10)...)
	heard := a.await(10)
	if got, err := a.readAll(heard[0].ID); err != nil || len(got) != 9 {
		t.Errorf("Read: %v, %v", got, err)
	}
}

func TestLog_QuestionsThatShareATripFailAlone(t *testing.T) {
	t.Parallel()
	n := open(t, newClient(t, startRedis(t).Addr()))
	n.listen()
	n.append(numbered(0, 1)...)
	n.await(1)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			name := n.Name
			if i%2 == 1 {
				name = "missing"
			}
			info := newCommand(t.Context(), "xinfo", "stream", name)
			if err := n.call(t.Context(), info); isMissing(err) != (name == "missing") || err != nil && !isMissing(err) {
				t.Errorf("question %d of %s: %v", i, name, err)
			}
		})
	}
	all.Wait()
}

func TestLog_CallerWhoGivesUpTakesNobodyWithIt(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	n := open(t, client)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun, letGo := holding(client, func(trip context.Context) error {
		cancel()
		return trip.Err()
	})
	var all sync.WaitGroup
	call := func(ctx context.Context, want error) {
		all.Go(func() {
			if _, err := n.exists(ctx, caller{n.Log}, id{}); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
	call(t.Context(), nil)
	<-begun
	call(ctx, context.Canceled)
	awaitQueue(t, n.calls, 1)
	call(t.Context(), nil)
	awaitQueue(t, n.calls, 2)
	letGo()
	all.Wait()
}

func TestLog_ClosesThoughRedisHangs(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	n := open(t, client)
	eventually(t, "connecting", n.part.isUp)
	begun := make(chan struct{}, 1)
	client.AddHook(tripHook(func(ctx context.Context, _ func() error) error {
		signal(begun)
		<-ctx.Done()
		return ctx.Err()
	}))
	var all sync.WaitGroup
	defer all.Wait()
	ask := func() {
		all.Go(func() {
			if _, err := n.exists(t.Context(), caller{n.Log}, id{}); err == nil {
				t.Error("a question was answered")
			}
		})
	}
	ask()
	<-begun
	const waiting = 3 * maxTogether
	for range waiting {
		ask()
	}
	awaitQueue(t, n.calls, waiting)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Error(err)
	}
}
