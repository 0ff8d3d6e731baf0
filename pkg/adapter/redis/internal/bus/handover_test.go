package bus

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
)

// A demoted master passes what it takes on to its successor, which may be slow to read
// it. What is published at the successor itself must not overtake that, and what was
// heard from the one must not be heard again from the other.
func TestHandover_SlowSuccessorNeitherRepeatsNorReorders(t *testing.T) {
	t.Parallel()
	c := rediscluster.Start(t, "--enable-debug-command", "yes")
	a, b := member(t, c), member(t, c)
	names := channelNames(10)
	b.listen(t, names...)
	a.await(t)
	owner, err := c.Owner(t.Context(), slotOf(names[0]))
	if err != nil {
		t.Fatal(err)
	}
	stop := a.load(t, names)
	for range 2 {
		next, err := c.Failover(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		slow(t, next, func() bool {
			return a.lane(names[0]).part.name != owner && b.lane(names[0]).part.name != owner
		})
		a.await(t)
		b.await(t)
		owner = next
	}
	pause(t, 500*time.Millisecond)
	stop()
	for _, name := range names {
		a.say(t, name, "after")
		b.expect(t, name, "after")
		b.inOrder(t, name)
	}
}

// slow keeps the server at addr busy until done, and for a moment longer.
func slow(t *testing.T, addr string, done func() bool) {
	admin := plain(addr)
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for left := 10; left > 0; {
		if err := admin.Do(ctx, "debug", "sleep", "0.03").Err(); err != nil {
			t.Fatal(err)
		}
		if done() {
			left--
		}
	}
}

// started makes lanes look as if they had been started, and ended.
func started(lanes ...*lane) {
	for _, l := range lanes {
		l.cancel = func() {}
	}
}

func TestHandover_NothingIsSentOrCountsBeforeTheMarkIsBack(t *testing.T) {
	b, clients := idleBus(t, 2, everythingAt(0))
	old := b.laneNamed(t, "server0")
	r := &node{}
	b.Subscribe(room, Route{To: r})
	started(old)
	assign(b, clients, everythingAt(1))
	next := b.laneNamed(t, "server1")
	w := newWire()
	w.settle(next.table)
	enqueue(t, b, "room", "1")
	if early := next.publisher.take(); early != nil {
		t.Errorf("%s was sent", bodies(early))
	}
	if got := next.table.lookup(room); got != nil {
		t.Errorf("%v hear what may have been heard", got)
	}
	if next.table.whole() || next.table.ready(room) == nil {
		t.Error("nobody waits for the mark")
	}
	h := next.table.handovers[0]
	next.Receive(Arrival{Payload: "0.0"})
	next.Receive(Arrival{Payload: h.marks[0]})
	if got := next.table.lookup(room); len(got) != 1 || !next.table.whole() || next.table.ready(room) != nil {
		t.Errorf("after the mark %v hear, whole: %v", got, next.table.whole())
	}
	if !next.publisher.wait(t.Context()) || bodies(next.publisher.take()) != "1" {
		t.Errorf("sent %q, want 1", bodies(next.publisher.batch))
	}
}

// Between two masters, slots may be nobody's.
func TestHandover_IsFromWhoeverHadTheSlotsLast(t *testing.T) {
	b, clients := idleBus(t, 3, func(slot int) int { return slot % 2 })
	first, second := b.laneNamed(t, "server0"), b.laneNamed(t, "server1")
	started(first, second)
	assign(b, clients, func(slot int) int { return slot%2*3 - 1 }) // the first is gone, and the second's are the third's
	third := b.laneNamed(t, "server2")
	if len(third.table.handovers) != 1 || !slices.Equal(third.table.handovers[0].from, []*lane{second}) {
		t.Errorf("got %+v", third.table.handovers)
	}
	assign(b, clients, everythingAt(2))
	if list := third.table.handovers; len(list) != 2 || !slices.Equal(list[1].from, []*lane{first}) {
		t.Errorf("got %+v", list)
	}
	if len(b.topology.orphaned) > 0 {
		t.Error("all slots have a master, and one is waited for")
	}
}

// A slot that moves between two masters leaves nothing behind that could be late.
func TestHandover_OfASlotBetweenMastersIsNone(t *testing.T) {
	b, clients := idleBus(t, 2, func(slot int) int { return slot % 2 })
	started(b.laneNamed(t, "server0"), b.laneNamed(t, "server1"))
	assign(b, clients, func(slot int) int { return min(slot%3, 1) })
	for _, l := range b.outbox.present().lanes {
		if len(l.table.handovers) > 0 {
			t.Errorf("%s waits", l.part.name)
		}
	}
}

func TestHandover_DeadServerIsNotWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		dial  func() (net.Conn, error)
		limit time.Duration
	}{
		"refuses": {func() (net.Conn, error) { return nil, net.ErrClosed }, 0},
		"hangs": {func() (net.Conn, error) {
			ours, _ := net.Pipe()
			return ours, nil
		}, DefaultTiming().PublishAfter},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, clients := idleBus(t, 2, everythingAt(0))
				client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, Dialer: func(context.Context, string, string) (net.Conn, error) {
					return c.dial()
				}})
				defer client.Close()
				old := b.laneNamed(t, "server0")
				old.client = client
				started(old)
				assign(b, clients, everythingAt(1))
				next := b.laneNamed(t, "server1")
				newWire().settle(next.table)
				h := next.table.handovers[0]
				var running sync.WaitGroup
				begin := time.Now()
				h.start(t.Context(), &running)
				<-h.done
				if took := time.Since(begin); took > c.limit {
					t.Errorf("waited %v, want %v", took, c.limit)
				}
				running.Wait()
			})
		})
	}
}
