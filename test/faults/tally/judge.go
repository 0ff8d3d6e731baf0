package tally

import (
	"slices"
	"time"
)

// Rules say what was due to whom.
type Rules struct {
	// From and Until bound the messages that count, by the time of their Emit.
	From, Until time.Time
	// LocalOnly says that a message reaches only the clients of its sender: there is
	// no cluster.
	LocalOnly bool
	// OrderPerSelection says that only messages of one sender to one selection are
	// in order.
	OrderPerSelection bool
	// Leeway is for clients that do not recover: what was sent in the last moments
	// before a connection was lost is not due.
	Leeway time.Duration
}

// Miss is a message that did not reach a client to which it was due.
type Miss struct {
	// Message is what was missed.
	Message Message
	// Local says that the client was connected to the sender itself.
	Local bool
}

// Verdict is what became of the messages.
type Verdict struct {
	// Due is how many deliveries were due.
	Due int
	// Misses are those that failed, by the time of their Emit.
	Misses []Miss
	// Duplicates is how many deliveries were of a number that the client had already.
	Duplicates int
	// Reordered is how many came after a later one of their sender.
	Reordered int
	// Unheard is how many accepted messages of dead senders reached nobody: they
	// ended with the process that held them.
	Unheard int
}

// Lost returns the misses of messages sent in [from, until).
func (v *Verdict) Lost(from, until time.Time) []Miss {
	var found []Miss
	for _, m := range v.Misses {
		if !m.Message.Sent.Before(from) && m.Message.Sent.Before(until) {
			found = append(found, m)
		}
	}
	return found
}

// LostOf returns how many of the misses were of some messages.
func (v *Verdict) LostOf(messages []Message) int {
	among := make(map[key]bool, len(messages))
	for _, m := range messages {
		among[key{m.Sender, m.Number}] = true
	}
	n := 0
	for _, m := range v.Misses {
		if among[key{m.Message.Sender, m.Message.Number}] {
			n++
		}
	}
	return n
}

// LocalLost returns how many misses were of a client's own node's messages.
func (v *Verdict) LocalLost() int {
	n := 0
	for _, m := range v.Misses {
		if m.Local {
			n++
		}
	}
	return n
}

// LastMiss returns when the last message that was missed had been sent; zero
// without one.
func (v *Verdict) LastMiss() time.Time {
	if len(v.Misses) == 0 {
		return time.Time{}
	}
	return v.Misses[len(v.Misses)-1].Message.Sent
}

// key names a message.
type key struct{ sender, number int }

// Judge compares what was accepted with what came. What senders in dead sent and
// nobody got does not count as lost: no store ever had it.
func Judge(messages []Message, logs []*Log, rules Rules, dead ...int) *Verdict {
	messages = slices.DeleteFunc(slices.Clone(messages), func(m Message) bool {
		return m.Sent.Before(rules.From) || !m.Sent.Before(rules.Until)
	})
	slices.SortFunc(messages, func(a, b Message) int { return a.Sent.Compare(b.Sent) })
	v := &Verdict{}
	messages = v.withoutUnheard(messages, logs, dead)
	selections := make(map[key]int, len(messages))
	for _, m := range messages {
		selections[key{m.Sender, m.Number}] = m.Selection
	}
	for _, l := range logs {
		v.judge(messages, selections, l, rules)
	}
	slices.SortStableFunc(v.Misses, func(a, b Miss) int { return a.Message.Sent.Compare(b.Message.Sent) })
	return v
}

// withoutUnheard removes what dead senders sent and nobody got.
func (v *Verdict) withoutUnheard(messages []Message, logs []*Log, dead []int) []Message {
	if len(dead) == 0 {
		return messages
	}
	heard := map[key]bool{}
	for _, l := range logs {
		for _, a := range l.Arrivals() {
			heard[key{a.Sender, a.Number}] = true
		}
	}
	kept := slices.DeleteFunc(slices.Clone(messages), func(m Message) bool {
		return slices.Contains(dead, m.Sender) && !heard[key{m.Sender, m.Number}]
	})
	v.Unheard = len(messages) - len(kept)
	return kept
}

// judge adds what one client has seen.
func (v *Verdict) judge(messages []Message, selections map[key]int, l *Log, rules Rules) {
	seen := v.readArrivals(l.Arrivals(), selections, rules)
	sittings := l.Sittings()
	for _, m := range messages {
		if m.Selection != Everybody && m.Selection != l.Room {
			continue
		}
		at, connected := sittingAt(sittings, m.Sent, l.Recovers, rules.Leeway)
		local := connected && at.Node == m.Sender
		if !connected || rules.LocalOnly && !local {
			continue
		}
		v.Due++
		if !seen[key{m.Sender, m.Number}] {
			v.Misses = append(v.Misses, Miss{Message: m, Local: local})
		}
	}
}

// readArrivals counts duplicates and inversions and returns what came.
func (v *Verdict) readArrivals(arrivals []Arrival, selections map[key]int, rules Rules) map[key]bool {
	seen := make(map[key]bool, len(arrivals))
	highest := map[key]int{} // by sender, and selection where it matters
	for _, a := range arrivals {
		k := key{a.Sender, a.Number}
		if seen[k] {
			v.Duplicates++
			continue
		}
		seen[k] = true
		lane := key{sender: a.Sender}
		if rules.OrderPerSelection {
			lane.number = selections[k]
		}
		if a.Number < highest[lane] {
			v.Reordered++
		}
		highest[lane] = max(highest[lane], a.Number)
	}
	return seen
}

// sittingAt returns the sitting during which a message was sent. To a client that
// recovers everything is due from its first sitting on.
func sittingAt(sittings []Sitting, sent time.Time, recovers bool, leeway time.Duration) (Sitting, bool) {
	for i, s := range sittings {
		if sent.Before(s.From) {
			return Sitting{}, recovers && i > 0
		}
		if s.To.IsZero() || sent.Before(s.To.Add(-leeway)) {
			return s, true
		}
	}
	return Sitting{}, recovers && len(sittings) > 0
}
