package redis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a Redis connection as the table sees it: it executes commands in order
// and confirms them later.
type wire struct {
	subscribed map[key]bool
	confirms   []key
}

func (w *wire) execute(c commands) {
	for _, command := range []struct {
		names           []string
		pattern, wanted bool
	}{
		{c.subscribe, false, true}, {c.psubscribe, true, true}, {c.unsubscribe, false, false}, {c.punsubscribe, true, false},
	} {
		for _, name := range command.names {
			k := key{name, command.pattern}
			w.subscribed[k] = command.wanted
			w.confirms = append(w.confirms, k)
		}
	}
}

// settle sends all that waits and confirms it.
func (w *wire) settle(t *subscriptions) {
	for more := true; more; {
		var c commands
		c, _, more = t.next(time.Now())
		w.execute(c)
	}
	for _, k := range w.confirms {
		t.confirm(k.name, k.pattern)
	}
	w.confirms = nil
}

func newWire() *wire { return &wire{subscribed: make(map[key]bool)} }

func TestSubscriptions_CommandsHaveAtMost512Names(t *testing.T) {
	table, l := newSubscriptions(time.Second), &link{}
	for i := range 1300 {
		table.add(fmt.Sprint(i), false, route{l, routeRoom})
	}
	var sizes []int
	for more := true; more; {
		var c commands
		c, _, more = table.next(time.Now())
		sizes = append(sizes, len(c.subscribe))
	}
	if !slices.Equal(sizes, []int{512, 512, 276}) {
		t.Errorf("got commands of %v names", sizes)
	}
}

func TestSubscriptions_AnOldConfirmationDoesNotCountForANewCommand(t *testing.T) {
	table, w, r := newSubscriptions(time.Second), newWire(), route{&link{}, routeRoom}
	send := func() {
		c, _, _ := table.next(time.Now())
		w.execute(c)
	}
	s := table.add("room", false, r)
	send()
	table.remove(s, r, false)
	send()
	s = table.add("room", false, r)
	send()
	if len(w.confirms) != 3 {
		t.Fatalf("sent %d commands, want 3", len(w.confirms))
	}
	for i, k := range w.confirms {
		if table.ready(s) == nil {
			t.Errorf("ready after %d of 3 confirmations", i)
		}
		table.confirm(k.name, k.pattern)
	}
	if table.ready(s) != nil {
		t.Error("not ready after the last confirmation")
	}
}

func TestSubscriptions_LingeringEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, w, r := newSubscriptions(2*time.Second), newWire(), route{&link{}, routeRoom}
		busy, quiet := table.add("busy", false, r), table.add("quiet", false, r)
		w.settle(table)
		table.remove(busy, r, true)
		time.Sleep(time.Second)
		table.remove(quiet, r, true)
		table.add("busy", false, r)
		table.remove(busy, r, true)
		time.Sleep(2*time.Second - time.Millisecond)
		w.settle(table)
		if !w.subscribed[key{"busy", false}] || !w.subscribed[key{"quiet", false}] {
			t.Errorf("a millisecond early: %v", w.subscribed)
		}
		time.Sleep(time.Millisecond)
		w.settle(table)
		if w.subscribed[key{"busy", false}] || w.subscribed[key{"quiet", false}] || len(table.entries) != 0 {
			t.Errorf("in time: %v, %d entries", w.subscribed, len(table.entries))
		}
	})
}

// TestSubscriptions_AgainstAModel applies random operations and compares what is
// subscribed with what is wanted, over reconnects.
func TestSubscriptions_AgainstAModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		table, w := newSubscriptions(2*time.Second), newWire()
		links := []*link{{}, {}}
		type wish struct {
			key
			link int
		}
		wishes := map[wish]*subscription{}
		for range 3000 {
			k := wish{key{string(rune('a' + random.IntN(6))), random.IntN(4) == 0}, random.IntN(2)}
			r := route{links[k.link], routeRoom}
			switch s := wishes[k]; {
			case s == nil:
				wishes[k] = table.add(k.name, k.pattern, r)
			default:
				table.remove(s, r, random.IntN(2) == 0)
				delete(wishes, k)
			}
			switch random.IntN(20) {
			case 0: // a new connection
				w = newWire()
				table.restart()
			case 1, 2, 3:
				c, _, _ := table.next(time.Now())
				w.execute(c)
			case 4, 5, 6:
				if len(w.confirms) > 0 {
					table.confirm(w.confirms[0].name, w.confirms[0].pattern)
					w.confirms = w.confirms[1:]
				}
			case 7:
				time.Sleep(time.Second)
			}
			for k, s := range wishes {
				if table.ready(s) == nil && !w.subscribed[k.key] {
					t.Fatalf("%v is said to be ready and is not subscribed", k)
				}
			}
		}
		w.settle(table)
		time.Sleep(3 * time.Second)
		w.settle(table)
		wanted := map[key]bool{}
		for k := range wishes {
			if !w.subscribed[k.key] {
				t.Errorf("%v is wanted and not subscribed", k)
			}
			wanted[k.key] = true
		}
		for k, on := range w.subscribed {
			if on && !wanted[k] {
				t.Errorf("%v is subscribed and not wanted", k)
			}
		}
		if !table.whole() || len(table.entries) != len(wanted) {
			t.Errorf("whole: %v, %d entries for %d names", table.whole(), len(table.entries), len(wanted))
		}
	})
}

func TestSubscriptions_EntryOfThatNameOutlivesItsPredecessor(t *testing.T) {
	table, w, r := newSubscriptions(time.Second), newWire(), route{&link{}, routeRoom}
	w.settle(table)
	s := table.add("room", false, r)
	w.settle(table)
	table.remove(s, r, false)
	c, _, _ := table.next(time.Now())
	w.execute(c)
	s = table.add("room", false, r)
	table.remove(s, r, false) // before its command was sent
	table.confirm("room", false)
	s = table.add("room", false, r)
	w.confirms = nil
	w.settle(table)
	if table.ready(s) != nil || len(table.lookup("room", false)) != 1 {
		t.Errorf("the room is lost: %v, routes %v", w.subscribed, table.lookup("room", false))
	}
}
