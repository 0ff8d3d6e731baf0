package stream

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
)

// member is a node whose way to Redis fails.
type member struct {
	*node
	proxy *tcpproxy.Proxy
	name  string
	sent  int
}

// world is some nodes, one Redis, and what may happen to them.
type world struct {
	t       *testing.T
	random  *rand.Rand
	server  *redisserver.Server
	client  *goredis.Client
	members []*member
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 0)), server: startRedis(t, persistent(t)...)}
	w.client = newClient(t, w.server.Addr())
	for i := range 3 {
		m := &member{proxy: tcpproxy.Start(t, w.server.Addr()), name: string(rune('a' + i))}
		m.node = open(t, newClient(t, m.proxy.Addr()), func(c *Config) { c.ReadCount = 16 })
		m.listen()
		w.members = append(w.members, m)
	}
	return w
}

// step lets one thing happen.
func (w *world) step() {
	m := w.members[w.random.IntN(len(w.members))]
	switch n := w.random.IntN(40); {
	case n < 28:
		for range 1 + w.random.IntN(40) {
			m.append(fmt.Sprintf("%s %d", m.name, m.sent))
			m.sent++
		}
	case n < 31:
		m.proxy.Reset()
	case n < 33:
		m.proxy.Hold(tcpproxy.Replies)
	case n < 34:
		m.proxy.Hold(tcpproxy.Requests)
	case n < 35:
		m.proxy.Refuse()
	case n < 37:
		m.proxy.Resume()
	case n < 38:
		w.client.ClientKillByFilter(w.t.Context(), "TYPE", "normal", "SKIPME", "yes")
	case n < 39:
		w.repeat()
	default:
		w.server.Restart()
	}
	if w.random.IntN(4) == 0 { // what was written arrives now and then
		w.client.Ping(w.t.Context())
	}
}

// repeat writes once more what is in the log, as the bytes of an old connection would.
func (w *world) repeat() {
	entries := w.client.XRevRangeN(w.t.Context(), "log", "+", "-", int64(1+w.random.IntN(20))).Val()
	for _, e := range slices.Backward(entries) {
		w.client.XAdd(w.t.Context(), &goredis.XAddArgs{Stream: "log", Values: e.Values})
	}
}

// check compares what all have heard: the same, each sender's entries in order and once.
func (w *world) check() {
	total := 0
	for _, m := range w.members {
		m.proxy.Resume()
		total += m.sent
	}
	for _, m := range w.members {
		m.await(total)
	}
	want := w.members[0].texts()
	for _, m := range w.members {
		got := m.texts()
		if !slices.Equal(got, want) {
			w.t.Errorf("%s has heard something else than %s", m.name, w.members[0].name)
		}
		if gaps, resets, _ := m.part.counts(); gaps+resets > 0 {
			w.t.Errorf("%s: %d gaps, %d resets", m.name, gaps, resets)
		}
	}
	for _, m := range w.members {
		own := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return !strings.HasPrefix(s, m.name) })
		for i, text := range own {
			if text != fmt.Sprintf("%s %d", m.name, i) {
				w.t.Fatalf("entry %d of %s is %q", i, m.name, text)
			}
		}
		if len(own) != m.sent {
			w.t.Errorf("%d of %d entries of %s were heard", len(own), m.sent, m.name)
		}
	}
	w.checkReads(want)
}

// checkReads lets clients come back on each node and on one that has just started.
func (w *world) checkReads(want []string) {
	fresh := &member{node: open(w.t, w.client), name: "fresh"}
	for _, m := range append(w.members, fresh) {
		heard := w.members[0].await(len(want))
		for range 5 {
			i := w.random.IntN(len(want))
			var got []string
			var err error
			eventually(w.t, "reading", func() bool {
				got, err = m.readAll(heard[i].ID)
				return err == nil
			})
			if !slices.Equal(got, want[i+1:]) {
				w.t.Errorf("%s: behind entry %d a client got %d entries, want the %d that followed", m.name, i, len(got), len(want)-i-1)
			}
		}
	}
}

func TestModel_EachEntryOnceAndInOneOrderWhateverHappens(t *testing.T) {
	t.Parallel()
	for range 3 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range 200 {
				w.step()
			}
			w.check()
		})
	}
}
