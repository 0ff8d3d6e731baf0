package bus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var errTest = errors.New("gone")

// events collects what a Health tells.
type events struct{ list []adapter.Event }

func (e *events) put(one adapter.Event) { e.list = append(e.list, one) }

// words says what happened, in short.
func (e *events) words() string {
	var words []string
	for _, one := range e.list {
		word := one.Status.State.String()
		if one.Gap != nil {
			word = "gap"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func quietHealth() *Health { return NewHealth(slog.New(slog.DiscardHandler)) }

func TestHealth_IsThatOfAllParts(t *testing.T) {
	h := quietHealth()
	check := func(when string, want adapter.State, degraded bool) {
		t.Helper()
		_, err := h.Check()
		if got := h.Status().State; got != want || (err == nil) != (want == adapter.Up) || errors.Is(err, adapter.ErrDegraded) != degraded {
			t.Errorf("%s: got %v, %v", when, got, err)
		}
	}
	check("without parts", adapter.Degraded, false)
	a, b := h.Part("a", nil), h.Part("b", nil)
	a.Recovered()
	check("one of two", adapter.Degraded, false)
	b.Recovered()
	check("both", adapter.Up, false)
	a.Lost(errTest)
	check("one lost", adapter.Degraded, true)
	if _, err := h.Check(); !errors.Is(err, errTest) {
		t.Errorf("the cause is not said: %v", err)
	}
	if _, err := b.check(); err != nil {
		t.Errorf("the other part: %v", err)
	}
	b.Lost(errTest)
	a.Remove()
	check("one removed, one lost", adapter.Degraded, true)
	b.Recovered()
	check("the other is back", adapter.Up, false)
	a.Lost(errTest)
	check("a removed part is lost", adapter.Up, false)
	b.Remove()
	check("without parts again", adapter.Degraded, false)
	if got := h.Status().Interruptions; got != 1 {
		t.Errorf("got %d interruptions, want 1", got)
	}
}

func TestHealth_ChangeWakesWhoWaits(t *testing.T) {
	h := quietHealth()
	changed, _ := h.Check()
	h.Part("a", nil).Recovered()
	select {
	case <-changed:
	default:
		t.Error("nobody was woken")
	}
}

func TestHealth_LogHasOneLinePerChange(t *testing.T) {
	var log bytes.Buffer
	p := NewHealth(slog.New(slog.NewTextHandler(&log, nil))).Part("server", nil)
	for range 3 {
		p.Recovered()
	}
	for range 3 {
		p.Lost(errTest)
	}
	p.Recovered()
	p.Gap(adapter.Gap{Topics: []string{"/b", "/a"}})
	for text, want := range map[string]int{"connected": 2, "connection lost": 1, "missed": 2, "/a": 1, "part=server": 3} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("%q is there %d times, want %d:\n%s", text, got, want, &log)
		}
	}
}

func TestWatch_EventsComeInOrderWithTheirStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, e := quietHealth(), &events{}
		defer h.Watch(e.put)()
		a, b := h.Part("a", nil), h.Part("b", nil)
		a.Recovered()
		b.Recovered()
		time.Sleep(time.Second)
		a.Lost(errTest)
		b.Lost(errTest)
		a.Recovered()
		b.Recovered()
		b.Gap(adapter.Gap{Topics: []string{"/b", "/a", "/b"}})
		synctest.Wait()
		if got := e.words(); got != "up degraded up gap" {
			t.Fatalf("got %s", got)
		}
		lost, gap := e.list[1], e.list[3]
		if !errors.Is(lost.Cause, errTest) || lost.Status.Interruptions != 1 || !lost.Status.Since.Equal(time.Now()) || e.list[2].Cause != nil {
			t.Errorf("the loss is %+v", lost)
		}
		if gap.Status.Gaps != 1 || !slices.Equal(gap.Gap.Topics, []string{"/a", "/b"}) {
			t.Errorf("the gap is %+v", gap)
		}
	})
}

func TestWatch_AnOutageOfSeveralPartsIsOneGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, e := quietHealth(), &events{}
		defer h.Watch(e.put)()
		a, b := h.Part("a", nil), h.Part("b", nil)
		a.Recovered()
		a.Lost(errTest) // before all were up
		a.Recovered()
		b.Recovered()
		a.Lost(errTest)
		b.Lost(errTest)
		start := time.Now()
		a.Gap(adapter.Gap{Topics: []string{"/x"}, From: start.Add(2), To: start.Add(3)})
		a.Recovered()
		b.Gap(adapter.Gap{Topics: []string{"/x", "/a"}, From: start.Add(1), To: start.Add(4)})
		b.Recovered()
		synctest.Wait()
		if got := e.words(); got != "degraded up degraded up gap" {
			t.Fatalf("got %s", got)
		}
		last := e.list[4]
		if !slices.Equal(last.Gap.Topics, []string{"/a", "/x"}) || !last.Gap.From.Equal(start.Add(1)) || !last.Gap.To.Equal(start.Add(4)) || last.Status.Gaps != 1 {
			t.Errorf("got %+v of %d", last.Gap, last.Status.Gaps)
		}
		if last.Status.Interruptions != 2 {
			t.Errorf("got %d interruptions, want 2", last.Status.Interruptions)
		}
	})
}

