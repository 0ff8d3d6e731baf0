package cluster

import "github.com/roomcast/roomcast/pkg/adapter"

// Handler is what a namespace does with what the other nodes send. Both functions
// are set and return promptly; they are called one at a time, in order per sender,
// and possibly before Join has returned.
type Handler struct {
	// Broadcast takes a packet to this node's sockets, this node's own too if
	// Topic.Returns. With Options.Recovery offset is the position of b in the log, or
	// empty for what is not kept. Without it, offset is empty. own says that this node has
	// published b.
	Broadcast func(b *adapter.Broadcast, offset string, own bool)
	// Request does what another node, or another program, asks for; ActionRelease only
	// from who addressed this node alone. answer sends one
	// response to who asked and fills in its ID and Action. It does not block, may be
	// called at any later time, several times and by any goroutine, in whose order the
	// responses arrive, and does nothing for a request that wants no answer.
	Request func(r *adapter.Request, answer func(*adapter.Response))
}
