package adapter

import (
	"context"
	"time"
)

// NodeID names one server process in a cluster. It is opaque, unique and never
// reused; a restarted process has a new one.
type NodeID string

// Adapter connects this process to the other nodes of a cluster. It is safe for
// concurrent use. What it starts ends with the last Link that it gave out.
type Adapter interface {
	// Join enters topic as self. Once Join has returned without an error, every
	// message that another node publishes to topic, addressed to all or to self,
	// is passed to deliver: in order per sender, once, one call at a time.
	// Messages published by self are not delivered to it. deliver returns
	// promptly and may keep the message. A nil deliver joins to publish only.
	//
	// When the backend cannot be reached, Join returns a working Link together
	// with an error that wraps ErrDegraded: the link connects in the background.
	// With any other error the Link is nil. Join waits no longer than ctx.
	Join(ctx context.Context, topic string, self NodeID, deliver func(*Message)) (Link, error)
}

// Link is one node's membership of one topic. It is safe for concurrent use.
type Link interface {
	// Publish queues m for the other nodes of the topic, or for m.To alone when
	// set. It does not wait for the backend: it fails with ErrClosed after Close,
	// with ErrQueueFull when the backend is away and its queue has no room, and
	// with ErrTooLarge for a message that the backend would refuse. Publish must
	// not keep m after it has returned; it may keep the bytes that m refers to.
	// Two calls from one goroutine arrive in that order, but in a topic with a log a
	// message for one node may be overtaken by later ones for all.
	Publish(ctx context.Context, m *Message) error
	// Close leaves the topic, waits for a running deliver to return and hands
	// what is queued to the backend. It waits no longer than ctx and then returns
	// ctx's error. After it has returned no call of deliver begins, and none runs
	// if it returned nil. Closing twice is harmless; each call waits.
	Close(ctx context.Context) error
}

// RoomObserver is implemented by a Link that routes broadcasts by interest: a
// broadcast to a room then travels only to nodes that have it. The server tells
// it which rooms those are.
type RoomObserver interface {
	// RoomOccupied says that room has local members. It is called by each that
	// comes, and so also for a room that is occupied already. It returns when
	// broadcasts to that room will arrive, with an error that wraps ErrDegraded
	// at once while the backend is known to be away (they will arrive after it is
	// back), or with ctx's error. In each case it has taken note before it returns.
	RoomOccupied(ctx context.Context, room string) error
	// RoomEmpty says that the last local member has left room, which may not be
	// known. It does not block and calls nobody back: the server holds a lock.
	RoomEmpty(room string)
	// SocketIDs says that the ids of this node's sockets have 20 characters and
	// end in suffix. Each such id names a room that is never announced by
	// RoomOccupied. It may be called again with another suffix; the earlier ones
	// stay valid. It returns as RoomOccupied does. An error that wraps
	// errors.ErrUnsupported means that this link cannot be told of ids together: then
	// each is announced by RoomOccupied, as is always an id that ends otherwise.
	SocketIDs(ctx context.Context, suffix string) error
}

// NodeCounter is implemented by a Link whose topic may have members that send no
// heartbeats, such as Node.js servers. A call that gathers answers then waits for
// those too.
type NodeCounter interface {
	// CountNodes returns how many nodes of any kind have joined the topic, this one
	// included. It waits for the backend no longer than ctx, and fails with an error
	// that wraps ErrDegraded while that is known to be away.
	CountNodes(ctx context.Context) (int, error)
}

// State says whether an adapter reaches its backend.
type State int

const (
	// Up means that messages travel in both directions.
	Up State = iota
	// Degraded means that they do not at the moment; the adapter is trying again.
	Degraded
)

// String returns "up" or "degraded".
func (s State) String() string {
	if s == Up {
		return "up"
	}
	return "degraded"
}

// Status is what an adapter knows of its backend.
type Status struct {
	// State is the present state.
	State State
	// Since is when State was entered.
	Since time.Time
	// Dropped counts the messages that did not travel, by a reason from a fixed
	// list: "queue_full", "expired", "too_large", "malformed", "foreign", "unsigned".
	Dropped map[string]uint64
	// Interruptions counts how often the backend was lost.
	Interruptions uint64
	// Gaps counts the times in which messages of other nodes may have been missed.
	Gaps uint64
	// LogGaps counts how often a log had lost its oldest entries before this node had
	// read them.
	LogGaps uint64
	// LogResets counts how often a log was found empty, or another one than before.
	LogResets uint64
	// Repeated counts the entries of a log that were there more than once and were
	// delivered once.
	Repeated uint64
	// RoundTrips says how long messages that the adapter sends to itself took.
	RoundTrips RoundTrips
}

// RoundTrips says how long it takes a message to the backend and back. Both ends are
// one clock's, which cannot be said of the ways between nodes.
type RoundTrips struct {
	// Count is the number of messages that came back.
	Count uint64
	// Sum is how long all of them took together.
	Sum time.Duration
	// Within counts, for each of RoundTripBounds, those that took no longer.
	Within [len(RoundTripBounds)]uint64
}

// RoundTripBounds are the bounds of RoundTrips.Within.
var RoundTripBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// Add counts a message that took d.
func (r *RoundTrips) Add(d time.Duration) {
	r.Count++
	r.Sum += d
	for i, bound := range RoundTripBounds {
		if d <= bound {
			r.Within[i]++
		}
	}
}

// Reporter is implemented by an Adapter that knows the state of its backend.
type Reporter interface {
	// Status returns the present status. It does not block.
	Status() Status
}

// SubscriptionCounter is implemented by an Adapter whose backend has subscriptions.
type SubscriptionCounter interface {
	// Subscriptions returns to how many channels of each kind this node is subscribed,
	// the kinds being words of a fixed list. It visits them all, but does not wait for
	// the backend.
	Subscriptions() map[string]int
}

// Watcher is implemented by an Adapter that says at once what happens to its
// backend.
type Watcher interface {
	// Watch calls f for each event, one at a time and in order, until stop is called.
	// f must return promptly. stop waits for a running call of f, so f must not call
	// it.
	Watch(f func(Event)) (stop func())
}

// Event is something that has happened to an adapter's backend.
type Event struct {
	// Status is the adapter's status after it.
	Status Status
	// Cause says why the backend was lost; nil when it was not.
	Cause error
	// Gap is what may have been missed; nil for a change of state alone.
	Gap *Gap
}

// Gap is a time in which messages of other nodes may have been missed.
type Gap struct {
	// Topics are those concerned, sorted.
	Topics []string
	// From is when messages were last known to arrive.
	From time.Time
	// To is when they were known to arrive again.
	To time.Time
	// Missed is how many entries of a log were not read, of all its topics; 0 where
	// that is unknown.
	Missed uint64
}
