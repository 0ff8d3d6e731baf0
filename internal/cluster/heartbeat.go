package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

const (
	// checksPerInterval is how often within a HeartbeatInterval the backend's state
	// is looked at.
	checksPerInterval = 5
	// announceGap is the least time between two announcements of namespaces, so
	// that a thousand joins in a row do not become a thousand heartbeats.
	announceGap = 100 * time.Millisecond
)

// heartbeat is the state of the goroutine that speaks on the members' topic.
type heartbeat struct {
	next time.Time // when a heartbeat is due
	away bool      // the backend was not reached when last looked at

	changed chan struct{} // the namespaces have changed
	called  chan struct{} // owed has someone, or the tag is another's

	mu   sync.Mutex
	owed []adapter.NodeID // members to be answered
}

func newHeartbeat() heartbeat {
	return heartbeat{changed: make(chan struct{}, 1), called: make(chan struct{}, 1)}
}

// wake makes c readable, without waiting.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// owe has member answered by the heartbeat goroutine: deliver must not wait, and
// may be called before the link to answer on is known.
func (h *heartbeat) owe(member adapter.NodeID) {
	h.mu.Lock()
	if !slices.Contains(h.owed, member) {
		h.owed = append(h.owed, member)
	}
	h.mu.Unlock()
	wake(h.called)
}

func (h *heartbeat) takeOwed() []adapter.NodeID {
	h.mu.Lock()
	defer h.mu.Unlock()
	owed := h.owed
	h.owed = nil
	return owed
}

// run speaks for the node until Close.
func (n *Node) run() {
	check := time.NewTicker(n.options.HeartbeatInterval / checksPerInterval)
	defer check.Stop()
	expiry := time.NewTimer(n.untilExpiry())
	defer expiry.Stop()
	gap := time.NewTimer(0)
	defer gap.Stop()
	var changed <-chan struct{} // nil during the gap
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-check.C:
			n.check(time.Now())
		case <-expiry.C:
			n.evict()
			expiry.Reset(n.untilExpiry())
		case <-gap.C:
			changed = n.heartbeat.changed
		case <-changed:
			n.say(n.ctx, adapter.KindHeartbeat, "")
			changed = nil
			gap.Reset(announceGap)
		case <-n.heartbeat.called:
			n.settleTag()
			for _, member := range n.heartbeat.takeOwed() {
				n.say(n.ctx, adapter.KindHeartbeat, member)
			}
		}
	}
}

// untilExpiry is how long no member can become too silent: one that is heard of
// meanwhile has its time from then on, so that the timer need not know of it.
func (n *Node) untilExpiry() time.Duration {
	return time.Until(n.members.oldest().Add(n.options.HeartbeatTimeout))
}

// evict gives up silent members, also those that calls wait for.
func (n *Node) evict() {
	for _, m := range n.members.evict(time.Now().Add(-n.options.HeartbeatTimeout)) {
		n.calls.remains(m.ID, nil)
		n.options.Logger.Warn("cluster: member is silent and given up", "member", m.ID, "lastSeen", m.LastSeen)
	}
}

// check speaks when it is time.
func (n *Node) check(now time.Time) {
	wasAway := n.heartbeat.away
	n.heartbeat.away = n.Status().State != adapter.Up
	// A tick that comes a little early must not put the heartbeat off to the next.
	early := n.options.HeartbeatInterval / checksPerInterval / 2
	switch {
	case wasAway && !n.heartbeat.away:
		// Heartbeats were lost on both sides; the answers make up for them at once.
		n.say(n.ctx, adapter.KindHello, "")
	case !now.Add(early).Before(n.heartbeat.next):
		n.say(n.ctx, adapter.KindHeartbeat, "")
	}
}

// say publishes a message about this node: to one member, or to all when to is
// empty. It is called by one goroutine at a time: Start, run, then Close.
func (n *Node) say(ctx context.Context, kind adapter.Kind, to adapter.NodeID) {
	m := &adapter.Message{From: n.id, To: to, Kind: kind}
	if kind != adapter.KindGoodbye {
		m.Heartbeat = &adapter.Heartbeat{Tag: n.Tag(), Namespaces: n.namespaces(), Application: n.options.Application}
		if n.options.Announce != nil {
			n.options.Announce(n.id, m.Heartbeat)
		}
	}
	if to == "" {
		n.heartbeat.next = time.Now().Add(n.options.HeartbeatInterval)
	}
	if err := n.traffic.publish(ctx, n.link, m); err != nil && !errors.Is(err, adapter.ErrClosed) {
		n.options.Logger.Warn("cluster: members were not told", "error", err)
	}
}

// receive takes what the other nodes say. The adapter calls it, one call at a time.
func (n *Node) receive(m *adapter.Message) {
	n.traffic.received[kindOf(m)].Add(1)
	switch {
	case m.From == n.id || m.From == "":
		return
	case m.Kind == adapter.KindGoodbye:
		if n.members.left(m.From) {
			n.calls.remains(m.From, nil)
			n.options.Logger.Info("cluster: member has left", "member", m.From)
		}
		return
	case m.Heartbeat == nil:
		return
	}
	if n.members.heard(m.From, m.Heartbeat, n.trusts(m)) {
		n.options.Logger.Info("cluster: member has come", "member", m.From)
	}
	n.strangers.heard(n, m.From, m.Heartbeat.Application)
	n.calls.remains(m.From, m.Heartbeat.Namespaces)
	clash := m.Heartbeat.Tag == n.Tag()
	if m.Kind == adapter.KindHello || (clash && n.id < m.From) {
		n.heartbeat.owe(m.From)
	}
	if clash {
		wake(n.heartbeat.called)
	}
}

// trusts says whether a heartbeat has an address that is really its sender's.
func (n *Node) trusts(m *adapter.Message) bool {
	if m.Heartbeat.Address == "" || n.options.Trusts == nil {
		return false
	}
	trusted, err := n.options.Trusts(m.From, m.Heartbeat)
	if err != nil {
		n.options.Logger.Warn("cluster: a member's address is not believed", "member", fmt.Sprintf("%.256q", string(m.From)),
			"address", fmt.Sprintf("%.256q", m.Heartbeat.Address), "error", err)
	}
	return trusted
}
