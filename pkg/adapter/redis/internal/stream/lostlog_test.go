package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
)

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
