package stream

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// quick is a Timing under which tests do not wait for long.
var quick = Timing{
	FirstBackoff: 10 * time.Millisecond, LastBackoff: 100 * time.Millisecond,
	Dial: 500 * time.Millisecond, Answer: 500 * time.Millisecond, Check: 100 * time.Millisecond,
}

// part notes what a log says of itself.
type part struct {
	mu       sync.Mutex
	up       bool
	cause    error
	changes  int
	gaps     []adapter.Gap
	resets   []adapter.Gap
	repeated int
	dropped  map[string]int
}

func (p *part) Recovered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.cause = true, nil
	p.changes++
}

func (p *part) Lost(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.cause = false, cause
	p.changes++
}

func (p *part) LogGap(g adapter.Gap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gaps = append(p.gaps, g)
}

func (p *part) LogReset(g adapter.Gap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resets = append(p.resets, g)
}

func (p *part) Repeated(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.repeated += n
}

func (p *part) Drop(reason string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped == nil {
		p.dropped = make(map[string]int)
	}
	p.dropped[reason] += n
}

// look runs f while nothing changes.
func (p *part) look(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *part) counts() (gaps, resets, repeated int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.gaps), len(p.resets), p.repeated
}

func (p *part) isUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up
}

// node is a log with its part, and what a listener of "/" has heard.
type node struct {
	*Log
	t    testing.TB
	part *part

	mu    sync.Mutex
	heard []*Entry
	more  chan struct{}
}

func newClient(t testing.TB, addr string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1, ReadTimeout: time.Second})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// open starts a log whose stream is at client, and closes it with the test.
func open(t testing.TB, client goredis.UniversalClient, change ...func(*Config)) *node {
	t.Helper()
	n := &node{t: t, part: &part{}, more: make(chan struct{}, 1)}
	c := Config{
		Client: client, Name: "log", Part: n.part, Timing: quick, Block: 200 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	n.Log = Open(c)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = n.Close(ctx)
	})
	return n
}

// listen makes n hear what comes to "/".
func (n *node) listen() *Listener {
	n.t.Helper()
	l, err := n.Listen(n.t.Context(), "/", n.hear)
	if err != nil {
		n.t.Fatal(err)
	}
	return l
}

func (n *node) hear(e *Entry) {
	n.mu.Lock()
	n.heard = append(n.heard, e)
	n.mu.Unlock()
	signal(n.more)
}

// texts returns the data of what was heard.
func (n *node) texts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return data(n.heard)
}

func data(entries []*Entry) []string {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.Data
	}
	return list
}

func entry(data string) *Entry {
	return &Entry{UID: "node", Topic: "/", Type: "3", Data: data, Own: "{}"}
}

func (n *node) append(texts ...string) {
	n.t.Helper()
	for _, text := range texts {
		if err := n.Append(entry(text)); err != nil {
			n.t.Fatal(err)
		}
	}
}

// soon is how long a test waits for what must happen.
const soon = 15 * time.Second

// await waits until so many entries were heard.
func (n *node) await(count int) []*Entry {
	n.t.Helper()
	timer := time.NewTimer(soon)
	defer timer.Stop()
	for {
		n.mu.Lock()
		heard := n.heard
		n.mu.Unlock()
		if len(heard) >= count {
			return heard
		}
		select {
		case <-n.more:
		case <-timer.C:
			n.t.Fatalf("heard %d entries, want %d; last %q", len(heard), count, data(heard[max(0, len(heard)-3):]))
		}
	}
}

// eventually waits until f says true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(soon)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, soon)
		}
		<-tick.C
	}
}

// flush waits until all of n's entries are written.
func (n *node) flush() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), soon)
	defer cancel()
	if err := n.Flush(ctx); err != nil {
		n.t.Fatal(err)
	}
}

// numbered returns "0", "1", … up to count.
func numbered(from, count int) []string {
	list := make([]string, count)
	for i := range list {
		list[i] = fmt.Sprint(from + i)
	}
	return list
}

// checkNumbered fails unless got counts from 0 without holes and repeats.
func checkNumbered(t testing.TB, got []string, count int) {
	t.Helper()
	if len(got) != count {
		t.Errorf("got %d entries, want %d", len(got), count)
	}
	for i, text := range got {
		if text != fmt.Sprint(i) {
			t.Fatalf("entry %d is %q", i, text)
		}
	}
}

// readAll returns what a client gets that comes back with after.
func (n *node) readAll(after string) ([]string, error) {
	var list []string
	for e, err := range n.Read(n.t.Context(), after, "/") {
		if err != nil {
			return list, err
		}
		list = append(list, e.Data)
	}
	return list, nil
}

func startRedis(t testing.TB, options ...string) *redisserver.Server {
	t.Helper()
	return redisserver.Start(t, options...)
}

// contextWithin returns a context that ends after some milliseconds.
func contextWithin(t testing.TB, milliseconds int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Duration(milliseconds)*time.Millisecond)
}

// calls returns how often Redis was asked for a command.
func calls(t testing.TB, client *goredis.Client, command string) int {
	t.Helper()
	stats, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(stats, "cmdstat_"+command+":calls=")
	count, _, _ := strings.Cut(rest, ",")
	n, _ := strconv.Atoi(count)
	return n
}

// newMovingClient returns a client whose pool soon connects to where addr says.
func newMovingClient(t testing.TB, addr func() string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{
		Addr: "moving", MaxRetries: -1, DialerRetries: 1, ReadTimeout: time.Second, ConnMaxLifetime: 50 * time.Millisecond,
		Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr())
		},
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// tripHook is what a client does with each round trip of several commands.
type tripHook func(ctx context.Context, next func() error) error

func (tripHook) DialHook(next goredis.DialHook) goredis.DialHook          { return next }
func (tripHook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

func (h tripHook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, commands []goredis.Cmder) error {
		return h(ctx, func() error { return next(ctx, commands) })
	}
}

// holding makes the client's first round trip wait until it is let go; what is asked
// meanwhile shares the second, which fails if f does.
func holding(client *goredis.Client, f func(context.Context) error) (begun <-chan struct{}, letGo func()) {
	first, going := make(chan struct{}), make(chan struct{})
	var trips atomic.Int32
	client.AddHook(tripHook(func(ctx context.Context, next func() error) error {
		switch trips.Add(1) {
		case 1:
			close(first)
			<-going
		case 2:
			if err := f(ctx); err != nil {
				return err
			}
		}
		return next()
	}))
	return first, func() { close(going) }
}

// awaitQueue waits until so many calls wait for a round trip.
func awaitQueue[T any](t testing.TB, b *batcher[T], count int) {
	t.Helper()
	eventually(t, "waiting for a trip", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.waiting[""]) == count
	})
}
