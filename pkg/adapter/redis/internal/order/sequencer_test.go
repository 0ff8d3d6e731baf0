package order

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const (
	patience     = time.Second
	introduction = 50 * time.Millisecond
)

// fixture is a sequencer with what it has passed on.
type fixture struct {
	Sequencer[string]
	now time.Time
	got []string
}

func newFixture() *fixture {
	f := &fixture{now: time.Unix(1000, 0)}
	f.Patience, f.Introduction = patience, introduction
	f.Deliver = func(text string) { f.got = append(f.got, text) }
	return f
}

func (f *fixture) entry(sender string, number uint64) {
	f.Entry(Message[string]{Sender: sender, Number: number, Value: fmt.Sprint(sender, number)}, f.now)
}

func (f *fixture) call(sender string, number uint64) {
	f.Call(Message[string]{Sender: sender, Number: number, Value: fmt.Sprint(sender, number)}, f.now)
}

func (f *fixture) aside(sender string, number uint64) {
	f.Call(Message[string]{Sender: sender, Number: number, Aside: true, Value: fmt.Sprint(sender, "+", number)}, f.now)
}

// pass lets time pass, and says after how much more to look again.
func (f *fixture) pass(d time.Duration) time.Duration {
	f.now = f.now.Add(d)
	again := f.Expire(f.now, false)
	if again.IsZero() {
		return 0
	}
	return again.Sub(f.now)
}

func (f *fixture) want(t *testing.T, texts ...string) {
	t.Helper()
	if !slices.Equal(f.got, texts) {
		t.Errorf("got %v, want %v", f.got, texts)
	}
	f.got = nil
}

func TestSequencer_CallWaitsForTheEntryBeforeIt(t *testing.T) {
	f := newFixture()
	f.call("a", 2)
	f.want(t)
	f.entry("a", 1)
	f.want(t, "a1", "a2")
	f.call("a", 4)
	f.call("a", 5)
	f.entry("a", 3)
	f.want(t, "a3", "a4", "a5")
}

func TestSequencer_EntryWaitsForTheCallBeforeIt(t *testing.T) {
	f := newFixture()
	f.entry("a", 1)
	f.entry("a", 3)
	f.want(t, "a1")
	f.call("a", 2)
	f.want(t, "a2", "a3")
}

func TestSequencer_StreamKeepsItsOrderBehindAHeldEntry(t *testing.T) {
	f := newFixture()
	f.entry("a", 1)
	f.entry("a", 3)
	f.entry("b", 1)
	f.want(t, "a1")
	f.call("c", 1) // of another sender: nothing keeps it
	f.want(t, "c1")
	f.call("a", 2)
	f.want(t, "a2", "a3", "b1")
}

func TestSequencer_LostCallHoldsOnceAndNoLongerThanPatience(t *testing.T) {
	f := newFixture()
	f.entry("a", 1)
	f.entry("a", 3)
	if again := f.pass(patience / 2); again != patience/2 {
		t.Errorf("looks again after %v, want %v", again, patience/2)
	}
	f.entry("a", 5)
	f.want(t, "a1")
	f.pass(patience / 2)
	f.want(t, "a3")
	f.pass(patience / 2)
	f.want(t, "a5")
	f.call("a", 4) // it was late
	f.entry("a", 6)
	f.want(t, "a4", "a6")
	if again := f.pass(0); again != 0 {
		t.Errorf("nothing is held, but it looks again after %v", again)
	}
}

func TestSequencer_CallsBeforeAnEntryThatIsGivenUpGoFirst(t *testing.T) {
	f := newFixture()
	f.entry("a", 1)
	f.call("a", 3)
	f.entry("a", 4)
	f.want(t, "a1")
	f.pass(patience)
	f.want(t, "a3", "a4")
}

func TestSequencer_StrangersFirstMessageIsHeldAMoment(t *testing.T) {
	f := newFixture()
	f.entry("b", 9)
	f.pass(introduction)
	f.want(t, "b9")
	f.call("a", 17)
	if again := f.pass(0); again != introduction {
		t.Errorf("looks again after %v, want %v", again, introduction)
	}
	f.pass(introduction)
	f.want(t, "a17")
	f.call("a", 18)
	f.want(t, "a18")
}

func TestSequencer_WhoIsMetIsWaitedForWithPatience(t *testing.T) {
	f := newFixture()
	f.Meet("a")
	f.call("a", 2)
	f.pass(introduction)
	f.want(t)
	f.entry("a", 1)
	f.want(t, "a1", "a2")
}

func TestSequencer_StrangersEarlierEntryGoesBeforeItsCall(t *testing.T) {
	f := newFixture()
	f.call("a", 17)
	f.entry("a", 16)
	f.pass(introduction)
	f.want(t, "a16", "a17")
}

func TestSequencer_CallWaitsForItsEntryHoweverLongThatIsHeld(t *testing.T) {
	f := newFixture()
	f.entry("b", 1)
	f.call("a", 1)
	f.call("a", 3) // before the entry that it follows
	f.pass(patience / 2)
	f.entry("b", 3) // holds the stream up
	f.entry("a", 2)
	f.want(t, "b1", "a1")
	f.pass(patience / 2)
	f.want(t)
	f.pass(patience / 2)
	f.want(t, "b3", "a2", "a3")
}

