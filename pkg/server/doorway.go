package server

import "sync"

// returningAtOnce is how many clients that come back are being restored at a time. The
// others wait without a goroutine: when those of a dead node come all at once, the
// goroutines of all that wait would need more memory than the node has otherwise, and leave
// it in pieces.
const returningAtOnce = 64

// doorway is where clients that come back wait.
type doorway struct {
	tasks *tasks

	mu      sync.Mutex
	inside  int
	waiting []func(leave func()) // in their order; each has a connection that is counted
}

// enter runs f in a goroutine when it is its turn, which ends when f calls leave.
func (d *doorway) enter(f func(leave func())) {
	d.mu.Lock()
	if d.inside == returningAtOnce {
		d.waiting = append(d.waiting, f)
		d.mu.Unlock()
		return
	}
	d.inside++
	d.mu.Unlock()
	d.let(f)
}

func (d *doorway) let(f func(leave func())) {
	d.tasks.Go(func() { f(sync.OnceFunc(d.next)) })
}

// next gives a turn that has ended to the one who waits longest.
func (d *doorway) next() {
	d.mu.Lock()
	if len(d.waiting) == 0 {
		d.inside--
		d.waiting = nil // with the memory of the longest queue
		d.mu.Unlock()
		return
	}
	f := d.waiting[0]
	d.waiting[0] = nil
	d.waiting = d.waiting[1:]
	d.mu.Unlock()
	d.let(f)
}
