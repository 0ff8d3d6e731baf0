package server

import "sync"

// The bounds of what other nodes have sent and the program has not yet handled, in one
// namespace. Something of any size has room when nothing else waits.
const (
	backlogEvents = 10_000
	backlogBytes  = 64 << 20
)

// backlog counts what waits.
type backlog struct {
	events int
	bytes  int64
}

// add counts something and says whether there was room.
func (b *backlog) add(size int64) bool {
	if b.events >= backlogEvents || b.events > 0 && b.bytes+size > backlogBytes {
		return false
	}
	b.events++
	b.bytes += size
	return true
}

func (b *backlog) remove(size int64) {
	b.events--
	b.bytes -= size
}

// parallel runs functions beside each other.
type parallel struct {
	mu      sync.Mutex
	running backlog
}

// run starts f, which holds so many bytes, and says whether there was room.
func (p *parallel) run(t *tasks, size int64, f func()) bool {
	p.mu.Lock()
	accepted := p.running.add(size)
	p.mu.Unlock()
	if !accepted {
		return false
	}
	t.Go(func() {
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.running.remove(size)
		}()
		f()
	})
	return true
}

// serial runs functions one after the other, in a goroutine that lives while there
// are some.
type serial struct {
	mu      sync.Mutex
	queue   []job
	waiting backlog // of the queue
	running bool
}

type job struct {
	f    func()
	size int64
}

// add queues f and says whether there was room.
func (q *serial) add(t *tasks, f func()) bool { return q.addHolding(t, 0, f) }

// addHolding queues f, which holds so many bytes, and says whether there was room.
func (q *serial) addHolding(t *tasks, size int64, f func()) bool {
	q.mu.Lock()
	if !q.waiting.add(size) {
		q.mu.Unlock()
		return false
	}
	q.queue = append(q.queue, job{f, size})
	start := !q.running
	q.running = true
	q.mu.Unlock()
	if start {
		t.Go(func() { q.run(t) })
	}
	return true
}

// run goes on in another goroutine when a function has ended this one with
// runtime.Goexit.
func (q *serial) run(t *tasks) {
	finished := false
	defer func() {
		if !finished {
			t.Go(func() { q.run(t) })
		}
	}()
	for {
		q.mu.Lock()
		if len(q.queue) == 0 {
			q.queue, q.running = nil, false
			q.mu.Unlock()
			finished = true
			return
		}
		next := q.queue[0]
		q.queue[0] = job{}
		q.queue = q.queue[1:]
		q.waiting.remove(next.size)
		q.mu.Unlock()
		next.f()
	}
}
