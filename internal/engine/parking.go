package engine

import "sync"

// parking holds the connections that wait for their clients without a goroutine.
// Where there is no epoll it stays empty.
type parking struct {
	work   *sync.WaitGroup // counts parked connections, and their readers
	waking sync.WaitGroup  // the goroutine that starts readers

	mu         sync.Mutex // guards what follows, and every webSocket's place
	set        *pollSet   // nil until the first connection is parked
	parked     []*webSocket
	count      int
	generation int32
}

// place is where a connection is parked, if it is. A descriptor is used again
// once its connection has been closed, so an event for it may come late and mean
// another one: a generation is used once.
type place struct {
	descriptor int
	generation int32
	closed     bool // the connection is being closed and must not be parked any more
}

// park leaves w to be woken when there is something to read. If it returns true
// the caller, who must be w's reader and about to end, may not touch w any more.
func (p *parking) park(w *webSocket) bool {
	set := p.open()
	if set == nil {
		return false
	}
	taken, parked := false, false
	err := w.frames.raw.Control(func(fd uintptr) {
		generation, ok := p.take(w, int(fd))
		if !ok {
			return
		}
		taken = true
		// From here on w may be woken, for its end.
		parked = set.watch(int(fd), generation) == nil
	})
	if taken && err == nil && parked {
		return true
	}
	return taken && !p.remove(w) // somebody else has started a reader
}

// open returns the set of descriptors, or nil where there is none to be had.
func (p *parking) open() *pollSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set == nil {
		set, err := openPollSet()
		if err != nil {
			return nil
		}
		p.set = set
		p.waking.Go(func() { p.run(set) })
	}
	return p.set
}

// take gives w a place.
func (p *parking) take(w *webSocket, descriptor int) (generation int32, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.place.closed {
		return 0, false
	}
	for len(p.parked) <= descriptor {
		p.parked = append(p.parked, nil)
	}
	if former := p.parked[descriptor]; former != nil {
		p.start(former) // whose descriptor was closed by somebody else: it finds out
	}
	p.generation++
	w.place.descriptor, w.place.generation = descriptor, p.generation
	p.parked[descriptor] = w
	p.count++
	p.work.Add(1)
	return p.generation, true
}

// remove takes w back and reports whether it was parked.
func (p *parking) remove(w *webSocket) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.holds(w) {
		return false
	}
	p.vacate(w)
	p.work.Done() // the caller is counted itself
	return true
}

// leave starts w's reader if w is parked, and keeps it from being parked again.
// It comes before the descriptor is closed, which would never wake w.
func (p *parking) leave(w *webSocket) {
	p.mu.Lock()
	w.place.closed = true
	parked := p.holds(w)
	if parked {
		p.vacate(w)
	}
	p.mu.Unlock()
	if !parked {
		return
	}
	_ = w.frames.raw.Control(func(fd uintptr) { p.set.forget(int(fd)) }) // fails only on a closed connection
	p.resume(w)
}

// run wakes connections until the set is closed.
func (p *parking) run(set *pollSet) {
	for {
		events, err := set.wait()
		if err != nil {
			return
		}
		p.wake(events)
	}
}

// wake starts the readers of the connections that events are for.
func (p *parking) wake(events []pollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range events {
		if e.descriptor < 0 || e.descriptor >= len(p.parked) {
			continue
		}
		if w := p.parked[e.descriptor]; w != nil && w.place.generation == e.generation {
			p.start(w)
		}
	}
}

// start starts the reader of a parked connection. The caller holds mu.
func (p *parking) start(w *webSocket) {
	p.vacate(w)
	p.resume(w)
}

// resume gives a reader to a connection that was taken off its place.
func (p *parking) resume(w *webSocket) {
	p.work.Go(w.serve)
	p.work.Done()
}

// holds says whether w is parked. The caller holds mu.
func (p *parking) holds(w *webSocket) bool {
	return w.place.descriptor < len(p.parked) && p.parked[w.place.descriptor] == w
}

// vacate frees w's place. The caller holds mu.
func (p *parking) vacate(w *webSocket) {
	p.parked[w.place.descriptor] = nil
	p.count--
}

// size returns how many connections are parked.
func (p *parking) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// close ends the goroutine. No connection is open any more.
func (p *parking) close() {
	p.mu.Lock()
	if p.set != nil {
		p.set.close()
	}
	p.mu.Unlock()
	p.waking.Wait()
}
