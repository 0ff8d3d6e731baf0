package redis

import (
	"slices"
	"sync"
	"time"
)

// routeKind says why a link listens to a channel.
type routeKind uint8

const (
	routeNamespace routeKind = iota // a namespace's own channel
	routeRoom                       // one room's channel
	routeIDs                        // the pattern of the node's socket ids
	routeTopic                      // the roomcast channel of a topic
	routeNode                       // the same, for one node
	routeEvery                      // the pattern of all broadcasts of a namespace
	routeRequests                   // the requests in a namespace, in the form of Node.js
	routeResponses                  // the responses of Node.js servers
)

// route is one link's interest in a subscription.
type route struct {
	link *link
	kind routeKind
}

// subscription is a channel or a pattern that somebody wants, or wanted a moment
// ago. Its fields are guarded by the table's mutex.
type subscription struct {
	name    string
	pattern bool
	// routes is replaced, never changed, so that it can be read without the lock.
	routes []route
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

// key names a subscription: a channel and a pattern may have the same text.
type key struct {
	name    string
	pattern bool
}

// subscriptions is the table of what the links want and of what Redis has
// confirmed. It does no I/O and is safe for concurrent use.
type subscriptions struct {
	linger time.Duration
	wake   chan struct{} // one token: there are changes

	mu      sync.RWMutex
	entries map[key]*subscription
	changes []*subscription
	idle    []idling // in the order in which they became idle
	// restoring counts the entries that keep the connection from being whole.
	restoring int
}

func newSubscriptions(linger time.Duration) *subscriptions {
	return &subscriptions{linger: linger, wake: make(chan struct{}, 1), entries: make(map[key]*subscription)}
}

// add wants name on behalf of r.
func (t *subscriptions) add(name string, pattern bool, r route) *subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := key{name, pattern}
	s := t.entries[k]
	if s == nil {
		s = &subscription{name: name, pattern: pattern}
		t.entries[k] = s
	}
	s.routes = append(slices.Clip(s.routes), r)
	s.lingering = false
	if !s.wired {
		t.change(s)
	}
	return s
}

// remove ends r's wish. With linger, the last one leaves the subscription in
// place for a while, so that a room that empties and fills costs nothing.
func (t *subscriptions) remove(s *subscription, r route, linger bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(s.routes, r)
	if i < 0 {
		return
	}
	s.routes = slices.Concat(s.routes[:i], s.routes[i+1:])
	switch {
	case len(s.routes) > 0:
	case !linger:
		t.change(s)
	default:
		s.lingering, s.idleSince = true, time.Now()
		t.idle = append(t.idle, idling{s, s.idleSince})
		if len(t.idle) == 1 {
			signal(t.wake)
		}
	}
}

func (t *subscriptions) change(s *subscription) {
	if !s.changed {
		s.changed = true
		t.changes = append(t.changes, s)
	}
	signal(t.wake)
}

// lookup returns who listens to a channel or a pattern.
func (t *subscriptions) lookup(name string, pattern bool) []route {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.entries[key{name, pattern}]; s != nil {
		return s.routes
	}
	return nil
}

// ready returns nil when s is confirmed, otherwise a channel that is closed when
// it may be.
func (t *subscriptions) ready(s *subscription) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.confirmed() {
		return nil
	}
	if s.ready == nil {
		s.ready = make(chan struct{})
	}
	return s.ready
}

// restart forgets what the last connection had confirmed: all that is wanted is
// to be subscribed anew. What only lingers is let go.
func (t *subscriptions) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes, t.idle, t.restoring = nil, nil, 0
	for k, s := range t.entries {
		s.wired, s.pending, s.changed, s.lingering, s.restoring = false, 0, false, false, false
		if len(s.routes) == 0 {
			delete(t.entries, k)
			continue
		}
		s.restoring = true
		t.restoring++
		t.change(s)
	}
}

// whole says that the present connection has confirmed all that restart wanted.
func (t *subscriptions) whole() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.restoring == 0
}

func (t *subscriptions) restored(s *subscription) {
	if s.restoring {
		s.restoring = false
		t.restoring--
	}
}

// confirm takes one confirmation of Redis.
func (t *subscriptions) confirm(name string, pattern bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := key{name, pattern}
	s := t.entries[k]
	if s == nil || s.pending == 0 {
		return
	}
	s.pending--
	switch {
	case s.pending > 0:
	case s.wired:
		t.restored(s)
		if s.ready != nil {
			close(s.ready)
			s.ready = nil
		}
	default:
		t.forget(s)
	}
}

// forget deletes s if nobody wants it, nothing is to be sent, and Redis owes no
// confirmation, which would be taken for one of a later entry of that name.
func (t *subscriptions) forget(s *subscription) {
	if !s.wanted() && !s.wired && s.pending == 0 && !s.changed {
		t.restored(s)
		delete(t.entries, key{s.name, s.pattern})
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
func (t *subscriptions) next(now time.Time) (c commands, again time.Time, more bool) {
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
		list := c.list(s.pattern, wanted)
		*list = append(*list, s.name)
	}
	if t.changes = t.changes[n:]; len(t.changes) == 0 {
		t.changes = nil
	}
	return c, again, len(t.changes) > 0
}

// letGo ends the lingering of what has been idle for long enough.
func (t *subscriptions) letGo(now time.Time) (again time.Time) {
	for len(t.idle) > 0 {
		first := t.idle[0]
		if void := !first.lingering || first.idleSince != first.since; !void {
			if end := first.since.Add(t.linger); end.After(now) {
				return end
			}
			first.lingering = false
			t.change(first.subscription)
		}
		t.idle = t.idle[1:]
	}
	t.idle = nil
	return time.Time{}
}
