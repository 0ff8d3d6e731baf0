package server

import (
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/packet"
)

// waiter waits for the acknowledgement of one socket, or of several. Exactly one
// of its methods is called for each, never with a lock of the socket held.
type waiter interface {
	// answered takes the socket's acknowledgement.
	answered(p packet.Packet)
	// gone says that the socket was disconnected first.
	gone()
}

// single is a waiter for one acknowledgement; it is closed when the socket goes.
type single chan packet.Packet

func (w single) answered(p packet.Packet) { w <- p }
func (w single) gone()                    { close(w) }

// gathering waits for the acknowledgements of this node's receivers of one
// broadcast.
type gathering struct {
	id      uint64
	sockets []*Socket                 // that are to answer
	each    func(packet.Packet, bool) // takes an answer, and says whether it is the last; or says the end by itself, without one
	expiry  *time.Timer

	mu   sync.Mutex // held while each is called, so that the end comes last
	left int
}

// answered implements waiter.
func (g *gathering) answered(p packet.Packet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left--
	if g.left == 0 {
		g.end()
	}
	g.each(p, g.left == 0)
}

// gone implements waiter.
func (g *gathering) gone() { g.miss(1) }

// miss takes off n sockets that will not answer.
func (g *gathering) miss(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left -= n; g.left == 0 && n > 0 {
		g.end()
		g.each(packet.Packet{}, true)
	}
}

func (g *gathering) end() {
	if g.expiry != nil {
		g.expiry.Stop()
	}
}

// dropped says that s, which was not writable, does not get a volatile event.
func (g *gathering) dropped(s *Socket) {
	if g != nil && s.forget(g.id) {
		g.miss(1)
	}
}

// stop ends the wait for those that have not answered.
func (g *gathering) stop() {
	missing := 0
	for _, s := range g.sockets {
		if s.forget(g.id) {
			missing++
		}
	}
	g.miss(missing)
}

// gather sends p to the sockets of this node that b selects, and passes their
// acknowledgements to each, for at most so long. counted is told first which are
// to answer; with none, each is not called.
func (n *Namespace) gather(p *packet.Packet, b Broadcast, patience time.Duration, counted func([]*Socket), each func(packet.Packet, bool)) (*gathering, error) {
	p.ID, p.HasID = n.ackIDs.Add(1)-1, true
	m, err := n.server.encode(p, b.uncompressed)
	if err != nil {
		return nil, err
	}
	g := &gathering{id: p.ID, each: each}
	g.left = 1 // until all are known
	for _, s := range n.local(b) {
		g.mu.Lock()
		g.left++
		g.mu.Unlock()
		if s.expect(p.ID, g) == nil {
			g.sockets = append(g.sockets, s)
		} else {
			g.miss(1)
		}
	}
	sent := false
	defer func() {
		if !sent { // counted has ended the goroutine
			g.stop()
			g.miss(1)
		}
	}()
	counted(g.sockets)
	sent = true
	if len(g.sockets) == 0 {
		return g, nil
	}
	g.mu.Lock()
	g.expiry = time.AfterFunc(patience, g.stop)
	g.mu.Unlock()
	n.server.fanout.add(delivery{message: m, sockets: g.sockets, volatile: b.volatile, gathering: g})
	g.miss(1)
	return g, nil
}
