package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// ownerA has the records whose values begin with an a.
var ownerA = Owner{Prefix: "a"}

func newRecords(t *testing.T) *Records {
	t.Helper()
	return NewRecords(newClient(t, startRedis(t).Addr()))
}

func (r *Records) mustSave(t *testing.T, value string, first bool) {
	t.Helper()
	if err := r.Save(t.Context(), "key", value, value[:1], first, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestRecords_AreTakenByOne(t *testing.T) {
	t.Parallel()
	r := newRecords(t)
	for range 20 {
		r.mustSave(t, "a1", true)
		if got, err := r.Find(t.Context(), "key"); got != "a1" || err != nil {
			t.Fatalf("Find: %q, %v", got, err)
		}
		var taken, missed atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				got, err := r.Take(t.Context(), "key", ownerA, time.Minute)
				switch {
				case err == nil && got == "a1":
					taken.Add(1)
				case errors.Is(err, adapter.ErrNoRecord):
					missed.Add(1)
				default:
					t.Errorf("Take: %q, %v", got, err)
				}
			})
		}
		all.Wait()
		if taken.Load() != 1 || missed.Load() != 7 {
			t.Fatalf("%d have taken the record, %d not", taken.Load(), missed.Load())
		}
		if _, err := r.Find(t.Context(), "key"); !errors.Is(err, adapter.ErrNoRecord) {
			t.Fatalf("Find of a record that was taken: %v", err)
		}
	}
}

func TestRecords_LateSaveRevivesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(*testing.T, *Records)
		value  string
		first  bool
		want   error
	}{
		"new":                       {func(*testing.T, *Records) {}, "a1", true, nil},
		"gone with Redis":           {func(*testing.T, *Records) {}, "a1", false, nil},
		"own":                       {func(t *testing.T, r *Records) { r.mustSave(t, "a1", true) }, "a2", false, nil},
		"own, first once more":      {func(t *testing.T, r *Records) { r.mustSave(t, "a1", true) }, "a1", true, nil},
		"another's":                 {func(t *testing.T, r *Records) { r.mustSave(t, "b1", true) }, "a2", false, adapter.ErrTaken},
		"another's, first":          {func(t *testing.T, r *Records) { r.mustSave(t, "b1", true) }, "a1", true, adapter.ErrTaken},
		"taken":                     {saveAndTake, "a2", false, adapter.ErrTaken},
		"taken, by the taker":       {saveAndTake, "b1", true, nil},
		"forgotten":                 {saveAndForget, "a2", false, adapter.ErrTaken},
		"forgotten by someone else": {func(t *testing.T, r *Records) { r.mustSave(t, "a1", true); refuseForget(t, r, "b") }, "a2", false, nil},
		"forgotten before it came":  {func(t *testing.T, r *Records) { forget(t, r, "a") }, "a2", false, adapter.ErrTaken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecords(t)
			c.before(t, r)
			if err := r.Save(t.Context(), "key", c.value, c.value[:1], c.first, time.Minute); !errors.Is(err, c.want) {
				t.Errorf("Save: %v, want %v", err, c.want)
			}
			got, err := r.Find(t.Context(), "key")
			if c.want == nil && (got != c.value || err != nil) || c.want != nil && got == c.value {
				t.Errorf("then there is %q, %v", got, err)
			}
		})
	}
}

func TestRecords_AreTakenFromTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	const any = "owned:"
	own, another, none := Owner{Prefix: any + "a"}, Owner{Prefix: any + "b"}, Owner{Prefix: any + "-", Any: any}
	for name, c := range map[string]struct {
		value  string
		taker  Owner
		theirs bool
	}{
		"own":                      {any + "a1", own, true},
		"another's":                {any + "a1", another, false},
		"owned, wanted without":    {any + "a1", none, false},
		"without, wanted without":  {"x1", none, true},
		"nobody's, wanted without": {any + "-1", none, true},
		"without, wanted as owned": {"x1", own, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecords(t)
			r.mustSave(t, c.value, true)
			got, err := r.Take(t.Context(), "key", c.taker, time.Minute)
			if c.theirs && (got != c.value || err != nil) || !c.theirs && (got != "" || !errors.Is(err, adapter.ErrTaken)) {
				t.Errorf("Take: %q, %v", got, err)
			}
			if left, err := r.Find(t.Context(), "key"); c.theirs == (left == c.value) {
				t.Errorf("then there is %q, %v", left, err)
			}
		})
	}
}

