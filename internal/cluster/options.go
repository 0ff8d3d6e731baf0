package cluster

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Options configures a Node. The zero value is a cluster of one.
type Options struct {
	// Adapter connects the nodes. Nil means that there are no others.
	Adapter adapter.Adapter
	// HeartbeatInterval is the time between two heartbeats. Zero means 5 seconds.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is the silence after which a member is given up; it is
	// longer than HeartbeatInterval. Zero means 10 seconds, or twice the interval
	// if that is more.
	HeartbeatTimeout time.Duration
	// JoinTimeout bounds each wait for the adapter when a topic is joined or the
	// tag changes. Zero means 1 second.
	JoinTimeout time.Duration
	// RequestTimeout bounds a call whose context has no deadline. Zero means 5 seconds.
	RequestTimeout time.Duration
	// Recovery is what the adapter keeps for clients that come back; it is then an
	// adapter.RecoveryStore. Nil means that nothing is kept.
	Recovery *adapter.Retention
	// Announce adds to a heartbeat of this node where it is reached. It is called without a
	// lock, one call at a time. Nil: it is not reached.
	Announce func(self adapter.NodeID, h *adapter.Heartbeat)
	// Trusts says whether the address in a member's heartbeat is really that member's, and
	// fails for one that cannot be. It is called without a lock, one call at a time. Nil:
	// none is trusted.
	Trusts func(member adapter.NodeID, h *adapter.Heartbeat) (bool, error)
	// Application is the program that the node runs, which the other nodes hear. A
	// member with another one is warned of. Empty: it says nothing, and warns of none.
	Application string
	// Logger receives what happens to members and to the backend. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// log returns the store whose log carries the broadcasts, with what it is to keep
// besides, or nil if they travel by themselves.
func (o *Options) log() (adapter.RecoveryStore, adapter.Retention) {
	if o.Recovery != nil {
		store, _ := o.Adapter.(adapter.RecoveryStore) // by withDefaults it is one
		return store, *o.Recovery
	}
	store, _ := o.Adapter.(adapter.TotalOrder)
	return store, adapter.Retention{}
}

// ordered says whether also requests that change sockets travel by the log.
func (o *Options) ordered() bool {
	_, ordered := o.Adapter.(adapter.TotalOrder)
	return ordered
}

func (o Options) withDefaults() (Options, error) {
	if o.HeartbeatInterval < 0 || o.HeartbeatTimeout < 0 || o.JoinTimeout < 0 || o.RequestTimeout < 0 {
		return o, fmt.Errorf("cluster: negative duration: HeartbeatInterval %v, HeartbeatTimeout %v, JoinTimeout %v, RequestTimeout %v",
			o.HeartbeatInterval, o.HeartbeatTimeout, o.JoinTimeout, o.RequestTimeout)
	}
	if _, ok := o.Adapter.(adapter.RecoveryStore); o.Recovery != nil && !ok {
		return o, fmt.Errorf("%w: %T", ErrNoRecovery, o.Adapter)
	}
	if o.Adapter == nil {
		o.Adapter = alone{}
	}
	if o.HeartbeatInterval == 0 {
		o.HeartbeatInterval = 5 * time.Second
	}
	if o.HeartbeatTimeout == 0 {
		o.HeartbeatTimeout = max(10*time.Second, 2*o.HeartbeatInterval)
	}
	if o.HeartbeatTimeout <= o.HeartbeatInterval {
		return o, fmt.Errorf("cluster: HeartbeatTimeout %v is not longer than HeartbeatInterval %v",
			o.HeartbeatTimeout, o.HeartbeatInterval)
	}
	if o.JoinTimeout == 0 {
		o.JoinTimeout = time.Second
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}
