package adminui

import (
	"context"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// The events that nodes send each other in the page's namespace.
const (
	eventLook     = "roomcast:look"     // somebody looks
	eventDescribe = "roomcast:describe" // which sockets are there?
)

const (
	// every is the time between two reports, as the page expects it.
	every = 2 * time.Second
	// patience is how long the nodes may take to describe their sockets. A node that has
	// done so is silent for longer than that, so that a page never hears of a change before
	// the description that lacks it.
	patience = 3 * every / 4
	// forgets is how long a node reports after it was last told that somebody looks.
	forgets = 3 * every
)

// look is a question to Run: which sockets does the node have?
type look struct{ answer chan []socket }

// report tells the pages how the node is, if there are any on any node.
func (u *UI) report(ctx context.Context, last totals) totals {
	if len(u.ns.Sockets()) > 0 {
		u.look(ctx)
	}
	if time.Since(time.Unix(0, u.asked.Load())) > forgets {
		if u.feed != nil {
			u.feed.rest()
		}
		return nil
	}
	stats, now := u.stats(last)
	u.mention("server_stats", stats)
	if u.feed != nil {
		u.feed.follow(u)
	}
	return now
}

// look tells all nodes that somebody looks.
func (u *UI) look(ctx context.Context) {
	u.asked.Store(time.Now().UnixNano())
	if err := u.ns.ServerSideEmit(ctx, eventLook); err != nil {
		u.log.Debug("admin UI: the other nodes were not told that somebody looks", "error", err)
	}
}

// tell sends an event to all pages.
func (u *UI) tell(event string, args ...any) { u.send(u.ns.All(), event, args) }

// mention sends an event to all pages; one that is busy may miss it.
func (u *UI) mention(event string, args ...any) { u.send(u.ns.Volatile(), event, args) }

func (u *UI) send(to server.Broadcast, event string, args []any) {
	if err := to.Emit(event, args...); err != nil {
		u.log.Debug("admin UI: nothing was sent", "event", event, "error", err)
	}
}

// describe answers which sockets the node has.
func (u *UI) describe(ctx context.Context, _ struct{}) ([]socket, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u.asked.Store(time.Now().UnixNano())
	q := look{answer: make(chan []socket, 1)}
	select {
	case u.looks <- q:
		return <-q.answer, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// allSockets asks all nodes for their sockets. Those of nodes that do not answer in time
// are missing.
func (u *UI) allSockets(ctx context.Context) []socket {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lists, err := server.CallServers[[]socket](ctx, u.ns, eventDescribe)
	if err != nil {
		u.log.Warn("admin UI: a node did not say which sockets it has", "error", err)
	}
	all := []socket{}
	if own, err := u.describe(ctx, struct{}{}); err == nil {
		all = append(all, own...)
	}
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}
