package adaptertest

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var watchChecks = []check{
	{"Watch_Outage", "who watches hears that the backend was lost, with the cause, and that it is back, with the gap: its topics and its time", watchOutage},
	{"Watch_OneAtATime", "events come one at a time and in order", watchOneAtATime},
	{"Watch_StopWaits", "stop waits for a running call, and none begins after it has returned", watchStopWaits},
}

// watched is a node that has joined a topic and can lose its backend.
type watched struct {
	*member
	watcher    adapter.Watcher
	lose, heal func()
}

// watched joins such a node, or skips the check.
func (tr *trial) watched() *watched {
	tr.Helper()
	if tr.config.Lose == nil {
		tr.Skip("Config.Lose is not set: the backend cannot be taken away")
	}
	a, lose, heal := tr.config.Lose(tr.TB)
	watcher, ok := a.(adapter.Watcher)
	if !ok {
		tr.Skip("the adapter does not implement adapter.Watcher: nobody hears of its events")
	}
	return &watched{member: tr.nodeOn(a).join(tr.topic()), watcher: watcher, lose: lose, heal: heal}
}

// watch returns where the events arrive.
func (w *watched) watch() <-chan adapter.Event {
	events := make(chan adapter.Event, 100) // more than a check causes
	w.Cleanup(w.watcher.Watch(func(e adapter.Event) { events <- e }))
	return events
}

// upTo returns the events up to the first one that end is true for.
func (w *watched) upTo(events <-chan adapter.Event, what string, end func(adapter.Event) bool) []adapter.Event {
	w.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var got []adapter.Event
	for {
		select {
		case e := <-events:
			if got = append(got, e); end(e) {
				return got
			}
		case <-timer.C:
			w.Fatalf("no event that says %s within %v, but %+v", what, patience, got)
		}
	}
}

func isDegraded(e adapter.Event) bool { return e.Status.State == adapter.Degraded }
func isUp(e adapter.Event) bool       { return e.Status.State == adapter.Up }
func hasGap(e adapter.Event) bool     { return e.Gap != nil }

func watchOutage(tr *trial) {
	w := tr.watched()
	events := w.watch()
	for round := range uint64(2) {
		w.lose()
		lost := w.upTo(events, "degraded", isDegraded)
		if e := lost[len(lost)-1]; e.Cause == nil || e.Status.Interruptions != round+1 {
			tr.Errorf("the backend was lost because of %v for the %d. time, want a cause and %d", e.Cause, e.Status.Interruptions, round+1)
		}
		away := time.Now()
		w.heal()
		back := w.upTo(events, "what may have been missed", hasGap)
		if !slices.ContainsFunc(back, isUp) {
			w.upTo(events, "up", isUp)
		}
		e := back[len(back)-1]
		if !slices.Equal(e.Gap.Topics, []string{w.topic}) || e.Status.Gaps != round+1 {
			tr.Errorf("gap %d has topics %q, want gap %d of %q", e.Status.Gaps, e.Gap.Topics, round+1, w.topic)
		}
		if e.Gap.From.After(away) || e.Gap.To.Before(away) || e.Gap.To.After(time.Now()) {
			tr.Errorf("the gap is from %v to %v, and the backend was away at %v", e.Gap.From, e.Gap.To, away)
		}
	}
}

func watchOneAtATime(tr *trial) {
	w := tr.watched()
	g := newGate()
	var running, overlaps atomic.Int32
	events := make(chan adapter.Event, 100)
	stop := w.watcher.Watch(func(e adapter.Event) {
		if running.Add(1) > 1 {
			overlaps.Add(1)
		}
		defer running.Add(-1)
		events <- e
		g.enter()
		<-g.opened
	})
	tr.Cleanup(func() {
		g.open()
		stop()
	})
	w.lose()
	w.upTo(events, "degraded", isDegraded)
	w.heal()
	w.awaitUp()
	g.open()
	w.upTo(events, "up", isUp)
	if n := overlaps.Load(); n > 0 {
		tr.Errorf("%d calls began while another one ran", n)
	}
}

// awaitUp waits until the adapter says that its backend is back, and a moment more.
func (w *watched) awaitUp() {
	if reporter, ok := w.adapter.(adapter.Reporter); ok {
		w.awaitState(reporter, adapter.Up)
	}
	<-time.NewTimer(moment).C
}

func watchStopWaits(tr *trial) {
	w := tr.watched()
	g := newGate()
	var calls atomic.Int32
	stop := w.watcher.Watch(func(adapter.Event) {
		calls.Add(1)
		g.enter()
		<-g.opened
	})
	tr.Cleanup(g.open)
	w.lose()
	select {
	case <-g.entered:
	case <-time.NewTimer(patience).C:
		tr.Fatalf("no event within %v of the backend's loss", patience)
	}
	stopped := tr.start(func() error { stop(); return nil })
	if tr.await(stopped, moment) == nil {
		tr.Error("stop returned while a call was running")
		return
	}
	g.open()
	tr.must("stop", tr.await(stopped, patience))
	before, events := calls.Load(), w.watch()
	w.heal()
	w.upTo(events, "up", isUp)
	if got := calls.Load(); got != before {
		tr.Errorf("%d calls began after stop had returned", got-before)
	}
}
