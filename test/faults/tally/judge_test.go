package tally_test

import (
	"testing"
	"time"

	"github.com/roomcast/roomcast/test/faults/tally"
)

var start = time.Unix(1000, 0)

// at is a time of the tests, in seconds after their start.
func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// sent are messages of one sender, one a second, to everybody.
func sent(sender int, numbers ...int) []tally.Message {
	var all []tally.Message
	for _, n := range numbers {
		all = append(all, tally.Message{Sender: sender, Number: n, Selection: tally.Everybody, Sent: at(float64(n))})
	}
	return all
}

// client is the log of a client at node 1 that got these numbers of sender.
func client(sender int, numbers ...int) *tally.Log {
	l := &tally.Log{Room: tally.Everybody}
	l.Sit(tally.Sitting{Node: 1, From: start})
	for _, n := range numbers {
		l.Arrive(tally.Arrival{Sender: sender, Number: n, At: at(float64(n) + 0.1).UnixNano()})
	}
	return l
}

var always = tally.Rules{From: start, Until: at(100)}

func judge(t *testing.T, messages []tally.Message, l *tally.Log, rules tally.Rules, dead ...int) tally.Verdict {
	t.Helper()
	return *tally.Judge(messages, []*tally.Log{l}, rules, dead...)
}

func TestJudge_CountsByNumbers(t *testing.T) {
	for name, tt := range map[string]struct {
		got                          []int
		lost, duplicates, outOfOrder int
	}{
		"all":                {[]int{1, 2, 3}, 0, 0, 0},
		"one missing":        {[]int{1, 3}, 1, 0, 0},
		"one twice":          {[]int{1, 2, 2, 3}, 0, 1, 0},
		"one too late":       {[]int{2, 1, 3}, 0, 0, 1},
		"one twice and late": {[]int{1, 2, 3, 1}, 0, 1, 0},
		"nothing":            {nil, 3, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := judge(t, sent(2, 1, 2, 3), client(2, tt.got...), always)
			if v.Due != 3 || len(v.Misses) != tt.lost || v.Duplicates != tt.duplicates || v.Reordered != tt.outOfOrder {
				t.Errorf("got %+v, want %+v", v, tt)
			}
		})
	}
}

func TestJudge_CountsWhatWasDue(t *testing.T) {
	inRoom := func(room int) *tally.Log {
		l := &tally.Log{Room: room}
		l.Sit(tally.Sitting{Node: 1, From: start})
		return l
	}
	away := &tally.Log{Room: tally.Everybody}
	away.Sit(tally.Sitting{Node: 1, From: at(2)})
	away.Leave(at(4))
	recovering := &tally.Log{Room: tally.Everybody, Recovers: true}
	recovering.Sit(tally.Sitting{Node: 1, From: at(2)})
	recovering.Leave(at(4))
	recovering.Sit(tally.Sitting{Node: 3, From: at(6), Recovered: true})
	toRoom := []tally.Message{{Sender: 2, Number: 1, Selection: 5, Sent: at(1)}}
	numbers := []int{1, 2, 3, 4, 5, 6, 7}
	for name, tt := range map[string]struct {
		messages []tally.Message
		log      *tally.Log
		rules    tally.Rules
		due      int
	}{
		"a room's message to a member":          {toRoom, inRoom(5), always, 1},
		"to a member of another room":           {toRoom, inRoom(4), always, 0},
		"to nobody's room":                      {toRoom, inRoom(tally.Everybody), always, 0},
		"outside of the time that counts":       {sent(2, numbers...), inRoom(5), tally.Rules{From: at(2), Until: at(4)}, 2},
		"while connected":                       {sent(2, numbers...), away, always, 2},
		"but not in the last moments":           {sent(2, numbers...), away, tally.Rules{From: start, Until: at(100), Leeway: time.Second}, 1},
		"to who recovers since the first time":  {sent(2, numbers...), recovering, always, 6},
		"other nodes' where there is no bus":    {sent(2, numbers...), inRoom(5), tally.Rules{From: start, Until: at(100), LocalOnly: true}, 0},
		"the own node's where there is no bus":  {sent(1, numbers...), inRoom(5), tally.Rules{From: start, Until: at(100), LocalOnly: true}, 7},
		"a client that never came gets nothing": {sent(2, numbers...), &tally.Log{Recovers: true}, always, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if v := judge(t, tt.messages, tt.log, tt.rules); v.Due != tt.due || len(v.Misses) != tt.due {
				t.Errorf("got %d due, %d missed, want %d", v.Due, len(v.Misses), tt.due)
			}
		})
	}
}

