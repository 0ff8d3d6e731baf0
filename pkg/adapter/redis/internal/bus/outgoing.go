package bus

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Outgoing is a message on its way to Redis and the command that carries it. It
// is used again and again: its command refers to its fields.
type Outgoing struct {
	*goredis.IntCmd
	// Channel is where the message goes.
	Channel string
	// Body is its payload; append to it to keep its memory in use.
	Body   Body
	queued time.Time
	number uint64 // in the order of Enqueue
	slot   int    // the channel's, in a Redis Cluster
	probe  bool   // nobody misses it, and it is for its own lane
}

// Body is a message in its wire form. As a pointer it is an argument that
// go-redis writes without a copy.
type Body []byte

// MarshalBinary implements encoding.BinaryMarshaler.
func (b *Body) MarshalBinary() ([]byte, error) { return *b, nil }

func newOutgoing(command string) *Outgoing {
	o := &Outgoing{}
	o.IntCmd = goredis.NewIntCmd(context.Background(), command, &o.Channel, &o.Body)
	return o
}

// NoRetry implements goredis.Cmder: go-redis would send a pipeline again whose
// replies were lost, and receivers would see its messages twice.
func (o *Outgoing) NoRetry() bool { return true }

// outgoingOverhead is what an Outgoing takes in memory beside its texts, so that
// a queue of tiny messages is bounded too.
const outgoingOverhead = 256

func (o *Outgoing) size() int64 {
	return int64(len(o.Channel) + len(o.Body) + outgoingOverhead)
}

// countMessages returns how many of list are not probes.
func countMessages(list []*Outgoing) int {
	n := 0
	for _, o := range list {
		if !o.probe {
			n++
		}
	}
	return n
}
