package bus

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// subscription is a channel or a pattern that somebody wants, or wanted a moment
// ago. Its fields are guarded by the table's mutex.
type subscription struct {
	Channel
	// routes is replaced, never changed, so that it can be read without the lock.
	routes []Route
	// parting are the routes that have gone to another lane. They count until Redis
	// has confirmed that nothing more will come here.
	parting []Route
	after   *handover // nothing counts before it is over; nil if there was none
	// wired says that the last command sent on this connection subscribes.
	wired bool
	// pending counts the commands sent on this connection that Redis has not
	// confirmed. Confirmations come in the order of the commands, so what they
	// leave is certain only when there are none.
	pending int
	ready   chan struct{} // closed when confirmed; nil while nobody waits
	changed bool          // it is among the table's changes
	// restoring says that the connection is not whole until this is confirmed.
	restoring bool
	missing   time.Time // since when messages may have been missed; zero if none were
	idleSince time.Time // when the last route went away
	lingering bool      // it is kept although nobody wants it
}

// idling is a subscription that became idle at a time. It is void when the
// subscription was used since.
type idling struct {
	*subscription
	since time.Time
}

func (s *subscription) wanted() bool    { return len(s.routes) > 0 || s.lingering }
func (s *subscription) confirmed() bool { return s.wired && s.pending == 0 }

// release lets those go who wait for it.
func (s *subscription) release() {
	if s.ready != nil {
		close(s.ready)
		s.ready = nil
	}
}

// table says what the receivers want of one lane and what Redis has confirmed. It
// does no I/O and is safe for concurrent use.
type table struct {
	linger  time.Duration
	sharded bool
	slotted bool          // a command takes names of one slot only
	wake    chan struct{} // one token: there are changes

	mu      sync.RWMutex
	probe   Channel // is subscribed to before all others
	entries map[Channel]*subscription
	changes []*subscription
	refused []*subscription // by Redis; they wait for retry
	sent    []command       // what Redis has not answered
	idle    []idling        // in the order in which they became idle
	// restoring counts the entries that keep the connection from being whole.
	restoring int
	handovers []*handover // to this lane, that are not over
}

func newTable(c Config) *table {
	return &table{
		linger: c.Timing.Linger, sharded: c.Sharded, slotted: c.slotted(),
		wake: make(chan struct{}, 1), entries: make(map[Channel]*subscription),
	}
}

// count adds to the numbers of channels and of patterns that Redis has confirmed.
func (t *table) count(channels, patterns *int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for c, s := range t.entries {
		switch {
		case !s.confirmed():
		case c.Pattern:
			*patterns++
		default:
			*channels++
		}
	}
}

// add wants c on behalf of rs.
func (t *table) add(c Channel, rs ...Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addLocked(c, rs)
}

func (t *table) addLocked(c Channel, rs []Route) *subscription {
	s := t.entries[c]
	if s == nil {
		s = &subscription{Channel: c}
		t.entries[c] = s
	}
	s.routes = append(slices.Clip(s.routes), rs...)
	s.parting, s.lingering = nil, false
	if !s.wired {
		t.change(s)
	}
	return s
}

// remove ends r's wish. With linger, the last one leaves the subscription in
// place for a while, so that a room that empties and fills costs nothing.
func (t *table) remove(c Channel, r Route, linger bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.entries[c]
	if s == nil {
		return
	}
	i := slices.Index(s.routes, r)
	if i < 0 {
		return
	}
	s.routes = slices.Concat(s.routes[:i], s.routes[i+1:])
	switch {
	case len(s.routes) > 0:
	case !linger:
		s.release()
		t.change(s)
	default:
		s.lingering, s.idleSince = true, time.Now()
		t.idle = append(t.idle, idling{s, s.idleSince})
		if len(t.idle) == 1 {
			signal(t.wake)
		}
	}
}

func (t *table) change(s *subscription) {
	if !s.changed {
		s.changed = true
		t.changes = append(t.changes, s)
	}
	signal(t.wake)
}

// setProbe replaces the lane's probe, which r hears.
func (t *table) setProbe(name string, r Route) {
	t.mu.Lock()
	old := t.probe
	t.probe = Channel{Name: name}
	t.addLocked(t.probe, []Route{r})
	t.mu.Unlock()
	if old.Name != "" {
		t.remove(old, r, false)
	}
}

func (t *table) probeName() string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.probe.Name
}

// lookup returns who listens to c.
func (t *table) lookup(c Channel) []Route {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := t.entries[c]
	switch {
	case s == nil || s.after != nil && !s.after.over:
		return nil
	case len(s.routes) == 0:
		return s.parting
	}
	return s.routes
}

// ready returns nil when c is confirmed or nobody wants it, otherwise a channel that
// is closed when that may be so.
func (t *table) ready(c Channel) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.entries[c]
	if s == nil || !s.wanted() {
		return nil
	}
	if s.confirmed() {
		if s.after != nil && !s.after.over {
			return s.after.done
		}
		return nil
	}
	if s.ready == nil {
		s.ready = make(chan struct{})
	}
	return s.ready
}

