package bus

// Channel is what can be subscribed to: a channel, or a pattern of channels. A
// channel and a pattern may have the same text.
type Channel struct {
	Name    string
	Pattern bool
}

// Receiver is told of what arrives. It is compared, so it is a pointer.
type Receiver interface {
	// Receive takes a message. It is called by the goroutine that reads from Redis,
	// and so must not wait; see Inbox.
	Receive(Arrival)
	// Topic is what the receiver has joined, for the report of a gap.
	Topic() string
}

// Route is one receiver's interest in a channel. Kind says why it listens, and
// comes back with each Arrival.
type Route struct {
	To   Receiver
	Kind uint8
}

// Arrival is a message as Redis has delivered it.
type Arrival struct {
	Kind    uint8  // the route's
	Pattern string // empty if it came by the channel's own name
	Channel string
	Payload string
}

// size is what a takes in memory, so that a queue of empty messages is bounded too.
func (a *Arrival) size() int { return len(a.Payload) + len(a.Channel) + 128 }
