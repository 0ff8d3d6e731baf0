//go:build integration

package deploy

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/emitter"
)

// Nodes with recovery are restarted one by one while numbered events are sent to everybody:
// each arrives at every client, once and in order.
func TestRolling_NothingIsLostOverStreams(t *testing.T) {
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			nodes := startNodes(t, "ROOMCAST_ADAPTER=streams", "ROOMCAST_RECOVERY=2m")
			l := openLedger(t, b.start(t, backendsOf(nodes), nil), nodes, 200)
			w := l.write(t)
			for i, n := range nodes {
				l.expect(t, w.pause(t)) // what was sent before, so that each client can say where it is
				w.resume()
				n.stop(t)
				n.start(t)
				awaitMembers(t, nodes)
				now := l.expect(t, w.pause(t))
				t.Logf("node %d was restarted: %+v", i+1, now)
				if now.Recovered == 0 {
					t.Error("nobody was on the node that was restarted")
				}
				w.resume()
			}
		})
	}
}

// ledger is a number of official clients behind a balancer, which are sent numbered events;
// see ledger.mjs.
type ledger struct {
	*script
	size  int
	redis string
}

// entries is what the clients have of the events.
type entries struct {
	Complete, Missed, Repeated, Recovered, Afresh int
	Examples                                      []struct{ Missed, Repeated []int }
}

// openLedger connects the clients.
func openLedger(t *testing.T, url string, nodes []*node, size int) *ledger {
	t.Helper()
	l := &ledger{script: startScript(t, nil, "ledger.mjs", url, strconv.Itoa(size)), size: size, redis: nodes[0].redis}
	var connected struct{ Connected int }
	l.next(t, &connected)
	return l
}

// expect waits until all clients have the event of that number, and checks that they have
// all of them.
func (l *ledger) expect(t *testing.T, number int) (now entries) {
	t.Helper()
	l.ask(t, fmt.Sprintf("until %d", number), &now)
	if now.Complete != l.size || now.Afresh != 0 {
		t.Errorf("with %d events got %+v, want %d clients that have them all in order, and none that began afresh", number, now, l.size)
	}
	return now
}

// writer sends the events, from outside of the cluster, which no restart concerns.
type writer struct {
	sync.Mutex // held while it writes, or is paused
	number     int
	err        error
}

// writeEvery is the time between two events.
const writeEvery = 20 * time.Millisecond

// write begins to send events, until the test ends.
func (l *ledger) write(t *testing.T) *writer {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: l.redis})
	bus, err := redis.NewStreams(client, redis.StreamsOptions{Options: redis.Options{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := emitter.New(bus, emitter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{}
	ctx, end := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	writing.Go(func() {
		tick := time.NewTicker(writeEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.next(ctx, e)
			}
		}
	})
	t.Cleanup(func() {
		end()
		writing.Wait()
		closing, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Close(closing); err != nil {
			t.Errorf("emitter: %v", err)
		}
		if err := client.Close(); err != nil {
			t.Errorf("client: %v", err)
		}
	})
	return w
}

func (w *writer) next(ctx context.Context, e *emitter.Emitter) {
	w.Lock()
	defer w.Unlock()
	if w.err == nil {
		w.number++
		w.err = e.Emit(ctx, "entry", w.number)
	}
}

// pause stops sending, and returns the number of the last event.
func (w *writer) pause(t *testing.T) int {
	t.Helper()
	w.Lock()
	if w.err != nil {
		t.Errorf("event %d: %v", w.number, w.err)
	}
	return w.number
}

func (w *writer) resume() { w.Unlock() }
