// Package node is the program of one node under test: a server with three
// handlers, and a second listener over which the bench drives it and looks inside.
package node

import "time"

// Config says what a node is. It travels to the process as JSON.
type Config struct {
	// Sender is the number under which the node sends.
	Sender int
	// Adapter is memory, pubsub, sharded or streams.
	Adapter string
	// Redis is where Redis is; not used by memory.
	Redis Redis
	// InterestRouting is the option of pubsub and sharded.
	InterestRouting bool
	// Recovery turns connection state recovery on.
	Recovery bool
	// StreamMaxLen and WaitReplicas are those of the streams adapter; 0: its defaults.
	StreamMaxLen int64
	// WaitReplicas is how many replicas must have an entry.
	WaitReplicas int
	// PingInterval and PingTimeout are the server's; 0: its defaults.
	PingInterval, PingTimeout time.Duration
	// Drain is the time over which clients are let go when the node is told to stop.
	Drain time.Duration
	// HeartbeatInterval and HeartbeatTimeout are the server's; 0: its defaults.
	HeartbeatInterval, HeartbeatTimeout time.Duration
}

// Redis says where Redis is: one address of a single server, those of a cluster,
// or those of sentinels.
type Redis struct {
	// Addrs are addresses, as host:port.
	Addrs []string
	// Cluster says that they are members of a Redis Cluster.
	Cluster bool
	// Sentinel is the name under which sentinels know the primary; empty if the
	// addresses are not those of sentinels.
	Sentinel string
}

// Addresses is what a node prints when it serves.
type Addresses struct {
	// Web is where clients connect.
	Web string
	// Admin is where the bench does.
	Admin string
}

// Sent is the answer to an order to emit.
type Sent struct {
	// Number is the number of the message; 0 when Emit failed.
	Number int
	// At is when Emit was called.
	At time.Time
	// Error says why Emit failed.
	Error string
}

// Found is the answer to an order to fetch all sockets.
type Found struct {
	// Sockets is their number.
	Sockets int
	// Rooms are the numbers of members by room.
	Rooms map[string]int
	// Error says that not all nodes answered.
	Error string
}

// Asked is the answer to an order to broadcast with acknowledgement.
type Asked struct {
	// Answers is how many sockets have acknowledged.
	Answers int
	// Took is how long the call took.
	Took time.Duration
	// Error says what was missing.
	Error string
}

// State is what is known of a node.
type State struct {
	// Goroutines is how many there are, without idle ones that are kept for handlers.
	Goroutines int
	// Heap is the size of live objects, in bytes.
	Heap uint64
	// Ready and Bus are the server's health.
	Ready bool
	// Bus is "up" or "degraded".
	Bus string
	// Others is how many other nodes are known to live.
	Others int
	// Sessions is the number of sessions.
	Sessions int64
	// SlowConsumers counts clients that were closed because they did not read.
	SlowConsumers uint64
	// Panics counts panics.
	Panics uint64
	// Recoveries counts the clients that came back with a private id, by what became of
	// it.
	Recoveries map[string]uint64
	// Dropped counts messages that the adapter dropped, by reason.
	Dropped map[string]uint64
	// Interruptions, Gaps, LogGaps, LogResets and Repeated are the adapter's counts.
	Interruptions, Gaps, LogGaps, LogResets, Repeated uint64
}
