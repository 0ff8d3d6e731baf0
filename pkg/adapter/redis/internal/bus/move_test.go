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

var sharded = Config{Sharded: true}

func TestTable_CommandsAreForOneSlotInACluster(t *testing.T) {
	table, _ := newTestTable(t, time.Second, sharded)
	table.slotted = true
	r := Route{To: &deaf{}}
	for _, name := range []string{"{a}1", "{b}1", "{a}2", "{b}2", "{a}3"} {
		table.add(Channel{Name: name}, r)
	}
	list, _, _ := table.next(time.Now())
	if got := fmt.Sprint(list); got != "[{ssubscribe [{a}1 {a}2 {a}3]} {ssubscribe [{b}1 {b}2]}]" {
		t.Errorf("got %s", got)
	}
}

func TestTable_EndedSubscriptionWaitsForRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, w := newTestTable(t, time.Second, sharded)
		table.add(room, Route{To: &deaf{}})
		w.settle(table)
		table.healed()
		if !table.confirm("sunsubscribe", "room") || table.whole() || table.ready(room) == nil {
			t.Error("the end of a subscription was not noticed")
		}
		if table.confirm("sunsubscribe", "room") || table.confirm("sunsubscribe", "unknown") {
			t.Error("the end of nothing was noticed")
		}
		ended := time.Now()
		time.Sleep(time.Second)
		if list, _, _ := table.next(time.Now()); len(list) > 0 {
			t.Errorf("it was subscribed again at once: %v", list)
		}
		table.retry()
		w.settle(table)
		topics, since := table.healed()
		if !table.whole() || table.ready(room) != nil || !slices.Equal(topics, []string{"/"}) || !since.Equal(ended) {
			t.Errorf("whole: %v, missed since %v by %v", table.whole(), since, topics)
		}
		if topics, _ := table.healed(); topics != nil {
			t.Error("a gap was told twice")
		}
	})
}

func TestTable_RefusedCommandConcernsItsNamesOnly(t *testing.T) {
	table, _ := newTestTable(t, time.Second, sharded)
	table.slotted = true
	r := Route{To: &deaf{}}
	first, second := Channel{Name: "{a}1"}, Channel{Name: "{b}1"}
	table.add(first, r)
	table.add(second, r)
	table.next(time.Now())
	if !table.refuse() {
		t.Error("a refused subscription does not ask for the topology")
	}
	if table.confirm("ssubscribe", second.Name); table.ready(second) != nil || table.ready(first) == nil {
		t.Error("the refusal was taken for the other command's")
	}
	if table.refuse() {
		t.Error("there was nothing to refuse")
	}
}

func TestTable_WhatMovesKeepsItsRoutesAndWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, w := newTestTable(t, time.Second, sharded)
		to, w2 := newTestTable(t, time.Second, sharded)
		r := Route{To: &deaf{}, Kind: 7}
		waited := Channel{Name: "waited for"}
		from.add(room, r)
		w.settle(from)
		from.add(waited, r)
		ready := from.ready(waited)
		seen := time.Now()
		time.Sleep(time.Second)
		moves := from.leave(seen, false, func(string) bool { return false })
		for _, m := range moves {
			to.adopt(m)
		}
		select {
		case <-ready:
		default:
			t.Error("who waits is not told to look again")
		}
		if len(moves) != 2 || to.ready(waited) == nil || to.whole() {
			t.Errorf("moved %v", moves)
		}
		if got := from.lookup(room); len(got) != 1 || got[0].Kind != 7 {
			t.Errorf("what is under way does not count: %v", got)
		}
		w.settle(from)
		if from.lookup(room) != nil || w.subscribed[room] || len(from.entries) != 1 || !from.whole() {
			t.Errorf("left behind: %v, %d entries", from.lookup(room), len(from.entries))
		}
		w2.settle(to)
		topics, since := to.healed()
		if !to.whole() || to.ready(waited) != nil || len(topics) != 1 || !since.Equal(seen) {
			t.Errorf("missed since %v by %v", since, topics)
		}
	})
}

func TestTable_WhatLeavesALaneThatEndsCountsNoMore(t *testing.T) {
	from, w := newTestTable(t, time.Second, sharded)
	from.add(room, Route{To: &deaf{}})
	w.settle(from)
	from.leave(time.Time{}, true, func(string) bool { return false })
	if got := from.lookup(room); got != nil {
		t.Errorf("got %v", got)
	}
}

// clusterWire is a server of a cluster: what it does not own it refuses, and it ends
// subscriptions to what it has lost.
type clusterWire struct {
	owns       bool
	subscribed map[string]bool
	answers    []confirmation // a refusal has no kind
}

func (w *clusterWire) execute(list []command) {
	for _, next := range list {
		if !w.owns {
			w.answers = append(w.answers, confirmation{})
			continue
		}
		for _, name := range next.names {
			w.subscribed[name] = next.kind == "ssubscribe"
			w.answers = append(w.answers, confirmation{next.kind, name})
		}
	}
}

func (w *clusterWire) lose() {
	w.owns = false
	for name, on := range w.subscribed {
		if on {
			w.answers = append(w.answers, confirmation{"sunsubscribe", name})
		}
	}
	clear(w.subscribed)
}

func (w *clusterWire) answer(t *table) {
	if first := w.answers[0]; first.kind == "" {
		t.refuse()
	} else {
		t.confirm(first.kind, first.name)
	}
	w.answers = w.answers[1:]
}

func (w *clusterWire) settle(t *table) {
	for range 3 {
		t.retry()
		for more := true; more; {
			var list []command
			list, _, more = t.next(time.Now())
			w.execute(list)
		}
		for len(w.answers) > 0 {
			w.answer(t)
		}
	}
}

// TestTable_AgainstAClusterThatLosesItsSlots applies random operations while the server
// loses and regains what it owns: in the end, what is wanted is subscribed.
func TestTable_AgainstAClusterThatLosesItsSlots(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	table, _ := newTestTable(t, 0, sharded)
	w := &clusterWire{owns: true, subscribed: map[string]bool{"probe": true}}
	r := Route{To: &deaf{}}
	wanted := map[string]bool{"probe": true}
	for range 3000 {
		name := strings.Repeat("x", 1+random.IntN(6))
		switch random.IntN(12) {
		case 0, 1, 2:
			if wanted[name] {
				table.remove(Channel{Name: name}, r, random.IntN(2) == 0)
				delete(wanted, name)
			} else {
				table.add(Channel{Name: name}, r)
				wanted[name] = true
			}
		case 3, 4, 5:
			list, _, _ := table.next(time.Now())
			w.execute(list)
		case 6, 7, 8, 9:
			if len(w.answers) > 0 {
				w.answer(table)
			}
		case 10:
			if w.owns && random.IntN(4) == 0 {
				w.lose()
			} else {
				w.owns = true
			}
		case 11:
			table.retry()
		}
	}
	w.owns = true
	w.settle(table)
	for name := range wanted {
		if !w.subscribed[name] || table.ready(Channel{Name: name}) != nil {
			t.Errorf("%s is wanted: subscribed %v", name, w.subscribed[name])
		}
	}
	for name, on := range w.subscribed {
		if on && !wanted[name] {
			t.Errorf("%s is subscribed and not wanted", name)
		}
	}
	if !table.whole() || len(table.entries) != len(wanted) || len(table.sent) > 0 {
		t.Errorf("whole: %v, %d entries for %d names, %d commands unanswered", table.whole(), len(table.entries), len(wanted), len(table.sent))
	}
}
