package stream

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

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
	r := NewRecords(client)
	if err := r.Save(t.Context(), "record:1", "a", "a", true, time.Minute); err != nil {
		t.Error(err)
	}
	if _, err := r.Keep(t.Context(), []Owned{{"record:1", "a"}}, time.Minute); err != nil {
		t.Error(err)
	}
	if got, err := r.Take(t.Context(), "record:1", ownerA, time.Minute); got != "a" || err != nil {
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
