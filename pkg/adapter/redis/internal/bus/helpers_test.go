package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// patience bounds every wait.
const patience = 30 * time.Second

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		<-pause.C
	}
}

// pause waits for real time to pass; what the tests wait for is not in a bubble.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// quickTiming notices silence sooner than one would in production.
func quickTiming() Timing {
	t := DefaultTiming()
	t.Probe, t.Silence = 100*time.Millisecond, 600*time.Millisecond
	return t
}

// quickProbes proves often that Redis is there, and takes a slow machine for no silence.
func quickProbes() Timing {
	t := DefaultTiming()
	t.Probe = 100 * time.Millisecond
	return t
}

// node is a bus with what it has heard and what it has told.
type node struct {
	*Bus
	client goredis.UniversalClient
	health *Health

	mu     sync.Mutex
	heard  map[string][]string // by channel
	events []adapter.Event
}

// Receive implements Receiver.
func (n *node) Receive(a Arrival) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard[a.Channel] = append(n.heard[a.Channel], a.Payload)
}

// Topic implements Receiver.
func (n *node) Topic() string { return "/" }

// start starts a bus that ends with the test. The client is its own.
func start(t testing.TB, client goredis.UniversalClient, c Config) *node {
	t.Helper()
	n := &node{client: client, health: NewHealth(slog.New(slog.DiscardHandler)), heard: make(map[string][]string)}
	stop := n.health.Watch(func(e adapter.Event) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.events = append(n.events, e)
	})
	c.Client, c.Health = client, n.health
	if c.Prefix == "" {
		c.Prefix = "test"
	}
	if c.PublishQueueBytes == 0 {
		c.PublishQueueBytes = 16 << 20
	}
	n.Bus = Start(c)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
		stop()
		_ = client.Close()
	})
	return n
}

func plain(addr string) *goredis.Client { return goredis.NewClient(&goredis.Options{Addr: addr}) }

// listen subscribes to the names and waits for them.
func (n *node) listen(t testing.TB, names ...string) {
	t.Helper()
	var cs []Channel
	for _, name := range names {
		c := Channel{Name: name}
		n.Subscribe(c, Route{To: n})
		cs = append(cs, c)
	}
	n.await(t, cs...)
}

func (n *node) await(t testing.TB, cs ...Channel) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := n.Await(ctx, cs...)
	for errors.Is(err, adapter.ErrDegraded) && ctx.Err() == nil {
		if changed, away := n.health.Check(); away != nil { // else it is back already
			<-changed
		}
		err = n.Await(ctx, cs...)
	}
	if err != nil {
		t.Fatalf("Await: %v", err)
	}
}

func (n *node) say(t testing.TB, channel, text string) {
	t.Helper()
	if err := n.trySay(channel, text); err != nil {
		t.Fatal(err)
	}
}

func (n *node) trySay(channel, text string) error {
	o := n.Message()
	o.Channel, o.Body = channel, append(o.Body, text...)
	err := n.Enqueue(o)
	if err != nil {
		n.Discard(o)
	}
	return err
}

func (n *node) list(channel string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.heard[channel])
}

func (n *node) count(channel, text string) int {
	count := 0
	for _, heard := range n.list(channel) {
		if heard == text {
			count++
		}
	}
	return count
}

func (n *node) expect(t testing.TB, channel, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("hearing %q on %q", text, channel), func() bool { return n.count(channel, text) > 0 })
}

// gaps returns the gaps that were told of.
func (n *node) gaps() []adapter.Gap {
	n.mu.Lock()
	defer n.mu.Unlock()
	var gaps []adapter.Gap
	for _, e := range n.events {
		if e.Gap != nil {
			gaps = append(gaps, *e.Gap)
		}
	}
	return gaps
}

func (n *node) state() adapter.State { return n.health.Status().State }

func (n *node) becomes(t testing.TB, s adapter.State) {
	t.Helper()
	eventually(t, "state "+s.String(), func() bool { return n.state() == s })
}
