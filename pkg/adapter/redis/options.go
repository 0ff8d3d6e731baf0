package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/loglimit"
)

// Options configures an Adapter. The zero value is a good choice.
type Options struct {
	// Prefix begins the name of every channel. Empty means "socket.io", which is
	// also the default of the Node.js adapters, where it is called key or channelPrefix.
	Prefix string
	// MaxMessageBytes is how large a message may be in its wire form, in either
	// direction. Zero means 16 MiB; a negative value is an error.
	MaxMessageBytes int64
	// PublishQueueBytes bounds the messages that wait for Redis. Zero means
	// 16 MiB; a negative value is an error.
	PublishQueueBytes int64
	// NodeJS says that Node.js servers are in the cluster: calls that gather answers
	// then wait for theirs too. Each node needs an Adapter of its own, since Redis counts
	// connections. Without it Node.js servers get broadcasts, requests and answers, but
	// are not asked for any.
	NodeJS bool
	// PublishOnSpecificResponseChannel sends an answer to a Node.js server on a channel
	// that only this server hears, as the option of that name does in Node.js. The
	// answers to its events for servers go to all in any case. It is for New only: the
	// other forms do it always.
	PublishOnSpecificResponseChannel bool
	// InterestRouting makes the broadcasts to a room travel only to the nodes that have
	// it. It is for clusters of roomcast nodes, all of which have it set: a node that
	// hears a Node.js server goes back to the compatible way, and says so in its log.
	InterestRouting bool
	// HMACKey signs all messages, of which those without a right signature are dropped
	// and counted as "unsigned". All nodes have the same key, of 16 bytes or more. Nil means
	// no signatures. Node.js servers and emitters cannot take part. A signature does not
	// keep who can read the channels from sending a message again.
	HMACKey []byte
	// Logger gets a line when Redis is lost or back, and at most ten a second for
	// dropped messages. Nil means slog.Default().
	Logger *slog.Logger
}

const (
	defaultPrefix   = "socket.io"
	defaultMaxBytes = 16 << 20
	logsPerSecond   = 10
	minKeyBytes     = 16
)

// withDefaults fills in what is zero and fails for what cannot be meant.
func (o Options) withDefaults() (Options, error) {
	switch {
	case o.MaxMessageBytes < 0:
		return o, errors.New("redis: option MaxMessageBytes is negative")
	case o.PublishQueueBytes < 0:
		return o, errors.New("redis: option PublishQueueBytes is negative")
	case o.HMACKey != nil && len(o.HMACKey) < minKeyBytes:
		return o, fmt.Errorf("redis: option HMACKey has %d bytes, fewer than %d", len(o.HMACKey), minKeyBytes)
	case o.NodeJS && o.HMACKey != nil:
		return o, errors.New("redis: options NodeJS and HMACKey exclude each other: Node.js servers do not sign")
	case o.NodeJS && o.InterestRouting:
		return o, errors.New("redis: options NodeJS and InterestRouting exclude each other: Node.js servers do not route by interest")
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = defaultMaxBytes
	}
	if o.PublishQueueBytes == 0 {
		o.PublishQueueBytes = defaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.HMACKey = slices.Clone(o.HMACKey)
	o.Logger = slog.New(loglimit.New(o.Logger.Handler(), logsPerSecond))
	return o, nil
}

// checkClient fails for a client that no adapter can use.
func checkClient(client goredis.UniversalClient) error {
	if client == nil {
		return errors.New("redis: client is nil")
	}
	if _, ring := client.(*goredis.Ring); ring {
		return errors.New("redis: a Ring cannot be used: its servers do not share their channels")
	}
	return nil
}

// readsReplicas says that a client may subscribe on replicas.
func readsReplicas(client goredis.UniversalClient) bool {
	c, cluster := client.(*goredis.ClusterClient)
	return cluster && c.Options().ReadOnly
}

// SubscriptionMode says which rooms have channels of their own in sharded pub/sub. All
// members of a cluster, of Node.js too, use the same one.
type SubscriptionMode int

const (
	// Dynamic gives a channel to each room but those whose name has the 20 characters
	// of a socket's id.
	Dynamic SubscriptionMode = iota
	// Static has one channel for all broadcasts of a namespace.
	Static
	// DynamicPrivate gives a channel to each room, and so to each socket.
	DynamicPrivate
)

// ShardedOptions configures an Adapter over sharded pub/sub. The zero value is a good
// choice.
type ShardedOptions struct {
	Options
	// SubscriptionMode says which rooms have channels of their own. Zero means Dynamic.
	SubscriptionMode SubscriptionMode
}

func (o ShardedOptions) withDefaults() (ShardedOptions, error) {
	switch {
	case o.SubscriptionMode < Dynamic || o.SubscriptionMode > DynamicPrivate:
		return o, fmt.Errorf("redis: option SubscriptionMode is %d, which is none", o.SubscriptionMode)
	case o.InterestRouting && o.SubscriptionMode != Dynamic:
		return o, errors.New("redis: option InterestRouting needs the SubscriptionMode Dynamic: with the others it has nothing to decide")
	case o.PublishOnSpecificResponseChannel:
		return o, errors.New("redis: option PublishOnSpecificResponseChannel is for New: sharded pub/sub does it always")
	}
	var err error
	o.Options, err = o.Options.withDefaults()
	return o, err
}
