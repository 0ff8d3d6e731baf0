package bus

import "time"

// command is a command that changes subscriptions. Its kind is also that of its
// confirmations, one for each name.
type command struct {
	kind  string
	names []string
}

// verb returns the command that s needs: its kind says what is wanted.
func (t *table) verb(s *subscription) string {
	verb := "subscribe"
	if !s.wanted() {
		verb = "unsubscribe"
	}
	switch {
	case s.Pattern:
		return "p" + verb
	case t.sharded:
		return "s" + verb
	}
	return verb
}

// maxNames bounds a command, so that Redis does other work between two.
const maxNames = 512

// next returns what is to be sent now, and when to ask again because of what
// lingers, the zero time without any. More says that there is more at once.
func (t *table) next(now time.Time) (list []command, again time.Time, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	again = t.letGo(now)
	type group struct {
		kind string
		slot int
	}
	groups := make(map[group]int) // where in list
	n := min(len(t.changes), maxNames)
	for _, s := range t.changes[:n] {
		s.changed = false
		if s.wanted() == s.wired {
			t.forget(s)
			continue
		}
		s.wired = s.wanted()
		s.pending++
		g := group{kind: t.verb(s)}
		if t.slotted {
			g.slot = slotOf(s.Name)
		}
		i, ok := groups[g]
		if !ok {
			i = len(list)
			groups[g] = i
			list = append(list, command{kind: g.kind})
		}
		list[i].names = append(list[i].names, s.Name)
	}
	if t.changes = t.changes[n:]; len(t.changes) == 0 {
		t.changes = nil
	}
	t.sent = append(t.sent, list...)
	return list, again, len(t.changes) > 0
}
