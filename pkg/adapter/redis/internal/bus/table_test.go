package bus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
	confirms   []confirmation
}

// confirmation is the answer to one name of a command.
type confirmation struct{ kind, name string }

func (w *wire) execute(list []command) {
	for _, next := range list {
		for _, name := range next.names {
			c := Channel{name, strings.HasPrefix(next.kind, "p")}
			w.subscribed[c] = !strings.HasSuffix(next.kind, "unsubscribe")
			w.confirms = append(w.confirms, confirmation{next.kind, name})
		}
	}
}

// answer confirms the oldest name.
func (w *wire) answer(t *table) {
	t.confirm(w.confirms[0].kind, w.confirms[0].name)
	w.confirms = w.confirms[1:]
}

// settle sends all that waits and confirms it.
func (w *wire) settle(t *table) {
	for more := true; more; {
		var list []command
		list, _, more = t.next(time.Now())
		w.execute(list)
	}
	for len(w.confirms) > 0 {
		w.answer(t)
	}
}

// newTestTable returns a table with a probe, of which Redis knows.
func newTestTable(t *testing.T, linger time.Duration, c Config) (*table, *wire) {
	t.Helper()
	c.Timing.Linger = linger
	table, w := newTable(c), newWire()
	table.setProbe("probe", Route{To: &deaf{}})
	w.restart(table, time.Time{})
	w.settle(table)
	return table, w
}

// restart begins another connection.
func (w *wire) restart(t *table, proven time.Time) {
	*w = *newWire()
	w.execute([]command{t.restart(proven)})
}

func newWire() *wire { return &wire{subscribed: make(map[Channel]bool)} }

func TestSubscriptions_CommandsHaveAtMost512Names(t *testing.T) {
	table, _ := newTestTable(t, time.Second, Config{})
	l := &deaf{}
	for i := range 1300 {
		table.add(Channel{Name: fmt.Sprint(i)}, Route{To: l})
	}
	var sizes []int
	for more := true; more; {
		var list []command
		list, _, more = table.next(time.Now())
		sizes = append(sizes, len(list[0].names))
	}
	if !slices.Equal(sizes, []int{512, 512, 276}) {
		t.Errorf("got commands of %v names", sizes)
	}
}

func TestSubscriptions_AnOldConfirmationDoesNotCountForANewCommand(t *testing.T) {
	table, w := newTestTable(t, time.Second, Config{})
	r := Route{To: &deaf{}}
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
	for i := range 3 {
		if table.ready(room) == nil {
			t.Errorf("ready after %d of 3 confirmations", i)
		}
		w.answer(table)
	}
	if table.ready(room) != nil {
		t.Error("not ready after the last confirmation")
	}
}

func TestSubscriptions_LingeringEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, w := newTestTable(t, 2*time.Second, Config{})
		r := Route{To: &deaf{}}
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
		if w.subscribed[busy] || w.subscribed[quiet] || len(table.entries) != 1 {
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
		table, w := newTestTable(t, 2*time.Second, Config{})
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
				w.restart(table, time.Time{})
			case 1, 2, 3:
				c, _, _ := table.next(time.Now())
				w.execute(c)
			case 4, 5, 6:
				if len(w.confirms) > 0 {
					w.answer(table)
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
		wanted := map[Channel]bool{table.probe: true}
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
	table, w := newTestTable(t, time.Second, Config{})
	r := Route{To: &deaf{}}
	table.add(room, r)
	w.settle(table)
	table.remove(room, r, false)
	c, _, _ := table.next(time.Now())
	w.execute(c)
	table.add(room, r)
	table.remove(room, r, false) // before its command was sent
	w.answer(table)
	table.add(room, r)
	w.settle(table)
	if table.ready(room) != nil || len(table.lookup(room)) != 1 {
		t.Errorf("the room is lost: %v, routes %v", w.subscribed, table.lookup(room))
	}
}
