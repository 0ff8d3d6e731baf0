package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/stream"
)

// StreamsOptions configures a StreamsAdapter. The zero value is a good choice.
type StreamsOptions struct {
	Options
	// StreamName names the stream. Empty means the Prefix, "socket.io" by default, as in
	// Node.js.
	StreamName string
	// StreamCount spreads the namespaces over so many streams, as the option of that
	// name does in Node.js. Zero means one.
	StreamCount int
	// ShardedPubSub sends calls and answers over sharded pub/sub, as the option
	// useShardedPubSub does in Node.js.
	ShardedPubSub bool
	// MaxLen is about how many entries a stream keeps, of all its namespaces together;
	// Redis removes the oldest in whole blocks. Zero means 10,000.
	MaxLen int64
	// MaxAge removes entries that are older, now and then. Zero keeps them for MaxLen
	// alone. It should exceed the time for which clients may recover, and the time for
	// which a node may be cut off.
	MaxAge time.Duration
	// ReadCount is how many entries are read at a time. Zero means 100.
	ReadCount int64
	// Block is how long one read waits for entries. Zero means 5 seconds.
	Block time.Duration
	// WaitReplicas is how many replicas are to have an entry before its node stops
	// caring for it: after a failover it writes anew what is missing. Zero means none.
	WaitReplicas int
	// SessionKeyPrefix begins the keys of recovery records. Empty means
	// "sio:session:", as in Node.js, or the Prefix and ":session:" if there is one.
	SessionKeyPrefix string
}

const (
	defaultMaxLen     = 10_000
	defaultReadCount  = 100
	defaultBlock      = 5 * time.Second
	defaultSessionKey = "sio:session:"
)

func (o StreamsOptions) withDefaults() (StreamsOptions, error) {
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"StreamCount", int64(o.StreamCount)}, {"MaxLen", o.MaxLen}, {"MaxAge", int64(o.MaxAge)}, {"ReadCount", o.ReadCount},
		{"Block", int64(o.Block)}, {"WaitReplicas", int64(o.WaitReplicas)},
	} {
		if field.value < 0 {
			return o, fmt.Errorf("redis: option %s is negative", field.name)
		}
	}
	switch {
	case o.InterestRouting:
		return o, errors.New("redis: option InterestRouting is for pub/sub: with streams every node reads everything")
	case o.PublishOnSpecificResponseChannel:
		return o, errors.New("redis: option PublishOnSpecificResponseChannel is for New: streams do it always")
	}
	if o.SessionKeyPrefix == "" {
		o.SessionKeyPrefix = defaultSessionKey
		if o.Prefix != "" && o.Prefix != defaultPrefix {
			o.SessionKeyPrefix = o.Prefix + ":session:"
		}
	}
	var err error
	if o.Options, err = o.Options.withDefaults(); err != nil {
		return o, err
	}
	o.StreamName = cmp.Or(o.StreamName, o.Prefix)
	o.StreamCount = cmp.Or(o.StreamCount, 1)
	o.MaxLen = cmp.Or(o.MaxLen, defaultMaxLen)
	o.ReadCount = cmp.Or(o.ReadCount, defaultReadCount)
	o.Block = cmp.Or(o.Block, defaultBlock)
	return o, nil
}

// StreamsAdapter is an adapter.TotalOrder over Redis streams: broadcasts, and requests
// that change sockets, are written to a stream that every node reads, so that all
// deliver them in one order, and clients that come back get what they missed on any
// node. What waits for answers travels over pub/sub. It is also an adapter.Reporter and
// an adapter.Watcher. It is safe for concurrent use. It uses two connections for
// pub/sub and two for each stream from the first Link to the last, and of the client's
// own one for records, to each server that has some, and one for each stream while these
// are read and written.
type StreamsAdapter struct {
	*Adapter
	options StreamsOptions
	records *stream.Records

	mu   sync.Mutex
	logs map[string]*sharedLog // by the name of the stream
}

var (
	_ adapter.TotalOrder = (*StreamsAdapter)(nil)
	_ adapter.Reporter   = (*StreamsAdapter)(nil)
	_ adapter.Watcher    = (*StreamsAdapter)(nil)
)

// NewStreams returns an adapter over Redis streams, as the Node.js function createAdapter
// of @socket.io/redis-streams-adapter. The client remains the caller's and must stay open
// until the last Link is closed. NewStreams does not use the network. It fails for a nil
// client, for a Ring, for a ClusterClient that reads from replicas, and for options that
// cannot be meant.
func NewStreams(client goredis.UniversalClient, opts StreamsOptions) (*StreamsAdapter, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkClient(client); err != nil {
		return nil, err
	}
	if readsReplicas(client) {
		return nil, errors.New("redis: streams cannot be used with a client that reads from replicas: they may be behind")
	}
	a := &StreamsAdapter{options: opts, logs: make(map[string]*sharedLog)}
	a.Adapter = newAdapter(client, opts.Options, func(l *link) form { return newStreamForm(l) })
	a.sharded = opts.ShardedPubSub
	a.records = stream.NewRecords(client)
	return a, nil
}

// TotalOrder implements adapter.TotalOrder.
func (a *StreamsAdapter) TotalOrder() {}

// Join enters topic as self; see adapter.Adapter. What self publishes is not delivered
// to it. It is otherwise as JoinRecoverable with the zero Retention, and for a topic that
// is no namespace as Join of Adapter.
func (a *StreamsAdapter) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	if !isNamespace(topic) {
		return a.Adapter.Join(ctx, topic, self, deliver)
	}
	l, err := a.join(ctx, topic, self, nil, deliver)
	switch {
	case l == nil:
		return nil, err
	case a.opts.NodeJS && deliver != nil:
		return &countingStreamLink{l, counter{l.link}}, err
	}
	return l, err
}

// JoinRecoverable enters topic as self; see adapter.RecoveryStore and adapter.TotalOrder.
// It returns once Redis has confirmed the subscriptions and said where the stream ends.
func (a *StreamsAdapter) JoinRecoverable(ctx context.Context, topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) (adapter.RecoveryLink, error) {
	if !isNamespace(topic) {
		return nil, fmt.Errorf("redis: join %q: only namespaces have a log", topic)
	}
	l, err := a.join(ctx, topic, self, &r, deliver)
	switch {
	case l == nil:
		return nil, err
	case a.opts.NodeJS && deliver != nil:
		return &countingRecoveryLink{&recoveryLink{l}, counter{l.link}}, err
	}
	return &recoveryLink{l}, err
}
