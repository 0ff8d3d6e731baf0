package cluster

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// add registers a joined topic and returns the suffixes that its link is to be
// told of, or false on a closed node.
func (n *Node) add(t *Topic) ([]string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, false
	}
	n.topics[t] = struct{}{}
	wake(n.heartbeat.changed)
	return slices.Clone(n.suffixes), true
}

func (n *Node) remove(t *Topic) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.topics, t)
	wake(n.heartbeat.changed)
}

// namespaces returns the names of the joined namespaces, sorted.
func (n *Node) namespaces() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	names := make([]string, 0, len(n.topics))
	for t := range n.topics {
		names = append(names, t.namespace)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Owns says whether a socket's id ends in a tag that is or was this node's: the links
// have been told of such ids by SocketIDs.
func (n *Node) Owns(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(id) == idLength && slices.ContainsFunc(n.suffixes, func(suffix string) bool { return strings.HasSuffix(id, suffix) })
}

// settleTag draws another tag if an older member has this node's. Of two nodes
// with one tag, the one with the greater id gives way; both come to that result.
func (n *Node) settleTag() {
	tag := n.Tag()
	older := func(id adapter.NodeID) bool { return id < n.id }
	if !n.members.holder(tag, older) {
		return
	}
	anyone := func(adapter.NodeID) bool { return true }
	next := drawTag(func(other uint32) bool { return other == tag || n.members.holder(other, anyone) })
	n.options.Logger.Warn("cluster: tag belongs to an older member, drew another", "tag", tag, "next", next)
	n.take(next)
	wake(n.heartbeat.changed)
}

// take makes tag this node's, once all links have been told of its suffix: the
// first broadcast to a socket with such an id must find its way. Ids that end in
// an earlier tag live on, so its suffix stays.
func (n *Node) take(tag uint32) {
	next := &identity{tag: tag, suffix: suffixOf(tag)}
	n.mu.Lock()
	n.suffixes = append(n.suffixes, next.suffix)
	topics := slices.Collect(maps.Keys(n.topics))
	n.mu.Unlock()
	if len(topics) > 0 {
		ctx, cancel := context.WithTimeout(n.ctx, n.options.JoinTimeout)
		defer cancel()
		for _, t := range topics {
			// An error means that the link is told, but not yet confirmed.
			_ = t.claim(ctx, []string{next.suffix})
		}
	}
	n.identity.Store(next)
}
