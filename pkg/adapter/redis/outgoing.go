package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// outgoing is a message on its way to Redis and the PUBLISH that carries it. It
// is used again and again: its command refers to its fields.
type outgoing struct {
	*goredis.IntCmd
	channel string
	body    body
	queued  time.Time
	probe   bool // nobody misses it
}

// body is a message in its wire form. As a pointer it is an argument that
// go-redis writes without a copy.
type body []byte

// MarshalBinary implements encoding.BinaryMarshaler.
func (b *body) MarshalBinary() ([]byte, error) { return *b, nil }

func newOutgoing() *outgoing {
	o := &outgoing{}
	o.IntCmd = goredis.NewIntCmd(context.Background(), "publish", &o.channel, &o.body)
	return o
}

// NoRetry implements goredis.Cmder: go-redis would send a pipeline again whose
// replies were lost, and receivers would see its messages twice.
func (o *outgoing) NoRetry() bool { return true }

// countMessages returns how many of list are not probes.
func countMessages(list []*outgoing) int {
	n := 0
	for _, o := range list {
		if !o.probe {
			n++
		}
	}
	return n
}

func (o *outgoing) size() int64 {
	return int64(len(o.channel) + len(o.body) + outgoingOverhead)
}
