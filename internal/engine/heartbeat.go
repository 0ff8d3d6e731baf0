package engine

import (
	"sync"
	"time"
)

// heartbeat holds the deadlines of all sessions. A session waits for its next
// ping or for a pong, and all wait equally long for the same thing, so deadlines
// come in the order in which they were set: two lists with a timer at the head
// of each replace a timer per session.
type heartbeat struct {
	start time.Time

	mu      sync.Mutex // guards what follows, and every session's beat
	pings   beatList
	pongs   beatList
	stopped bool
	running sync.WaitGroup // timer functions
}

// beatList is a list of sessions by deadline.
type beatList struct {
	wait        time.Duration
	first, last *Session
	timer       *time.Timer
	armed       bool
	due         func(*Session) // called without the lock
}

// beat is a session's place in a list.
type beat struct {
	list           *beatList
	due            time.Duration // since heartbeat.start
	previous, next *Session
}

func (h *heartbeat) init(o *Options) {
	h.start = time.Now()
	h.pings.wait, h.pings.due = o.PingInterval, h.ping
	h.pongs.wait, h.pongs.due = o.PingTimeout, h.timeOut
}

// add begins the heartbeat of a session that was opened.
func (h *heartbeat) add(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !s.ended.Load() {
		h.append(&h.pings, s)
	}
}

// pong ends the wait for a pong. One that nobody waits for is ignored.
func (h *heartbeat) pong(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.beat.list == &h.pongs {
		h.unlink(s)
		h.append(&h.pings, s)
	}
}

// renew gives a session the whole time again for its pong.
func (h *heartbeat) renew(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.beat.list == &h.pongs {
		h.unlink(s)
		h.append(&h.pongs, s)
	}
}

// remove ends the heartbeat of a session.
func (h *heartbeat) remove(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.beat.list != nil {
		h.unlink(s)
	}
}

// stop ends all heartbeats and waits for what is running.
func (h *heartbeat) stop() {
	h.mu.Lock()
	h.stopped = true
	for _, l := range []*beatList{&h.pings, &h.pongs} {
		if l.armed && l.timer.Stop() {
			l.armed = false
			h.running.Done()
		}
	}
	h.mu.Unlock()
	h.running.Wait()
}

// ping is called when a session is due for a ping, already in the list for pongs.
func (h *heartbeat) ping(s *Session) { _ = s.Send(pingMessage) } // a failure has ended the session

// timeOut is called when a session's pong is overdue.
func (h *heartbeat) timeOut(s *Session) { s.fail(ReasonPingTimeout, nil) }

// expire is the timer function of l.
func (h *heartbeat) expire(l *beatList) {
	defer h.running.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		s := l.first
		if s == nil || s.beat.due > time.Since(h.start) {
			break
		}
		h.unlink(s)
		act := l.due
		if l == &h.pings {
			h.append(&h.pongs, s)
		} else if s.receiving.Load() > 0 {
			// The pong may wait behind the message that the receiver still has. The
			// client wants to hear pings all the same, and one that has gone is
			// noticed by writing to it.
			h.append(&h.pongs, s)
			act = h.ping
		}
		h.mu.Unlock()
		act(s)
		h.mu.Lock()
	}
	l.armed = false
	h.arm(l)
}

// append puts s at the end of l. The caller holds mu.
func (h *heartbeat) append(l *beatList, s *Session) {
	s.beat = beat{list: l, due: time.Since(h.start) + l.wait, previous: l.last}
	if l.last == nil {
		l.first = s
	} else {
		l.last.beat.next = s
	}
	l.last = s
	h.arm(l)
}

// unlink takes s off its list. The caller holds mu.
func (h *heartbeat) unlink(s *Session) {
	l, previous, next := s.beat.list, s.beat.previous, s.beat.next
	if previous == nil {
		l.first = next
	} else {
		previous.beat.next = next
	}
	if next == nil {
		l.last = previous
	} else {
		next.beat.previous = previous
	}
	s.beat = beat{}
}

// arm sets the timer for the head of l, unless it is set: when it fires early,
// because the head has gone, it is set anew. The caller holds mu.
func (h *heartbeat) arm(l *beatList) {
	if l.first == nil || l.armed || h.stopped {
		return
	}
	l.armed = true
	h.running.Add(1)
	wait := l.first.beat.due - time.Since(h.start)
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, func() { h.expire(l) })
		return
	}
	l.timer.Reset(wait)
}
