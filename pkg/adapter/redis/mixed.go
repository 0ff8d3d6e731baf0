package redis

import (
	"time"

	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

// mixed is what an adapter with InterestRouting knows of Node.js servers, which there
// ought not to be. Once one is heard, the adapter's links go back to the compatible way:
// they send as Node.js servers listen, and listen to all that those send. They tell the
// other nodes, who do the same, and they go on listening to what is sent the other way by
// those that have not heard yet.
type mixed struct {
	heard bool
	links map[*link]struct{} // those with a form
}

// What links say to each other about it, on their private channels. No message begins
// with a zero byte.
const (
	noticeHeard = "\x00nodejs"  // a Node.js server is in the cluster
	noticeAsk   = "\x00nodejs?" // is one?
)

// nodeJSHeard says that a Node.js server has sent something to l.
func (a *Adapter) nodeJSHeard() {
	switch {
	case a.opts.InterestRouting:
		a.comply()
	case !a.opts.NodeJS:
		a.warned.Do(func() {
			a.opts.Logger.Warn("redis: a Node.js server is in the cluster: set the option NodeJS, so that calls to all nodes wait for its answers")
		})
	}
}

// comply brings all links back to the compatible way.
func (a *Adapter) comply() {
	a.mu.Lock()
	known := a.mixed.heard
	a.mixed.heard = true
	var links []*link
	for l := range a.mixed.links {
		links = append(links, l)
	}
	a.mu.Unlock()
	if known {
		return
	}
	for _, l := range links {
		l.comply()
	}
	a.opts.Logger.Warn("redis: a Node.js server is in the cluster: unset the option InterestRouting on all nodes, and set NodeJS; until then this node works as without it")
}

// enlist makes the adapter remember l and says whether a Node.js server was heard.
func (a *Adapter) enlist(l *link) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mixed.links == nil {
		a.mixed.links = make(map[*link]struct{})
	}
	a.mixed.links[l] = struct{}{}
	return a.mixed.heard
}

func (a *Adapter) strike(l *link) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.mixed.links, l)
}

// comply tells the other nodes before it sends anything the compatible way.
func (l *link) comply() {
	l.notify(noticeHeard)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left {
		return
	}
	l.routing.complied.Store(true) // so that the pattern's copies are expected
	if l.routing.pattern != "" && l.deliver != nil {
		l.everything = l.holdLocked(membership{bus.Channel{Name: l.routing.pattern, Pattern: true}, routeEvery})
	}
}

// remindAfter is how often a node that still routes by interest is told.
const remindAfter = time.Second

// remind tells the others again, because one of them has sent something the other way:
// it did not hear. It is called by the inbox alone.
func (l *link) remind() {
	if now := time.Now(); now.Sub(l.reminded) >= remindAfter {
		l.reminded = now
		l.notify(noticeHeard)
	}
}

// notify sends a notice. That it may be lost while Redis is away is as with messages.
func (l *link) notify(notice string) {
	o := l.bus.Message()
	o.Channel = l.private
	o.Body = append(o.Body, notice...)
	l.seal(o)
	if l.bus.Enqueue(o) != nil {
		l.bus.Discard(o)
	}
}

// noticed takes a notice of another node, or this one's own.
func (l *link) noticed(notice string) {
	switch {
	case !l.adapter.opts.InterestRouting:
	case notice == noticeHeard:
		l.adapter.comply()
	case notice == noticeAsk && l.routing.complied.Load():
		l.notify(noticeHeard)
	}
}
