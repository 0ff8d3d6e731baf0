package redis

import (
	"strings"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// requestType is the number by which Node.js knows requests and responses.
type requestType int64

const (
	typeIDs requestType = iota // the ids of sockets, asked for by older versions
	typeRooms
	typeJoin
	typeLeave
	typeDisconnect
	typeFetch
	typeEvent
	typeCall
	typeReceivers // answers typeCall
	typeAnswer    // answers typeCall

	typeMissing requestType = -1
)

const (
	// emitterID is who emitters are, in their messages and as a link's own id.
	emitterID adapter.NodeID = "emitter"
	// nodejsID is who has sent a response of a Node.js server, which does not say.
	nodejsID adapter.NodeID = "nodejs"
	// nodejsPrefix begins the id of a Node.js server that asks, so that it cannot be
	// taken for a roomcast node's.
	nodejsPrefix = string(nodejsID) + ":"
)

// asker is a Node.js server that has asked for something. Its id also says what for,
// because the form of the answer depends on it.
type asker struct {
	kind requestType
	uid  string // empty if it has not said it
}

func (a asker) id() adapter.NodeID {
	return adapter.NodeID(nodejsPrefix + string(rune('0'+a.kind)) + ":" + a.uid)
}

// parseAsker reads what asker.id returns.
func parseAsker(id adapter.NodeID) (asker, bool) {
	rest, ok := strings.CutPrefix(string(id), nodejsPrefix)
	if !ok || len(rest) < 2 || rest[0] < '0' || rest[0] > '9' || rest[1] != ':' {
		return asker{}, false
	}
	return asker{kind: requestType(rest[0] - '0'), uid: rest[2:]}, true
}

// maxCalls bounds the calls that wait for their first response. That takes a moment,
// unless nobody answers at all.
const maxCalls = 1024

// calls are the calls of Node.js servers that have not been told how many sockets
// they reach. They must be told exactly once, and a response that ends the
// answers looks like one that says: none.
type calls struct {
	mu   sync.Mutex
	open map[call]struct{}
}

type call struct {
	from adapter.NodeID
	id   string
}

// begin notes a call. Beyond the limit another one is forgotten.
func (c *calls) begin(k call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[call]struct{})
	}
	if len(c.open) >= maxCalls {
		for other := range c.open {
			delete(c.open, other)
			break
		}
	}
	c.open[k] = struct{}{}
}

// first says whether this is the first response to a call.
func (c *calls) first(k call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.open[k]
	delete(c.open, k)
	return ok
}
