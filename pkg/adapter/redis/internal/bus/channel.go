package bus

// Channel is what can be subscribed to. A channel and a pattern may have the same text.
type Channel struct {
	// Name is the name of a channel, or a pattern of names.
	Name string
	// Pattern says that it is a pattern, with the wildcards of PSUBSCRIBE.
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

// Route is one receiver's interest in a channel.
type Route struct {
	// To is told of what arrives.
	To Receiver
	// Kind says why it listens, in its own words. It comes back with each Arrival.
	Kind uint8
}

// Arrival is a message as Redis has delivered it.
type Arrival struct {
	// Kind is that of the Route.
	Kind uint8
	// Pattern is what the channel matched, empty if it was subscribed to by its name.
	Pattern string
	// Channel is where the message was published.
	Channel string
	// Payload is its body.
	Payload string
	// Shared says that there are other receivers, which must not wait for this one.
	Shared bool
}

// size is what a takes in memory, so that a queue of empty messages is bounded too.
func (a *Arrival) size() int { return len(a.Payload) + len(a.Channel) + 128 }
