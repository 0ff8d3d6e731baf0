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
	// Address is where the node is reached with requests for its sessions, if it has
	// announced that lately in a way that Options.Trusts accepts.
	Address string
	// LastSeen is when the node was last heard of, by this node's clock.
	LastSeen time.Time

	addressed time.Time // when Address was last announced
	owns      uint32    // the tag that was announced with it
}

// members are the other nodes that are thought to live.
type members struct {
	mu   sync.Mutex
	byID map[adapter.NodeID]Member
	gone map[uint32]time.Time // the tags of those that were, and when they ceased to be
	news chan struct{}        // closed when a member or a tag is new; nil while nobody waits
}

// goneLasts is how long a tag is remembered after its member: as long as any client of it
// may go on to ask.
const goneLasts = time.Hour

// watch returns what the next news closes.
func (m *members) watch() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.news == nil {
		m.news = make(chan struct{})
	}
	return m.news
}

// hadLeft says whether a member had tag that is none any more.
func (m *members) hadLeft(tag uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, gone := m.gone[tag]
	return gone
}

// remove forgets a member, but not its tag. The caller holds mu.
func (m *members) remove(member Member) {
	delete(m.byID, member.ID)
	if m.gone == nil {
		m.gone = make(map[uint32]time.Time)
	}
	now := time.Now()
	for tag, at := range m.gone {
		if now.Sub(at) > goneLasts {
			delete(m.gone, tag)
		}
	}
	m.gone[member.Tag] = now
}

// heard notes a sign of life and says whether it was the first one. An address that is not
// trusted changes nothing about the one that was.
func (m *members) heard(id adapter.NodeID, h *adapter.Heartbeat, trusted bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	member, known := m.byID[id]
	if m.byID == nil {
		m.byID = make(map[adapter.NodeID]Member)
	}
	before := member.Tag
	member.ID, member.Tag, member.Namespaces, member.LastSeen = id, h.Tag, h.Namespaces, time.Now()
	if trusted {
		member.Address, member.addressed, member.owns = h.Address, member.LastSeen, h.Tag
	}
	m.byID[id] = member
	if m.news != nil && (!known || before != h.Tag) {
		close(m.news)
		m.news = nil
	}
	return !known
}

// left removes a member that said goodbye and says whether it was one.
func (m *members) left(id adapter.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	member, known := m.byID[id]
	if known {
		m.remove(member)
	}
	return known
}

// evict removes and returns the members that were last heard of at or before silent.
func (m *members) evict(silent time.Time) []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	var evicted []Member
	for _, member := range m.byID {
		if !member.LastSeen.After(silent) {
			evicted = append(evicted, member)
			m.remove(member)
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

// owner returns the oldest member that has announced tag together with an address since
// silent, or else the oldest that has the tag, without an address.
func (m *members) owner(tag uint32, silent time.Time) (owner Member, found bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, member := range m.byID {
		reachable := member.Address != "" && member.owns == tag && member.addressed.After(silent)
		if !reachable {
			member.Address = ""
			if member.Tag != tag {
				continue
			}
		}
		better := reachable == (owner.Address != "") && member.ID < owner.ID
		if !found || reachable && owner.Address == "" || better {
			owner, found = member, true
		}
	}
	return owner, found
}
