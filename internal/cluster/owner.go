package cluster

import (
	"context"
	"time"
)

const (
	// acquaintance is how long the owner of an id may be unheard of: a node that has just
	// started does not know the others yet, nor they it, though its clients' requests
	// already come to them.
	acquaintance = time.Second
	// maxAcquaintances is how many may wait for an owner at a time. Ids may be invented.
	maxAcquaintances = 1024
)

// Owner returns the other live member whose tag ends an id. It has an Address only if it
// has announced one as Options.Trusts wants it, together with that tag and within
// HeartbeatTimeout. Of two with one tag it is the older one, which keeps it.
func (n *Node) Owner(id string) (Member, bool) {
	tag, ok := tagOf(id)
	if !ok || tag == n.Tag() {
		return Member{}, false
	}
	return n.members.owner(tag, time.Now().Add(-n.options.HeartbeatTimeout))
}

// AwaitOwner is Owner that waits a second, but no longer than ctx, for a member that nobody
// has heard of. For one that has left or died, and while very many wait already, it does not
// wait.
func (n *Node) AwaitOwner(ctx context.Context, id string) (Member, bool) {
	owner, found := n.Owner(id)
	tag, ok := tagOf(id)
	if found || !ok || tag == n.Tag() {
		return owner, found
	}
	defer n.awaiting.Add(-1)
	if n.awaiting.Add(1) > maxAcquaintances {
		return Member{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, acquaintance)
	defer cancel()
	for {
		news := n.members.watch()
		if owner, found = n.Owner(id); found || n.members.hadLeft(tag) {
			return owner, found
		}
		select {
		case <-news:
		case <-ctx.Done():
			return Member{}, false
		case <-n.ctx.Done():
			return Member{}, false
		}
	}
}
