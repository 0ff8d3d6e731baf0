package bus

import "time"

// move is a subscription that goes to another lane.
type move struct {
	Channel
	routes  []Route
	missing time.Time
	// after must be over before what arrives by the other lane counts; nil if nothing must.
	after *handover
}

// leave takes out what is wanted and stays says no to. Seen is when this lane was last
// known to be the right one, at which nothing had been missed.
//
// What is still under way here counts until Redis has confirmed the end, but not if the
// lane ends: a master that was demoted also hears what goes to its successor.
func (t *table) leave(seen time.Time, ends bool, stays func(name string) bool) []move {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []move
	for c, s := range t.entries {
		if !s.wanted() || c == t.probe || stays(c.Name) {
			continue
		}
		if s.missing.IsZero() && s.confirmed() {
			s.missing = seen
		}
		if len(s.routes) > 0 {
			list = append(list, move{Channel: c, routes: s.routes, missing: s.missing})
		}
		if !ends {
			s.parting = s.routes
		}
		s.routes, s.lingering, s.missing = nil, false, time.Time{}
		t.restored(s)
		s.release()
		if s.wired {
			t.change(s)
		}
		t.forget(s)
	}
	return list
}

// adopt takes what another lane has left.
func (t *table) adopt(m move) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.addLocked(m.Channel, m.routes)
	if s.missing.IsZero() || !m.missing.IsZero() && m.missing.Before(s.missing) {
		s.missing = m.missing
	}
	s.after = m.after
	if !s.confirmed() {
		t.restore(s)
	}
}
