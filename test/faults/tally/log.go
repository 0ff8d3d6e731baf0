package tally

import (
	"slices"
	"sync"
	"time"
)

// Arrival is a message as one client got it.
type Arrival struct {
	// Sender and Number are the message's.
	Sender, Number int
	// At is when it came, in nanoseconds of Unix time: there are millions of these.
	At int64
}

// Sitting is a time in which a client was connected to one node.
type Sitting struct {
	// Node is the number under which that node sends.
	Node int
	// From is when the client had joined its room; To is when it lost the connection,
	// and zero while it has it.
	From, To time.Time
	// Recovered says that the client came back with its earlier id.
	Recovered bool
}

// Log is what one client has seen. It is safe for concurrent use.
type Log struct {
	// Room is the client's room, or Everybody for one that is in none.
	Room int
	// Recovers says that the client gets what it has missed when it comes back.
	Recovers bool

	mu       sync.Mutex
	arrivals []Arrival
	sittings []Sitting
}

// Arrive adds an arrival.
func (l *Log) Arrive(a Arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals = append(l.arrivals, a)
}

// Sit begins a sitting.
func (l *Log) Sit(s Sitting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sittings = append(l.sittings, s)
}

// Leave ends the present sitting.
func (l *Log) Leave(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.sittings); n > 0 && l.sittings[n-1].To.IsZero() {
		l.sittings[n-1].To = at
	}
}

// Arrivals returns a copy of what has come, in order.
func (l *Log) Arrivals() []Arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.arrivals)
}

// Sittings returns a copy of the client's sittings, in order.
func (l *Log) Sittings() []Sitting {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sittings)
}

// Count returns how many messages have come.
func (l *Log) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.arrivals)
}
