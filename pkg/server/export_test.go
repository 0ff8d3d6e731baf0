package server

import (
	"context"
	"net"

	"github.com/roomcast/roomcast/internal/engine"
)

// ReturningAtOnce is how many clients are restored at a time.
const ReturningAtOnce = returningAtOnce

// DialNodes sets how a server calls other nodes.
func DialNodes(o *Options, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	o.dial = dial
}

// Drain returns when everything that was emitted has been written.
func Drain(s *Server) { _ = s.fanout.tasks.wait(context.Background()) }

// Held returns how many of a node's sockets are catching up, and for how many offsets
// sockets of n wait.
func Held(n *Namespace) (sockets int64, offsets int) {
	n.delivering.Lock()
	defer n.delivering.Unlock()
	return n.server.fanout.holding.Load(), len(n.expected)
}

// Awaited returns how many acknowledgements n's sockets owe: to Call, by the count of
// their connections, and to whomever, by their own.
func Awaited(n *Namespace) (connections, sockets int) {
	for _, s := range n.Sockets() {
		s.connection.mu.Lock()
		connections += s.connection.awaits
		s.connection.mu.Unlock()
		s.mu.Lock()
		sockets += len(s.acks)
		s.mu.Unlock()
	}
	return connections, sockets
}

// Listening says whether a client would hear at once of what is sent: of those that poll,
// whether a poll waits.
func Listening(s *Socket) bool { return s.connection.session.Listening() }

// Parked returns how many clients' connections wait without a goroutine.
func Parked(s *Server) int { return s.engine.Stats().Parked }

// Stretches returns the receivers, by number, that a sweep passes between each two stops, with
// a second message on board from the first stop on.
func Stretches(receivers int) (stretches [][]int) {
	var w sweep
	all, numbers := make([]*Socket, receivers), make(map[*Socket]int)
	for i := range all {
		all[i] = new(Socket)
		numbers[all[i]] = i
	}
	m := engine.NewMessage([]byte("2"))
	w.begin([]delivery{{sockets: all, message: m}})
	for len(w.riders) > 0 {
		var stretch []int
		for _, s := range w.next() {
			stretch = append(stretch, numbers[s])
		}
		stretches = append(stretches, stretch)
		if w.leave(); w.at == 1 {
			w.board(m)
		}
	}
	return stretches
}