// restart forgets what the last connection had confirmed: all that is wanted is
// to be subscribed anew. What only lingers is let go. Proven is until when all has
// arrived, zero if that was never so. It returns the command for the probe, which
// opens the next connection.
func (t *table) restart(proven time.Time) command {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes, t.idle, t.refused, t.sent, t.restoring = nil, nil, nil, nil, 0
	for c, s := range t.entries {
		if s.missing.IsZero() && s.confirmed() {
			s.missing = proven
		}
		s.wired, s.pending, s.changed, s.lingering, s.restoring, s.parting = false, 0, false, false, false, nil
		if len(s.routes) == 0 {
			s.release()
			delete(t.entries, c)
			continue
		}
		t.restore(s)
		if c != t.probe {
			t.change(s)
		}
	}
	s := t.entries[t.probe]
	s.wired, s.pending = true, 1
	t.sent = []command{{t.verb(s), []string{s.Name}}}
	return t.sent[0]
}

// whole says that the present connection has confirmed all that it must.
func (t *table) whole() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.restoring == 0 && len(t.handovers) == 0
}

func (t *table) restore(s *subscription) {
	if !s.restoring {
		s.restoring = true
		t.restoring++
	}
}

func (t *table) restored(s *subscription) {
	if s.restoring {
		s.restoring = false
		t.restoring--
	}
}

// healed returns the topics that may have missed messages, and since when; each gap
// once, when the connection is whole.
func (t *table) healed() (topics []string, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.restoring > 0 || len(t.handovers) > 0 {
		return nil, since
	}
	for _, s := range t.entries {
		if s.missing.IsZero() {
			continue
		}
		for _, r := range s.routes {
			if topic := r.To.Topic(); topic != "" {
				topics = append(topics, topic)
				if since.IsZero() || s.missing.Before(since) {
					since = s.missing
				}
			}
		}
		s.missing = time.Time{}
	}
	return topics, since
}

// confirm takes one confirmation of Redis. Unasked says that it was none: Redis has
// ended the subscription by itself, because the slot is another server's.
func (t *table) confirm(kind, name string) (unasked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.entries[Channel{name, strings.HasPrefix(kind, "p")}]
	if len(t.sent) == 0 || t.sent[0].kind != kind || t.sent[0].names[0] != name {
		return s != nil && strings.HasSuffix(kind, "unsubscribe") && t.ended(s)
	}
	if t.sent[0].names = t.sent[0].names[1:]; len(t.sent[0].names) == 0 {
		t.sent = t.sent[1:]
	}
	if s == nil {
		return false
	}
	s.pending--
	switch {
	case s.pending > 0:
	case s.wired:
		t.restored(s)
		s.release()
	default:
		t.forget(s)
	}
	return false
}

// ended notes that Redis has ended s, unless a command is on its way that says what
// is to be.
func (t *table) ended(s *subscription) bool {
	if !s.confirmed() {
		return false
	}
	if s.missing.IsZero() {
		s.missing = time.Now()
	}
	s.wired = false
	t.restore(s)
	t.park(s)
	return true
}

// park leaves s until retry, when it may be another lane's.
func (t *table) park(s *subscription) {
	if !s.changed {
		t.refused = append(t.refused, s)
	}
}

// refuse takes Redis' answer that the oldest command was for another server. Asked
// says that it was there to subscribe.
func (t *table) refuse() (asked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.sent) == 0 {
		return false
	}
	first := t.sent[0]
	t.sent = t.sent[1:]
	for _, name := range first.names {
		s := t.entries[Channel{Name: name}]
		if s == nil {
			continue
		}
		if s.pending--; s.pending > 0 {
			continue
		}
		if s.wired = false; s.wanted() {
			t.park(s)
		}
		t.forget(s)
	}
	return !strings.HasSuffix(first.kind, "unsubscribe")
}

// retry subscribes anew to what was refused and is still this lane's.
func (t *table) retry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.refused {
		if t.entries[s.Channel] == s && s.wanted() && !s.wired {
			t.change(s)
		}
	}
	t.refused = nil
}

// forget deletes s if nobody wants it, nothing is to be sent, and Redis owes no
// confirmation, which would be taken for one of a later entry of that name.
func (t *table) forget(s *subscription) {
	if !s.wanted() && !s.wired && s.pending == 0 && !s.changed {
		t.restored(s)
		delete(t.entries, s.Channel)
	}
}

// letGo ends the lingering of what has been idle for long enough.
func (t *table) letGo(now time.Time) (again time.Time) {
	for len(t.idle) > 0 {
		first := t.idle[0]
		if void := !first.lingering || first.idleSince != first.since; !void {
			if end := first.since.Add(t.linger); end.After(now) {
				return end
			}
			first.lingering = false
			first.release()
			t.change(first.subscription)
		}
		t.idle = t.idle[1:]
	}
	t.idle = nil
	return time.Time{}
}
