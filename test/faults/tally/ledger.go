// Package tally counts what became of numbered broadcasts: which were lost, came
// twice or out of order, and how long they took. It is pure; what it counts,
// others saw.
package tally

import (
	"slices"
	"sync"
	"time"
)

// Everybody is the selection of all clients; any other is the number of a room.
const Everybody = -1

// Message is a broadcast whose Emit returned success.
type Message struct {
	// Sender is the number of the node that sent it. A restarted node has another.
	Sender int
	// Number counts the sender's messages, from 1.
	Number int
	// Selection is Everybody, or the room to which it went.
	Selection int
	// Sent is when Emit was called.
	Sent time.Time
}

// Ledger is the list of what was accepted. It is safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex
	messages []Message
	refused  int
}

// Accept adds a message.
func (l *Ledger) Accept(m Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, m)
}

// Refuse counts a message for which Emit returned an error, or nothing at all.
func (l *Ledger) Refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
}

// Refused returns how many messages were refused.
func (l *Ledger) Refused() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// Accepted returns a copy of the messages, in no particular order.
func (l *Ledger) Accepted() []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.messages)
}