func saveAndTake(t *testing.T, r *Records) {
	r.mustSave(t, "a1", true)
	if _, err := r.Take(t.Context(), "key", ownerA, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func saveAndForget(t *testing.T, r *Records) {
	r.mustSave(t, "a1", true)
	forget(t, r, "a")
}

func forget(t *testing.T, r *Records, prefix string) {
	t.Helper()
	if err := r.Forget(t.Context(), "key", prefix, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func refuseForget(t *testing.T, r *Records, prefix string) {
	t.Helper()
	if err := r.Forget(t.Context(), "key", prefix, time.Minute); !errors.Is(err, adapter.ErrTaken) {
		t.Errorf("Forget of another's: %v, want ErrTaken", err)
	}
}

func TestRecords_AreRenewedAndTheMissingAreNamed(t *testing.T) {
	t.Parallel()
	r := newRecords(t)
	var owned []Owned
	var want []int
	for i := range renewCount + 100 {
		owned = append(owned, Owned{strconv.Itoa(i), "a"})
		value := "a1"
		switch i % 7 {
		case 0: // never there
			want = append(want, i)
			continue
		case 1: // another's
			want = append(want, i)
			value = "b1"
		}
		if err := r.Save(t.Context(), owned[i].Key, value, value[:1], true, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	missing, err := r.Keep(t.Context(), owned, time.Hour)
	if err != nil || !slices.Equal(missing, want) {
		t.Errorf("missing %v, %v, want %v", missing, err, want)
	}
	if left := r.client.PTTL(t.Context(), "2").Val(); left < 59*time.Minute {
		t.Errorf("a record that was renewed is left for %v", left)
	}
}

func TestRecords_AreThereAsSoonAsRedisIsBack(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), PoolSize: 2, DialerRetries: 1, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	server.Kill()
	for range 10 { // until the pool answers without asking
		_ = client.Ping(t.Context()).Err()
	}
	server.Restart()
	r := NewRecords(client)
	if err := r.Save(t.Context(), "key", "a", "a", true, time.Minute); err != nil {
		t.Error(err)
	}
}

func TestRecords_EndWithTheirWindow(t *testing.T) {
	t.Parallel()
	r := newRecords(t)
	if err := r.Save(t.Context(), "key", "a", "a", true, 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	eventually(t, "expiring", func() bool {
		_, err := r.Find(t.Context(), "key")
		return errors.Is(err, adapter.ErrNoRecord)
	})
}

func TestRecords_SayWhenRedisIsAway(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	r := NewRecords(newClient(t, server.Addr()))
	server.Kill()
	ctx, cancel := contextWithin(t, 100)
	defer cancel()
	_, find := r.Find(ctx, "key")
	_, take := r.Take(ctx, "key", ownerA, time.Minute)
	_, keep := r.Keep(ctx, []Owned{{"key", "a"}}, time.Minute)
	for name, err := range map[string]error{
		"Find": find, "Take": take, "Keep": keep,
		"Save":   r.Save(ctx, "key", "a", "a", true, time.Minute),
		"Forget": r.Forget(ctx, "key", "a", time.Minute),
	} {
		if !errors.Is(err, adapter.ErrDegraded) {
			t.Errorf("%s: %v, want ErrDegraded", name, err)
		}
	}
}

// Thousands come back at once when a node has died.
func TestRecords_CallsShareAConnection(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	r := NewRecords(newClient(t, server.Addr()))
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			key := strconv.Itoa(i)
			if err := r.Save(t.Context(), key, "a"+key, "a", true, time.Minute); err != nil {
				t.Error(err)
			}
			if got, err := r.Find(t.Context(), key); got != "a"+key || err != nil {
				t.Errorf("Find: %q, %v", got, err)
			}
			if got, err := r.Take(t.Context(), key, ownerA, time.Minute); got != "a"+key || err != nil {
				t.Errorf("Take: %q, %v", got, err)
			}
		})
	}
	all.Wait()
	clients, err := newClient(t, server.Addr()).ClientList(t.Context()).Result()
	if n := strings.Count(clients, "\n"); n != 2 || err != nil { // with the one that asks
		t.Errorf("%d connections, %v, want 2:\n%s", n, err, clients)
	}
}

func TestRecords_ScriptsThatRedisHasForgotten(t *testing.T) {
	t.Parallel()
	r := newRecords(t)
	for range 2 {
		r.mustSave(t, "a1", true)
		if err := r.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Take(t.Context(), "key", ownerA, time.Minute); got != "a1" || err != nil {
			t.Errorf("Take: %q, %v", got, err)
		}
	}
}

func TestRecords_ReturnWithTheirContext(t *testing.T) {
	t.Parallel()
	proxy := tcpproxy.Start(t, startRedis(t).Addr())
	r := NewRecords(newClient(t, proxy.Addr()))
	if _, err := r.Find(t.Context(), "key"); !errors.Is(err, adapter.ErrNoRecord) {
		t.Fatal(err)
	}
	proxy.Hold(tcpproxy.Both)
	ctx, cancel := contextWithin(t, 50)
	defer cancel()
	if _, err := r.Find(ctx, "key"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, adapter.ErrDegraded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// shortConn is a connection that ends after a number of bytes, once.
type shortConn struct {
	net.Conn
	left  *atomic.Int64 // negative if it does not end
	ended bool
}

func (c *shortConn) Read(p []byte) (int, error) {
	left := c.left.Load()
	if c.ended = c.ended || c.left.CompareAndSwap(0, -1); c.ended {
		return 0, io.EOF
	}
	if left < 0 {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.Add(-int64(n))
	return n, err
}

// go-redis sends all commands again then.
func TestRecords_TakenIsWhatWasAnsweredBeforeAReplyWasLost(t *testing.T) {
	t.Parallel()
	var left atomic.Int64
	left.Store(-1)
	client := goredis.NewClient(&goredis.Options{
		Addr: startRedis(t).Addr(),
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &shortConn{Conn: c, left: &left}, err
		},
	})
	t.Cleanup(func() { _ = client.Close() })
	r := NewRecords(client)
	saveAndTake(t, r) // Redis knows the scripts then
	keys := []string{"first", "second"}
	for _, key := range keys {
		if err := r.Save(t.Context(), key, "a1", "a", true, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	begun, letGo := holding(client, func(context.Context) error {
		left.Store(int64(len("$2\r\na1\r\n")))
		return nil
	})
	var all sync.WaitGroup
	all.Go(func() { _, _ = r.Find(t.Context(), "key") })
	<-begun
	got := make([]error, len(keys))
	for i, key := range keys {
		all.Go(func() { _, got[i] = r.Take(t.Context(), key, ownerA, time.Minute) })
		awaitQueue(t, r.calls, i+1)
	}
	letGo()
	all.Wait()
	if got[0] != nil || !errors.Is(got[1], adapter.ErrNoRecord) {
		t.Errorf("the first was answered: %v; the reply to the second was lost: %v", got[0], got[1])
	}
}

func TestRecords_RestWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	r := NewRecords(client)
	if err := r.Rest(t.Context()); err != nil {
		t.Errorf("with nothing under way: %v", err)
	}
	begun, letGo := holding(client, func(context.Context) error { return nil })
	var finding sync.WaitGroup
	finding.Go(func() { _, _ = r.Find(t.Context(), "key") })
	<-begun
	ctx, cancel := contextWithin(t, 20)
	defer cancel()
	if err := r.Rest(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a round trip under way: %v, want the context's error", err)
	}
	letGo()
	if err := r.Rest(t.Context()); err != nil {
		t.Errorf("after it: %v", err)
	}
	finding.Wait()
}
