package bus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// deaf is a Receiver that hears nothing. It has a size, so that two are not one.
type deaf struct{ _ byte }

func (*deaf) Receive(Arrival) {}
func (*deaf) Topic() string   { return "/" }

var room = Channel{Name: "room"}

// wire is a Redis connection as the table sees it: it executes commands in order
// and confirms them later.
type wire struct {
	subscribed map[Channel]bool
	confirms   []Channel
}

func (w *wire) execute(c commands) {
	for _, command := range []struct {
		names           []string
		pattern, wanted bool
	}{
		{c.subscribe, false, true}, {c.psubscribe, true, true}, {c.unsubscribe, false, false}, {c.punsubscribe, true, false},
	} {
		for _, name := range command.names {
			k := Channel{name, command.pattern}
			w.subscribed[k] = command.wanted
			w.confirms = append(w.confirms, k)
		}
	}
}

// settle sends all that waits and confirms it.
func (w *wire) settle(t *table) {
	for more := true; more; {
		var c commands
		c, _, more = t.next(time.Now())
		w.execute(c)
	}
	for _, k := range w.confirms {
		t.confirm(k)
	}
	w.confirms = nil
}

func newWire() *wire { return &wire{subscribed: make(map[Channel]bool)} }

func TestSubscriptions_CommandsHaveAtMost512Names(t *testing.T) {
	table, l := newTable(time.Second), &deaf{}
	for i := range 1300 {
		table.add(Channel{Name: fmt.Sprint(i)}, Route{To: l})
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
	table, w, r := newTable(time.Second), newWire(), Route{To: &deaf{}}
	send := func() {
		c, _, _ := table.next(time.Now())
		w.execute(c)
	}
	table.add(room, r)
	send()
	table.remove(room, r, false)
	send()
	table.add(room, r)
	send()
	if len(w.confirms) != 3 {
		t.Fatalf("sent %d commands, want 3", len(w.confirms))
	}
	for i, k := range w.confirms {
		if table.ready(room) == nil {
			t.Errorf("ready after %d of 3 confirmations", i)
		}
		table.confirm(k)
	}
	if table.ready(room) != nil {
		t.Error("not ready after the last confirmation")
	}
}

func TestSubscriptions_LingeringEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, w, r := newTable(2*time.Second), newWire(), Route{To: &deaf{}}
		busy, quiet := Channel{Name: "busy"}, Channel{Name: "quiet"}
		table.add(busy, r)
		table.add(quiet, r)
		w.settle(table)
		table.remove(busy, r, true)
		time.Sleep(time.Second)
		table.remove(quiet, r, true)
		table.add(busy, r)
		table.remove(busy, r, true)
		time.Sleep(2*time.Second - time.Millisecond)
		w.settle(table)
		if !w.subscribed[busy] || !w.subscribed[quiet] {
			t.Errorf("a millisecond early: %v", w.subscribed)
		}
		time.Sleep(time.Millisecond)
		w.settle(table)
		if w.subscribed[busy] || w.subscribed[quiet] || len(table.entries) != 0 {
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
		table, w := newTable(2*time.Second), newWire()
		receivers := []*deaf{new(deaf), new(deaf)}
		type wish struct {
			Channel
			receiver int
		}
		wishes := map[wish]bool{}
		for range 3000 {
			k := wish{Channel{string(rune('a' + random.IntN(6))), random.IntN(4) == 0}, random.IntN(2)}
			r := Route{To: receivers[k.receiver]}
			if wishes[k] {
				table.remove(k.Channel, r, random.IntN(2) == 0)
				delete(wishes, k)
			} else {
				table.add(k.Channel, r)
				wishes[k] = true
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
					table.confirm(w.confirms[0])
					w.confirms = w.confirms[1:]
				}
			case 7:
				time.Sleep(time.Second)
			}
			for k := range wishes {
				if table.ready(k.Channel) == nil && !w.subscribed[k.Channel] {
					t.Fatalf("%v is said to be ready and is not subscribed", k)
				}
			}
		}
		w.settle(table)
		time.Sleep(3 * time.Second)
		w.settle(table)
		wanted := map[Channel]bool{}
		for k := range wishes {
			if !w.subscribed[k.Channel] {
				t.Errorf("%v is wanted and not subscribed", k)
			}
			wanted[k.Channel] = true
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
	table, w, r := newTable(time.Second), newWire(), Route{To: &deaf{}}
	w.settle(table)
	table.add(room, r)
	w.settle(table)
	table.remove(room, r, false)
	c, _, _ := table.next(time.Now())
	w.execute(c)
	table.add(room, r)
	table.remove(room, r, false) // before its command was sent
	table.confirm(room)
	table.add(room, r)
	w.confirms = nil
	w.settle(table)
	if table.ready(room) != nil || len(table.lookup(room)) != 1 {
		t.Errorf("the room is lost: %v, routes %v", w.subscribed, table.lookup(room))
	}
}
