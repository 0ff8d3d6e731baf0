package cluster

import (
	"context"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Traffic counts the messages of one kind.
type Traffic struct {
	// Published counts those that this node has given to the adapter.
	Published uint64
	// Received counts those that it was given.
	Received uint64
}

// The messageKinds of messages, as Traffic counts them: whatever says that a node lives or
// leaves is a heartbeat.
const (
	broadcasts = iota
	requests
	responses
	heartbeats
	messageKinds
)

var kindNames = [messageKinds]string{"broadcast", "request", "response", "heartbeat"}

// traffic is counted by all goroutines that publish, and by those of the adapter.
type traffic struct{ published, received [messageKinds]atomic.Uint64 }

func kindOf(m *adapter.Message) int {
	switch m.Kind {
	case adapter.KindBroadcast:
		return broadcasts
	case adapter.KindRequest:
		return requests
	case adapter.KindResponse:
		return responses
	}
	return heartbeats
}

// publish has link carry m, and counts it if it does.
func (t *traffic) publish(ctx context.Context, link adapter.Link, m *adapter.Message) error {
	kind := kindOf(m) // before Publish, which may keep m
	err := link.Publish(ctx, m)
	if err == nil {
		t.published[kind].Add(1)
	}
	return err
}

// Traffic returns how many messages were published and received, by kind: "broadcast",
// "request", "response" and "heartbeat". What comes back of this node's own is received
// too.
func (n *Node) Traffic() map[string]Traffic {
	all := make(map[string]Traffic, messageKinds)
	for kind, name := range kindNames {
		all[name] = Traffic{Published: n.traffic.published[kind].Load(), Received: n.traffic.received[kind].Load()}
	}
	return all
}

// Subscriptions returns to how many channels of the backend this node is subscribed, by
// kind, or nil for an adapter that does not know.
func (n *Node) Subscriptions() map[string]int {
	if c, ok := n.options.Adapter.(adapter.SubscriptionCounter); ok {
		return c.Subscriptions()
	}
	return nil
}
