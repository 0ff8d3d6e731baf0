package stream

import (
	"errors"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

func TestWriter_WithoutReplicasEntriesGoOn(t *testing.T) {
	t.Parallel()
	a := open(t, newClient(t, startRedis(t).Addr()), func(c *Config) {
		c.WaitReplicas, c.QueueBytes = 1, 64<<10
	})
	a.listen()
	for i := range 500 {
		eventually(t, "room", func() bool { return a.Append(entry(strconv.Itoa(i))) == nil })
	}
	a.await(500)
	checkNumbered(t, a.texts(), 500)
}

func TestWriter_TrimsByTheClockOfRedis(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	now := client.Time(t.Context()).Val()
	old, young := now.Add(-2*time.Hour).UnixMilli(), now.Add(-30*time.Minute).UnixMilli()
	for i := range 1000 {
		ms := old
		if i >= 500 {
			ms = young
		}
		if err := client.XAdd(t.Context(), &goredis.XAddArgs{
			Stream: "log", ID: id{uint64(ms), uint64(i)}.String(), Values: []any{"uid", "u"}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	open(t, client, func(c *Config) { c.MaxAge = time.Hour })
	// Redis removes whole blocks, of a hundred entries.
	eventually(t, "trimming", func() bool { return client.XLen(t.Context(), "log").Val() <= 600 })
	if left := client.XLen(t.Context(), "log").Val(); left < 500 {
		t.Errorf("%d entries are left: some were young", left)
	}
}

func TestWriter_TrimsByLength(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a := open(t, client, func(c *Config) { c.MaxLen = 1000 })
	for i := range 3000 {
		a.append(strconv.Itoa(i))
	}
	a.flush()
	if left := client.XLen(t.Context(), "log").Val(); left < 1000 || left > 1100 {
		t.Errorf("%d entries are left, want about 1000", left)
	}
}

func TestWriter_ClosedWithoutRedisSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	server.Kill()
	a := open(t, newClient(t, server.Addr()))
	a.append("1", "2", "3")
	eventually(t, "noticing", func() bool { return errors.Is(a.Flush(t.Context()), adapter.ErrDegraded) })
	if err := a.Close(t.Context()); !errors.Is(err, adapter.ErrDegraded) {
		t.Errorf("Close: %v, want ErrDegraded", err)
	}
	a.part.look(func() {
		if a.part.dropped[expired] != 3 {
			t.Errorf("dropped %v, want 3 expired", a.part.dropped)
		}
	})
}

func TestWriter_FieldsAreThoseOfNodeJSAndOurs(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a := open(t, client)
	plain := entry("{}")
	plain.Own = ""
	for _, e := range []*Entry{entry("{}"), plain} {
		if err := a.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	a.flush()
	got := client.XRange(t.Context(), "log", "-", "+").Val()
	for i, want := range []map[string]any{
		{"uid": "node", "nsp": "/", "type": "3", "data": "{}", "roomcast": "{}", "seq": a.writer.name + "-1"},
		{"uid": "node", "nsp": "/", "type": "3", "data": "{}", "seq": a.writer.name + "-2"},
	} {
		if len(got) != 2 || len(got[i].Values) != len(want) {
			t.Fatalf("entry %d of %v", i, got)
		}
		for field, value := range want {
			if got[i].Values[field] != value {
				t.Errorf("entry %d: %s is %q, want %q", i, field, got[i].Values[field], value)
			}
		}
	}
}

func TestLog_RefusesAClientOfAnotherKind(t *testing.T) {
	t.Parallel()
	ring := goredis.NewRing(&goredis.RingOptions{})
	defer ring.Close()
	a := open(t, ring)
	eventually(t, "saying so", func() bool {
		var cause error
		a.part.look(func() { cause = a.part.cause })
		return errors.Is(cause, errClient)
	})
}

func TestBackoff_GrowsToItsLongestWithJitterBelow(t *testing.T) {
	b := Timing{}.withDefaults().backoff()
	for i, nominal := range []time.Duration{100, 200, 400, 800, 1600, 2000, 2000} {
		nominal *= time.Millisecond
		if got := b.next(); got < nominal/2 || got > nominal*3/4 {
			t.Errorf("delay %d is %v, want half to three quarters of %v", i, got, nominal)
		}
	}
	b.reset()
	if got := b.next(); got > 75*time.Millisecond {
		t.Errorf("after a success: %v", got)
	}
	b.longest()
	if got := b.next(); got < time.Second {
		t.Errorf("without hope: %v", got)
	}
}
