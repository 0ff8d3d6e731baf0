package server

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// drainTick is how often a draining server looks whose turn it is, and who is no
// longer busy.
const drainTick = 50 * time.Millisecond

// Drain ends the server so that its clients hardly notice: they are let go one after
// the other over window, in random order and each at a random moment of its share, so
// that they come back elsewhere as they would on a quiet day. From the start the
// server is not ready (Health) and refuses new clients with 503 and Retry-After; those
// that are here go on in every way until their turn comes, and the node stays in the
// cluster until the last has gone. A client whose handlers run, or that owes an
// acknowledgement, is let go when it is done, or when window ends. Sockets get
// ServerShutdown and their recovery records are saved before the transport closes; no
// DISCONNECT packet is sent, since it would keep clients away.
//
// Then, or as soon as no client is left, or when ctx ends, Drain calls Options.Drained,
// does what Shutdown does, and returns what that returns. A window of zero or less is Shutdown. ctx should
// last some 5 s longer than window. While one Drain runs another waits for it, its own
// window being of no account; a Shutdown ends both.
func (s *Server) Drain(ctx context.Context, window time.Duration) error {
	if s.drain.begin() {
		s.tasks.await(func() { s.empty(ctx, window) })
		if drained := s.options.Drained; drained != nil {
			s.tell("Drained", func() { drained(ctx) })
		}
		close(s.drain.over)
	}
	select {
	case <-s.drain.over:
	case <-ctx.Done():
	}
	return s.Shutdown(ctx)
}

// drain is the state of Server.Drain.
type drain struct {
	begun     atomic.Bool
	remaining atomic.Int64  // clients that are not yet let go
	over      chan struct{} // closed when all are
}

// begin says whether the caller is the first, who has to do it.
func (d *drain) begin() bool { return d.begun.CompareAndSwap(false, true) }

// guest is who is let go, with the moment of its turn.
type guest struct {
	visitor
	turn time.Duration // since the drain began
}

// visitor is a client of this node, or one of another node's that reaches it through this
// one.
type visitor interface {
	gone() bool
	busy() bool
	letGo(DisconnectReason)
}

// empty lets all clients go over window. It returns early when ctx ends or the server
// is shut down, which both close those that are left.
func (s *Server) empty(ctx context.Context, window time.Duration) {
	s.engine.Drain()
	s.drainRouter()
	defer s.drain.remaining.Store(0)
	if window <= 0 || s.closing.Load() {
		return
	}
	var leaving activity
	begun, guests := time.Now(), turnsOver(window, s.visitors())
	if len(guests) > 0 {
		s.log.Info("server drains", "clients", len(guests), "window", window.String())
	}
	tick := time.NewTicker(min(drainTick, window))
	defer tick.Stop()
	for len(guests) > 0 || s.engine.Lingers() && time.Since(begun) < window {
		s.drain.remaining.Store(int64(len(guests)))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-s.life.Done():
			return
		}
		passed := time.Since(begun)
		guests = slices.DeleteFunc(guests, func(g guest) bool {
			switch over := passed >= window; {
			case g.gone():
				return true
			case !over && (passed < g.turn || g.busy()):
				return false
			}
			leaving.begin()
			s.tasks.Go(func() {
				defer leaving.end()
				g.letGo(ServerShutdown)
			})
			return true
		})
	}
	_ = leaving.wait(ctx) // Shutdown waits for them as well, and says so if they do not end
}

// turnsOver gives each client a random moment of its own share of window, in random
// order: the number of those whose turn has come is in proportion to the time, to one.
func turnsOver(window time.Duration, clients []visitor) []guest {
	guests := make([]guest, len(clients))
	share := float64(window) / float64(max(1, len(clients)))
	for i, place := range rand.Perm(len(clients)) {
		guests[place] = guest{clients[i], time.Duration((float64(place) + rand.Float64()) * share)}
	}
	return guests
}

// visitors returns all that a drain lets go.
func (s *Server) visitors() []visitor {
	var all []visitor
	for _, c := range s.connections() {
		all = append(all, c)
	}
	if s.router != nil {
		for _, l := range s.router.Relays() {
			all = append(all, relayed{l})
		}
	}
	return all
}

// connections returns all clients.
func (s *Server) connections() []*connection {
	sessions := s.engine.Sessions()
	all := make([]*connection, len(sessions))
	for i, session := range sessions {
		all[i] = session.Receiver().(*connection)
	}
	return all
}

// gone says whether the client has gone.
func (c *connection) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// busy says whether something is going on with the client that would be cut off: a
// handler or a middleware runs, an acknowledgement is awaited, it catches up, or is
// between two polls.
func (c *connection) busy() bool {
	c.mu.Lock()
	waiting := c.events > 0
	c.mu.Unlock()
	return waiting || !c.session.Listening() || slices.ContainsFunc(c.sockets(), (*Socket).busy)
}

func (s *Socket) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running || len(s.acks) > 0 || s.state.Load() == connecting || s.mode.Load() == held
}

// letGo closes the client's session behind all that was emitted to it, after the
// records of its sockets have been saved.
func (c *connection) letGo(reason DisconnectReason) {
	sockets := c.sockets()
	for _, s := range sockets {
		s.end(reason)
	}
	if len(sockets) == 0 {
		c.session.Close()
		return
	}
	_ = sockets[0].write(delivery{one: sockets[0], close: true}) // closing does not fail
}
