package tally

import (
	"slices"
	"time"
)

// Latencies are how long deliveries took, sorted.
type Latencies []time.Duration

// Quantile returns the duration that the share q of the deliveries did not pass;
// 0 without any.
func (l Latencies) Quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(int(q*float64(len(l))), len(l)-1)]
}

// Which says which deliveries are meant.
type Which int

// The deliveries.
const (
	Local  Which = iota // to clients of the sender
	Remote              // to clients of other nodes
	Both                // all
)

// Measure returns how long the deliveries of messages took that were sent in
// [from, until).
func Measure(messages []Message, logs []*Log, which Which, from, until time.Time) Latencies {
	sent := make(map[key]time.Time, len(messages))
	for _, m := range messages {
		if !m.Sent.Before(from) && m.Sent.Before(until) {
			sent[key{m.Sender, m.Number}] = m.Sent
		}
	}
	var found Latencies
	for _, l := range logs {
		sittings := l.Sittings()
		for _, a := range l.Arrivals() {
			at, ok := sent[key{a.Sender, a.Number}]
			if !ok {
				continue
			}
			s, _ := sittingAt(sittings, at, l.Recovers, 0)
			if which == Both || (which == Local) == (s.Node == a.Sender) {
				found = append(found, time.Duration(a.At-at.UnixNano()))
			}
		}
	}
	slices.Sort(found)
	return found
}

// Back returns how long after since each client had got a message of another node,
// sent after it: the longest of these times. A client that never has makes it
// reach until.
func Back(messages []Message, logs []*Log, since, until time.Time) time.Duration {
	sent := make(map[key]bool, len(messages))
	for _, m := range messages {
		if m.Sent.After(since) {
			sent[key{m.Sender, m.Number}] = true
		}
	}
	longest := time.Duration(0)
	for _, l := range logs {
		longest = max(longest, l.firstRemote(sent, until).Sub(since))
	}
	return longest
}

// firstRemote returns when the first of sent came that another node had sent.
func (l *Log) firstRemote(sent map[key]bool, otherwise time.Time) time.Time {
	sittings := l.Sittings()
	for _, a := range l.Arrivals() {
		at := time.Unix(0, a.At)
		if s, _ := sittingAt(sittings, at, false, 0); sent[key{a.Sender, a.Number}] && s.Node != a.Sender {
			return at
		}
	}
	return otherwise
}
