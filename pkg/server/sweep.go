package server

import (
	"slices"

	"github.com/roomcast/roomcast/internal/engine"
)

// A sweep can be boarded at stops on its way around: at most so many, and at least so many
// receivers apart, but for the last.
const (
	stops = 32
	apart = 16
)

// sweep takes broadcasts that have the same receivers around these, again and again. One that
// comes while it is under way does not wait for its end: it boards at the next stop, and leaves
// where it boarded. So each goes around once, and those that are on board together are one
// write for each receiver on that way. Who boards later stands behind the others in each
// write, and leaves later: a receiver gets them in that order.
type sweep struct {
	like    delivery // receivers and terms of all that board
	lap     int      // stops on the way around
	step    int      // receivers between two stops
	at      int      // stops passed
	riders  []*engine.Message
	boarded []int // stops passed when each of them boarded
	bytes   int
	joined  *engine.Message // all riders; nil after one has boarded or left
}

// begin has the first ones board. The sweep before it has ended.
func (w *sweep) begin(first []delivery) {
	n := len(first[0].sockets)
	w.like, w.at = first[0], 0
	w.step = max(apart, (n+stops-1)/stops)
	w.lap = (n + w.step - 1) / w.step
	for i := range first {
		w.board(first[i].message)
	}
}

// takes says whether d may board.
func (w *sweep) takes(d *delivery) bool {
	return w.like.joins(d) && w.bytes+d.message.Size() <= joinedBytes
}

func (w *sweep) board(m *engine.Message) {
	w.riders = append(w.riders, m)
	w.boarded = append(w.boarded, w.at)
	w.bytes += m.Size()
	w.joined = nil
}

// next goes on to the next stop, and returns the receivers that lie before it.
func (w *sweep) next() []*Socket {
	from := w.at % w.lap * w.step
	w.at++
	return w.like.sockets[from:min(from+w.step, len(w.like.sockets))]
}

// message returns all that is on board as one.
func (w *sweep) message() *engine.Message {
	if w.joined == nil {
		w.joined = engine.Join(w.riders)
	}
	return w.joined
}

// leave lets those off that have been around.
func (w *sweep) leave() {
	n := 0
	for n < len(w.riders) && w.at-w.boarded[n] == w.lap {
		w.bytes -= w.riders[n].Size()
		n++
	}
	if n > 0 {
		w.riders, w.boarded = slices.Delete(w.riders, 0, n), slices.Delete(w.boarded, 0, n)
		w.joined = nil
	}
}

// goAround takes broadcasts to all their receivers, and forgets first. While it is under way
// others may board, if none is left between these and the queue. No receiver is held, or
// will be: a socket is held before it becomes a receiver, and when these were taken off the
// queue none was.
func (f *fanout) goAround(first []delivery, open bool) (more int) {
	w := &f.sweep
	w.begin(first)
	clear(first) // they may go on long after it
	for len(w.riders) > 0 {
		f.writeTo(w.next(), &w.like, w.message())
		w.leave()
		if !open || len(w.riders) == 0 { // an empty one has ended, and the queue is the next batch
			continue
		}
		if len(w.riders) > 1 {
			// Broadcasts come faster than they go around. On a busy machine those that bring
			// the next, clients, the adapter's backend or this node's other threads, would
			// else wait for a processor until these have gone, and find nothing to board.
			giveWay()
		}
		more += f.letBoard(w)
	}
	w.like = delivery{}
	return more
}

// letBoard takes off the queue's head what may go with w. What is behind another message must
// not pass it.
func (f *fanout) letBoard(w *sweep) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n < len(f.queue) && w.takes(&f.queue[n]) {
		w.board(f.queue[n].message)
		f.bytes -= f.queue[n].message.Size()
		n++
	}
	if n > 0 {
		f.queue = slices.Delete(f.queue, 0, n)
		f.space.Broadcast()
	}
	return n
}
