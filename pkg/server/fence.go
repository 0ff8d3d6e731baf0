package server

import (
	"sync"
	"time"
)

// fenceTimeout bounds the wait for what was published before.
const fenceTimeout = time.Second

// fence lets what concerns sockets of this node directly take its place behind what
// the node has published before and the log has not brought back yet. Nil lets
// everything happen at once.
type fence struct {
	server *Server

	mu      sync.Mutex
	out     uint64 // how many broadcasts were published and are to come back
	back    uint64 // how many have
	waiting []fenced
	running bool
	news    chan struct{} // has something when the first of waiting may be done
}

// fenced is what is done when so many broadcasts have come back, or late.
type fenced struct {
	behind uint64
	late   time.Time
	act    func()
}

func newFence(s *Server) *fence { return &fence{server: s, news: make(chan struct{}, 1)} }

// behind does what act does, when what this node has published before has come back:
// within fenceTimeout, and at once while the backend is away.
func (n *Namespace) behind(act func()) {
	if n.fence == nil || n.server.busAway() || !n.fence.hold(act) {
		act()
	}
}

// published says that a broadcast is about to be published; before, since it may come
// back at once.
func (f *fence) published() {
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.out++
	}
}

// refused says that it was not.
func (f *fence) refused() {
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.out = max(f.out, 1) - 1
	}
}

// returned says that a broadcast of this node has been served.
func (f *fence) returned() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out = max(f.out, 1) - 1
	f.back++
	if len(f.waiting) > 0 && f.waiting[0].behind <= f.back {
		select {
		case f.news <- struct{}{}:
		default:
		}
	}
}

// hold has act wait, and says false if it need not.
func (f *fence) hold(act func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out == 0 && len(f.waiting) == 0 {
		return false
	}
	f.waiting = append(f.waiting, fenced{behind: f.back + f.out, late: time.Now().Add(fenceTimeout), act: act})
	if !f.running {
		f.running = true
		f.server.tasks.Go(f.run)
	}
	return true
}

// run does what waits, in its order, until nothing is left.
func (f *fence) run() {
	for {
		act, wait := f.next()
		switch {
		case act != nil:
			act()
		case wait == 0:
			return
		default:
			f.await(wait)
		}
	}
}

// next takes what may be done, or says how long it may have to wait, not at all if
// nothing is left. What has not come back in time is taken for lost, so that not all
// that follow wait for it too; should it be late only, they do not wait for all.
func (f *fence) next() (act func(), wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		f.waiting, f.running = nil, false
		return nil, 0
	}
	first := f.waiting[0]
	if first.behind > f.back {
		if wait = time.Until(first.late); wait > 0 && f.server.life.Err() == nil {
			return nil, wait
		}
		f.out -= min(f.out, first.behind-f.back)
	}
	f.waiting[0] = fenced{}
	f.waiting = f.waiting[1:]
	return first.act, 0
}

func (f *fence) await(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-f.news:
	case <-timer.C:
	case <-f.server.life.Done():
	}
}
