package memory

import (
	"sync"
	"time"
)

// slack is how much longer than it must a sweeper lets things lie, so that a busy
// log is swept once in that time and not once for each broadcast.
const slack = time.Second

// sweeper has one timer while something is kept and somebody has joined.
type sweeper struct {
	// sweep removes what is too old. It returns how long the rest may stay, and
	// false if nothing is left.
	sweep func() (time.Duration, bool)

	sweeping sync.Mutex // held while sweep runs; before mu

	mu    sync.Mutex
	links int
	timer *time.Timer
	at    time.Time // when the timer fires; zero while it is not set
}

// enter counts a link. What is left from the time before the first one is swept.
func (s *sweeper) enter() {
	s.mu.Lock()
	s.links++
	first := s.links == 1
	s.mu.Unlock()
	if first {
		s.run()
	}
}

// leave takes a link off the count. When it returns for the last one, nothing runs.
func (s *sweeper) leave() {
	s.mu.Lock()
	s.links--
	last := s.links == 0
	if last {
		if s.timer != nil {
			s.timer.Stop()
		}
		s.at = time.Time{}
	}
	s.mu.Unlock()
	if last {
		s.sweeping.Lock()
		defer s.sweeping.Unlock()
	}
}

// wake says that something is kept that may stay for as long.
func (s *sweeper) wake(stay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := time.Now().Add(stay + slack)
	if s.links == 0 || (!s.at.IsZero() && !at.Before(s.at)) {
		return
	}
	s.at = at
	if s.timer == nil {
		s.timer = time.AfterFunc(stay+slack, s.run)
	} else {
		s.timer.Reset(stay + slack)
	}
}

func (s *sweeper) run() {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	s.mu.Lock()
	s.at = time.Time{}
	abandoned := s.links == 0
	s.mu.Unlock()
	if abandoned {
		return
	}
	if stay, left := s.sweep(); left {
		s.wake(stay)
	}
}
