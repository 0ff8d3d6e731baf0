package order

import (
	"slices"
	"time"
)

// Limits of what is held. At either of them what has waited longest goes on.
const (
	maxEntries = 8192
	maxCalls   = 8192
	maxSenders = 4096
)

// Message is something that has arrived.
type Message[T any] struct {
	// Sender has numbered it.
	Sender string
	// Number is its place among its sender's messages, from 1. Zero: it has none, and
	// is not held for its own sake.
	Number uint64
	// Aside says that it is for this node alone: it comes after the message with its
	// number, which others have too, and takes no place itself.
	Aside bool
	// Value is what is passed on.
	Value T

	arrived time.Time
}

// Sequencer holds what is ahead. Its methods are for one goroutine.
type Sequencer[T any] struct {
	// Deliver is called with each message when it is its turn.
	Deliver func(T)
	// Patience is how long a message is held for another one of a sender that is known.
	Patience time.Duration
	// Introduction is how long the first message of a sender that is not known is held,
	// for those that it may have sent just before. Usually there are none: it was there
	// before this node.
	Introduction time.Duration

	senders map[string]*sender[T]
	entries []Message[T] // of the stream, the head of which is ahead
	held    int          // calls
}

// sender is what is known of one.
type sender[T any] struct {
	known bool
	last  uint64       // number of the last message that was passed on
	came  time.Time    // when the stream brought something of its last
	calls []Message[T] // that are ahead, by number
}

// Entry takes a message of the stream, in the stream's order.
func (s *Sequencer[T]) Entry(m Message[T], now time.Time) {
	m.arrived = now
	s.sender(m.Sender).came = now
	s.entries = append(s.entries, m)
	if len(s.entries) > maxEntries {
		s.release(s.entries[0])
	}
	s.advance()
}

// Meet says that a sender begins with its first message, so that what is missing from
// there on is missing here. It is to be called before anything of the sender's comes.
func (s *Sequencer[T]) Meet(name string) { s.sender(name).known = true }

// Call takes a message that has come over pub/sub.
func (s *Sequencer[T]) Call(m Message[T], now time.Time) {
	m.arrived = now
	from := s.sender(m.Sender)
	if m.Number == 0 || !from.ahead(&m) {
		s.pass(from, &m)
		s.advance()
		return
	}
	at, _ := slices.BinarySearchFunc(from.calls, m.Number, func(held Message[T], number uint64) int {
		if held.Number <= number { // behind its equals
			return -1
		}
		return 1
	})
	from.calls = slices.Insert(from.calls, at, m)
	if s.held++; s.held > maxCalls {
		s.skip(from)
		s.advance()
	}
}

// Expire passes on what has been held for long enough, and returns when to call it
// again, the zero time if nothing is held. With hurry nothing is worth waiting for.
//
// A call is held for longer while the stream brings entries of its sender: the stream
// may be behind, but it loses nothing.
func (s *Sequencer[T]) Expire(now time.Time, hurry bool) (again time.Time) {
	for len(s.entries) > 0 {
		head := s.entries[0]
		if end := head.arrived.Add(s.patience(s.sender(head.Sender))); !hurry && end.After(now) {
			again = end
			break
		}
		s.release(head)
		s.advance()
	}
	for name, from := range s.senders {
		for len(from.calls) > 0 && !s.awaits(name, from.calls[0].Number) {
			end := later(from.calls[0].arrived, from.came).Add(s.patience(from))
			if !hurry && end.After(now) {
				again = earlier(again, end)
				break
			}
			s.skip(from)
			s.advance()
		}
	}
	return again
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func (s *Sequencer[T]) patience(from *sender[T]) time.Duration {
	if from.known {
		return s.Patience
	}
	return s.Introduction
}

// awaits says that an entry of that sender is held that comes before number. The call
// then waits for the entry, and not on its own account.
func (s *Sequencer[T]) awaits(name string, number uint64) bool {
	return slices.ContainsFunc(s.entries, func(e Message[T]) bool { return e.Sender == name && e.Number <= number })
}

// sender returns what is known of name. Beyond the limit a stranger takes the place of
// another one of which nothing is held: a name that was forgotten is one more stranger.
func (s *Sequencer[T]) sender(name string) *sender[T] {
	if from := s.senders[name]; from != nil {
		return from
	}
	if s.senders == nil {
		s.senders = make(map[string]*sender[T])
	}
	if len(s.senders) >= maxSenders {
		for other, from := range s.senders {
			if len(from.calls) == 0 {
				delete(s.senders, other)
				break
			}
		}
	}
	from := &sender[T]{}
	s.senders[name] = from
	return from
}

// ahead says that something of its sender's is missing before m.
func (f *sender[T]) ahead(m *Message[T]) bool {
	if m.Aside {
		return m.Number > f.last
	}
	return m.Number > f.last+1
}

// pass passes m on.
func (s *Sequencer[T]) pass(from *sender[T], m *Message[T]) {
	if m.Number > 0 {
		from.known = true
		from.last = max(from.last, m.Number)
	}
	s.Deliver(m.Value)
	s.follow(from)
}

// follow passes on the calls whose turn it is.
func (s *Sequencer[T]) follow(from *sender[T]) {
	for len(from.calls) > 0 && !from.ahead(&from.calls[0]) {
		s.next(from)
	}
}

// next passes on the first of the held calls, whatever is missing before it.
func (s *Sequencer[T]) next(from *sender[T]) {
	m := from.calls[0]
	from.calls[0] = Message[T]{}
	if from.calls = from.calls[1:]; len(from.calls) == 0 {
		from.calls = nil
	}
	s.held--
	from.known = true
	from.last = max(from.last, m.Number)
	s.Deliver(m.Value)
}

// skip gives up what is missing before the first of the held calls.
func (s *Sequencer[T]) skip(from *sender[T]) {
	s.next(from)
	s.follow(from)
}

// release gives up what is missing before the entry at the head.
func (s *Sequencer[T]) release(head Message[T]) {
	from := s.sender(head.Sender)
	for len(from.calls) > 0 && from.calls[0].Number < head.Number {
		s.next(from)
	}
	from.known = true
	from.last = max(from.last, head.Number-1)
}

// advance passes on the entries whose turn it is.
func (s *Sequencer[T]) advance() {
	for len(s.entries) > 0 {
		m := s.entries[0]
		from := s.sender(m.Sender)
		if m.Number > 0 && from.ahead(&m) {
			return
		}
		s.entries[0] = Message[T]{}
		if s.entries = s.entries[1:]; len(s.entries) == 0 {
			s.entries = nil
		}
		s.pass(from, &m)
	}
}
