package cluster

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Member is another live node of the cluster.
type Member struct {
	// ID names the node. Ids sort by the time at which their nodes started, as far
	// as the clocks of their machines agree.
	ID adapter.NodeID
	// Tag ends the ids of the node's sockets and sessions.
	Tag uint32
	// Namespaces are those that the node has joined, sorted.
	Namespaces []string
	// LastSeen is when the node was last heard of, by this node's clock.
	LastSeen time.Time
}

// members are the other nodes that are thought to live.
type members struct {
	mu   sync.Mutex
	byID map[adapter.NodeID]Member
}

// heard notes a sign of life and says whether it was the first one.
func (m *members) heard(id adapter.NodeID, h *adapter.Heartbeat) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.byID[id]
	if m.byID == nil {
		m.byID = make(map[adapter.NodeID]Member)
	}
	m.byID[id] = Member{ID: id, Tag: h.Tag, Namespaces: h.Namespaces, LastSeen: time.Now()}
	return !known
}

// left removes a member that said goodbye and says whether it was one.
func (m *members) left(id adapter.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.byID[id]
	delete(m.byID, id)
	return known
}

// evict removes and returns the members that were last heard of at or before silent.
func (m *members) evict(silent time.Time) []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	var evicted []Member
	for id, member := range m.byID {
		if !member.LastSeen.After(silent) {
			evicted = append(evicted, member)
			delete(m.byID, id)
		}
	}
	return evicted
}

// oldest returns when the most silent member was last heard of; now without members.
func (m *members) oldest() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	oldest := time.Now()
	for _, member := range m.byID {
		if member.LastSeen.Before(oldest) {
			oldest = member.LastSeen
		}
	}
	return oldest
}

// in returns the members that have joined namespace.
func (m *members) in(namespace string) []adapter.NodeID {
	m.mu.Lock()
	defer m.mu.Unlock()
	var in []adapter.NodeID
	for id, member := range m.byID {
		if slices.Contains(member.Namespaces, namespace) {
			in = append(in, id)
		}
	}
	return in
}

// list returns the members sorted by id.
func (m *members) list() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Member, 0, len(m.byID))
	for _, member := range m.byID {
		list = append(list, member)
	}
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

// holder says whether a member for which accept is true has tag.
func (m *members) holder(tag uint32, accept func(adapter.NodeID) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, member := range m.byID {
		if member.Tag == tag && accept(id) {
			return true
		}
	}
	return false
}