// An outage may be noticed by one part when another has it behind it.
func TestWatch_AnOutageThatIsNoticedLateIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, e := quietHealth(), &events{}
		defer h.Watch(e.put)()
		a, b, c := h.Part("a", nil), h.Part("b", nil), h.Part("c", nil)
		asked := 0
		b.prove = func() { asked++ }
		a.Recovered()
		b.Recovered()
		c.Recovered() // cannot be asked
		for round := range uint64(2) {
			a.Lost(errTest)
			a.Gap(adapter.Gap{Topics: []string{"/a"}})
			a.Recovered()
			if _, err := b.check(); err != nil {
				t.Errorf("who is asked is lost already: %v", err)
			}
			if _, err := h.Check(); !errors.Is(err, errTest) || asked != int(round)+1 {
				t.Errorf("the outage is over, with %d asked: %v", asked, err)
			}
			if round == 0 {
				b.Lost(errTest)
				b.Gap(adapter.Gap{Topics: []string{"/b"}})
			}
			b.Recovered()
			synctest.Wait()
			last := e.list[len(e.list)-1]
			if s := last.Status; last.Gap == nil || s.Gaps != round+1 || s.Interruptions != round+1 || s.State != adapter.Up {
				t.Errorf("round %d ends with %+v", round, last)
			}
		}
		if got := e.words(); got != "up degraded up gap degraded up gap" || !slices.Equal(e.list[3].Gap.Topics, []string{"/a", "/b"}) {
			t.Errorf("got %s, the first gap of %v", got, e.list[3].Gap)
		}
	})
}

func TestWatch_NothingComesAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		open := make(chan struct{})
		calls, other := 0, &events{}
		stop := h.Watch(func(adapter.Event) { calls++; <-open })
		defer h.Watch(other.put)()
		p := h.Part("a", nil)
		p.Recovered()
		p.Lost(errTest)
		synctest.Wait()
		if got := other.words(); got != "up degraded" {
			t.Errorf("one who does not return holds others up: %q", got)
		}
		stopped := false
		go func() { stop(); stopped = true }()
		synctest.Wait()
		if stopped {
			t.Error("stop did not wait for the running call")
		}
		close(open)
		synctest.Wait()
		p.Recovered()
		synctest.Wait()
		if !stopped || calls != 1 {
			t.Errorf("stopped: %v, %d calls, want 1", stopped, calls)
		}
		stop()
	})
}

func TestWatch_ForgetsTheOldestOfTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, e := quietHealth(), &events{}
		open := make(chan struct{})
		defer h.Watch(func(one adapter.Event) { <-open; e.put(one) })()
		p := h.Part("a", nil)
		p.Recovered()
		synctest.Wait()
		for range maxEvents + 10 {
			p.Gap(adapter.Gap{})
		}
		close(open)
		synctest.Wait()
		if last := e.list[len(e.list)-1]; len(e.list) != maxEvents+1 || last.Status.Gaps != maxEvents+10 {
			t.Errorf("got %d events, the last with %d gaps", len(e.list), last.Status.Gaps)
		}
	})
}

func TestPart_CountsWhatALogTells(t *testing.T) {
	h := quietHealth()
	p := h.Part("stream", func() []string { return []string{"/"} })
	synctest.Test(t, func(t *testing.T) {
		e := &events{}
		defer h.Watch(e.put)()
		p.LogGap(adapter.Gap{Missed: 7})
		p.LogReset(adapter.Gap{})
		p.Repeated(3)
		p.Drop("expired", 2)
		p.Drop("no such word", 1)
		synctest.Wait()
		s := h.Status()
		if s.LogGaps != 1 || s.LogResets != 1 || s.Gaps != 0 || s.Repeated != 3 || fmt.Sprint(s.Dropped) != "map[expired:2 malformed:1]" {
			t.Errorf("got %+v", s)
		}
		if got := e.list[0].Gap; got.Missed != 7 || !slices.Equal(got.Topics, []string{"/"}) {
			t.Errorf("the gap is %+v", got)
		}
	})
}
