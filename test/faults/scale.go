package main

import "time"

// rowLimit bounds a row for one adapter, whatever hangs.
const rowLimit = 6 * time.Minute

// scale is how much is run for how long.
type scale struct {
	name string
	// together says that a row's adapters are tried at the same time.
	together bool
	// ratios says that the runs are long enough, and the numbers large enough, for
	// comparing quantiles and memory in proportion.
	ratios bool
	// interest turns interest routing on, where there is such an option.
	interest bool
	// clients are connected, half of them in rooms.
	clients, rooms int
	// rate is the number of broadcasts per second, each of size bytes.
	rate, size int
	// calm is the time before a fault, outage that during which Redis is away, and
	// after what follows.
	calm, outage, after time.Duration
	// drain is the time over which a node that is told to stop lets its clients go.
	drain time.Duration
	// cut is for how long one node cannot reach Redis.
	cut time.Duration
	// heartbeat and heartbeatTimeout are the nodes' among each other.
	heartbeat, heartbeatTimeout time.Duration
	// late is what a busy machine may add until a dead node is given up.
	late time.Duration
	// ping and pingTimeout are the nodes' towards clients in the row that waits for
	// them.
	ping, pingTimeout time.Duration
	// storm is how many clients come back at once.
	storm int
	// flood is how long one run with a client lasts that does not read, and runs how
	// many there are of each kind.
	flood time.Duration
	runs  int
}

var fullScale = scale{
	name:    "full",
	ratios:  true,
	clients: 300, rooms: 10,
	rate: 100, size: 200,
	calm: 5 * time.Second, outage: 5 * time.Second, after: 8 * time.Second,
	drain:     10 * time.Second,
	cut:       30 * time.Second,
	heartbeat: 5 * time.Second, heartbeatTimeout: 10 * time.Second,
	ping: 5 * time.Second, pingTimeout: 4 * time.Second,
	storm: 10_000,
	flood: 12 * time.Second, runs: 5,
}

// shortScale asks the same questions with fewer clients and in less time. Limits
// that depend on the heartbeats move with them, with room for a busy machine, and
// proportions are only printed;
// all other limits are those of fullScale.
var shortScale = scale{
	name:     "short",
	together: true,
	clients:  60, rooms: 10,
	rate: 100, size: 200,
	calm: time.Second, outage: time.Second, after: 3 * time.Second,
	drain:     2 * time.Second,
	cut:       12 * time.Second,
	heartbeat: 500 * time.Millisecond, heartbeatTimeout: time.Second, late: time.Second,
	ping: time.Second, pingTimeout: time.Second,
	storm: 500,
	flood: 10 * time.Second, runs: 1,
}