func TestJudge_OrderMayBeThatOfASelection(t *testing.T) {
	messages := sent(2, 1, 2)
	messages[0].Selection = 7
	l := &tally.Log{Room: 7}
	l.Sit(tally.Sitting{Node: 1, From: start})
	l.Arrive(tally.Arrival{Sender: 2, Number: 2})
	l.Arrive(tally.Arrival{Sender: 2, Number: 1})
	if v := judge(t, messages, l, always); v.Reordered != 1 {
		t.Errorf("of one sender: %d out of order, want 1", v.Reordered)
	}
	rules := always
	rules.OrderPerSelection = true
	if v := judge(t, messages, l, rules); v.Reordered != 0 {
		t.Errorf("of two selections: %d out of order, want 0", v.Reordered)
	}
}

func TestJudge_WhatDiedWithItsSenderIsNotLost(t *testing.T) {
	hears, misses := client(2, 1), client(2)
	logs := []*tally.Log{hears, misses}
	v := tally.Judge(sent(2, 1, 2), logs, always, 2)
	if v.Unheard != 1 || len(v.Misses) != 1 || v.Misses[0].Message.Number != 1 {
		t.Errorf("got %+v, want that 2 was unheard, and that 1, which one client got, was lost by the other", v)
	}
	if v := tally.Judge(sent(2, 1, 2), logs, always); v.Unheard != 0 || len(v.Misses) != 3 {
		t.Errorf("of a living sender: got %+v, want three misses", v)
	}
}

func TestVerdict_TellsWhenAndWhereMessagesWereLost(t *testing.T) {
	messages := append(sent(1, 1, 2), sent(2, 3, 4)...)
	v := judge(t, messages, client(1), always)
	if got := v.LocalLost(); got != 2 {
		t.Errorf("local: %d, want 2", got)
	}
	if got := len(v.Lost(at(2), at(4))); got != 2 {
		t.Errorf("in two seconds: %d, want 2", got)
	}
	if got := v.LostOf(messages[1:3]); got != 2 {
		t.Errorf("of two messages: %d, want 2", got)
	}
	if got := v.LastMiss(); !got.Equal(at(4)) {
		t.Errorf("the last one: %v, want %v", got, at(4))
	}
	if got := (&tally.Verdict{}).LastMiss(); !got.IsZero() {
		t.Errorf("without misses: %v", got)
	}
}

func TestMeasure_SeparatesLocalFromRemote(t *testing.T) {
	messages := append(sent(1, 1, 2), sent(2, 1)...)
	l := client(1, 1, 2)
	l.Arrive(tally.Arrival{Sender: 2, Number: 1, At: at(1.5).UnixNano()})
	l.Arrive(tally.Arrival{Sender: 3, Number: 1, At: at(9).UnixNano()}) // which nobody accepted
	logs := []*tally.Log{l}
	for which, want := range map[tally.Which]tally.Latencies{
		tally.Local:  {100 * time.Millisecond, 100 * time.Millisecond},
		tally.Remote: {500 * time.Millisecond},
		tally.Both:   {100 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond},
	} {
		got := tally.Measure(messages, logs, which, start, at(100))
		if len(got) != len(want) || got.Quantile(0.99) != want[len(want)-1] || got.Quantile(0) != want[0] {
			t.Errorf("%v: got %v, want %v", which, got, want)
		}
	}
	if got := tally.Measure(messages, logs, tally.Both, at(2), at(3)); len(got) != 1 {
		t.Errorf("in a second: got %v, want one", got)
	}
	if got := (tally.Latencies)(nil).Quantile(0.5); got != 0 {
		t.Errorf("of none: got %v", got)
	}
}

func TestBack_IsWhenTheLastClientHearsOfOthersAgain(t *testing.T) {
	messages := append(sent(1, 6), sent(2, 4, 5, 7)...)
	early, late, never := client(2, 4, 5), client(2, 4, 7), client(1, 6)
	if got := tally.Back(messages, []*tally.Log{early, late}, at(4.5), at(20)); got != 2600*time.Millisecond {
		t.Errorf("got %v, want 2.6 s", got)
	}
	if got := tally.Back(messages, []*tally.Log{early, never}, at(4.5), at(20)); got != 15500*time.Millisecond {
		t.Errorf("with one that hears only its own node: got %v, want the end", got)
	}
}

func TestLedger_KeepsWhatWasAccepted(t *testing.T) {
	var l tally.Ledger
	l.Accept(sent(1, 1)[0])
	l.Refuse()
	got := l.Accepted()
	if len(got) != 1 || l.Refused() != 1 {
		t.Errorf("got %v accepted, %d refused", got, l.Refused())
	}
	got[0].Number = 9
	if l.Accepted()[0].Number != 1 {
		t.Error("what it gives out is its own")
	}
}