func TestSequencer_AsideComesBehindItsNumberAndTakesNone(t *testing.T) {
	f := newFixture()
	f.entry("a", 1)
	f.aside("a", 2)
	f.want(t, "a1")
	f.call("a", 2)
	f.entry("a", 3)
	f.want(t, "a2", "a+2", "a3")
}

func TestSequencer_WithoutNumberIsNotHeld(t *testing.T) {
	f := newFixture()
	f.entry("n", 0)
	f.call("n", 0)
	f.entry("n", 0)
	f.want(t, "n0", "n0", "n0")
}

func TestSequencer_InAHurryNothingWaits(t *testing.T) {
	f := newFixture()
	f.entry("a", 1)
	f.entry("a", 3)
	f.call("b", 9)
	if again := f.Expire(f.now, true); !again.IsZero() {
		t.Errorf("still holds something")
	}
	f.want(t, "a1", "a3", "b9")
}

func TestSequencer_HoldsNoMoreThanItsLimits(t *testing.T) {
	f := newFixture()
	f.entry("a", 1)
	f.entry("a", 3)
	for range maxEntries { // one more than there is room for
		f.entry("b", 0)
	}
	if len(f.got) != maxEntries+2 || len(f.entries) != 0 {
		t.Errorf("passed on %d entries and holds %d", len(f.got), len(f.entries))
	}
	f.call("c", 1)
	for n := range uint64(maxCalls) + 1 {
		f.call("c", 3+2*n) // each misses one
	}
	if f.held > maxCalls {
		t.Errorf("holds %d calls", f.held)
	}
	for n := range 3 * maxSenders {
		f.entry(fmt.Sprint("s", n), 1)
	}
	if len(f.senders) > maxSenders {
		t.Errorf("knows %d senders", len(f.senders))
	}
}

func TestSequencer_AnyInterleavingKeepsEachSendersOrder(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 1))
		f := newFixture()
		senders := []string{"a", "b", "c"}
		const each = 40
		var stream []Message[string]
		var calls [][]Message[string]
		for _, sender := range senders {
			var own []Message[string]
			for n := range uint64(each) {
				m := Message[string]{Sender: sender, Number: n + 1, Value: fmt.Sprint(sender, n+1)}
				if random.IntN(2) == 0 {
					own = append(own, m)
				} else {
					at := len(stream)
					stream = slices.Insert(stream, at, m)
				}
			}
			calls = append(calls, own)
		}
		stream = shuffled(random, stream)
		wanted := slices.Clone(stream)
		for len(stream) > 0 || slices.ContainsFunc(calls, func(c []Message[string]) bool { return len(c) > 0 }) {
			if i := random.IntN(len(calls) + 1); i == len(calls) {
				if len(stream) > 0 {
					f.Entry(stream[0], f.now)
					stream = stream[1:]
				}
			} else if len(calls[i]) > 0 {
				f.Call(calls[i][0], f.now)
				calls[i] = calls[i][1:]
			}
		}
		f.check(t, seed, each*len(senders), wanted)
	}
}

// shuffled mixes the senders and keeps each one's order.
func shuffled(random *rand.Rand, list []Message[string]) []Message[string] {
	queues := map[string][]Message[string]{}
	var names []string
	for _, m := range list {
		queues[m.Sender] = append(queues[m.Sender], m)
		names = append(names, m.Sender)
	}
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	mixed := list[:0:0]
	for _, name := range names {
		mixed = append(mixed, queues[name][0])
		queues[name] = queues[name][1:]
	}
	return mixed
}

// check says whether all were passed on, each sender's in order, and the stream's too.
func (f *fixture) check(t *testing.T, seed uint64, total int, stream []Message[string]) {
	t.Helper()
	if len(f.got) != total {
		t.Fatalf("seed %d: passed on %d of %d without time", seed, len(f.got), total)
	}
	last := map[byte]int{}
	for _, text := range f.got {
		var n int
		_, _ = fmt.Sscan(text[1:], &n)
		if n != last[text[0]]+1 {
			t.Fatalf("seed %d: %s came after %d", seed, text, last[text[0]])
		}
		last[text[0]] = n
	}
	at := 0
	for _, text := range f.got {
		if at < len(stream) && text == stream[at].Value {
			at++
		}
	}
	if at != len(stream) {
		t.Fatalf("seed %d: the stream's order was not kept", seed)
	}
}

func TestSequencer_CallWaitsForAStreamThatIsBehind(t *testing.T) {
	f := newFixture()
	f.entry("a", 1)
	f.call("a", 4)
	f.pass(patience - 1)
	f.entry("a", 2)
	f.want(t, "a1", "a2")
	if again := f.pass(patience - 1); again != 1 {
		t.Errorf("looks again after %v, want 1ns", again)
	}
	f.entry("b", 1) // another sender's say nothing about it
	f.want(t, "b1")
	f.pass(1)
	f.want(t, "a4")
	f.entry("a", 3)
	f.want(t, "a3")
}
