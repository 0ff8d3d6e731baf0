package bus

import (
	"slices"
	"sync"
	"time"
)

// subscription is a channel or a pattern that somebody wants, or wanted a moment
// ago. Its fields are guarded by the table's mutex.
type subscription struct {
	Channel
	// routes is replaced, never changed, so that it can be read without the lock.
	routes []Route
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

// table says what the receivers want and what Redis has confirmed. It does no I/O and is safe for concurrent use.
type table struct {
	linger time.Duration
	wake   chan struct{} // one token: there are changes

	mu      sync.RWMutex
	entries map[Channel]*subscription
	changes []*subscription
	idle    []idling // in the order in which they became idle
	// restoring counts the entries that keep the connection from being whole.
	restoring int
}

func newTable(linger time.Duration) *table {
	return &table{linger: linger, wake: make(chan struct{}, 1), entries: make(map[Channel]*subscription)}
}

// add wants c on behalf of r.
func (t *table) add(c Channel, r Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.entries[c]
	if s == nil {
		s = &subscription{Channel: c}
		t.entries[c] = s
	}
	s.routes = append(slices.Clip(s.routes), r)
	s.lingering = false
	if !s.wired {
		t.change(s)
	}
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

// lookup returns who listens to c.
func (t *table) lookup(c Channel) []Route {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.entries[c]; s != nil {
		return s.routes
	}
	return nil
}

// ready returns nil when c is confirmed or nobody wants it, otherwise a channel that
// is closed when that may be so.
func (t *table) ready(c Channel) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.entries[c]
	if s == nil || !s.wanted() || s.confirmed() {
		return nil
	}
	if s.ready == nil {
		s.ready = make(chan struct{})
	}
	return s.ready
}

// restart forgets what the last connection had confirmed: all that is wanted is
// to be subscribed anew. What only lingers is let go.
func (t *table) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes, t.idle, t.restoring = nil, nil, 0
	for c, s := range t.entries {
		s.wired, s.pending, s.changed, s.lingering, s.restoring = false, 0, false, false, false
		if len(s.routes) == 0 {
			s.release()
			delete(t.entries, c)
			continue
		}
		s.restoring = true
		t.restoring++
		t.change(s)
	}
}

// whole says that the present connection has confirmed all that restart wanted.
func (t *table) whole() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.restoring == 0
}

func (t *table) restored(s *subscription) {
	if s.restoring {
		s.restoring = false
		t.restoring--
	}
}

// confirm takes one confirmation of Redis.
func (t *table) confirm(c Channel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.entries[c]
	if s == nil || s.pending == 0 {
		return
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
}

// forget deletes s if nobody wants it, nothing is to be sent, and Redis owes no
// confirmation, which would be taken for one of a later entry of that name.
func (t *table) forget(s *subscription) {
	if !s.wanted() && !s.wired && s.pending == 0 && !s.changed {
		t.restored(s)
		delete(t.entries, s.Channel)
	}
}

// commands are names to be sent to Redis, at most so many per command.
type commands struct {
	subscribe, unsubscribe   []string
	psubscribe, punsubscribe []string
}

// maxNames bounds a command, so that Redis does other work between two.
const maxNames = 512

func (c *commands) list(pattern, wanted bool) *[]string {
	switch {
	case pattern && wanted:
		return &c.psubscribe
	case pattern:
		return &c.punsubscribe
	case wanted:
		return &c.subscribe
	default:
		return &c.unsubscribe
	}
}

// next returns what is to be sent now, and when to ask again because of what
// lingers, the zero time without any. More says that there is more at once.
func (t *table) next(now time.Time) (c commands, again time.Time, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	again = t.letGo(now)
	n := min(len(t.changes), maxNames)
	for _, s := range t.changes[:n] {
		s.changed = false
		wanted := s.wanted()
		if wanted == s.wired {
			t.forget(s)
			continue
		}
		s.wired = wanted
		s.pending++
		list := c.list(s.Pattern, wanted)
		*list = append(*list, s.Name)
	}
	if t.changes = t.changes[n:]; len(t.changes) == 0 {
		t.changes = nil
	}
	return c, again, len(t.changes) > 0
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
