package cluster

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// calls are the requests of this node that wait for answers.
type calls struct {
	mu   sync.Mutex
	byID map[string]*call
}

// call is one of them. What concerns it queues here, until the goroutine that waits
// takes it: so its answers are received by that goroutine, and by no other.
type call struct {
	id        string
	namespace string
	news      chan struct{} // events has something

	mu     sync.Mutex
	events []event
}

// event is a response, or without one the end of a member.
type event struct {
	node     adapter.NodeID
	response *adapter.Response
	lost     bool // the member was given up, and did not leave by itself
}

// begin registers a call under an id of 96 random bits.
func (c *calls) begin(namespace string) *call {
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails, by its documentation
	begun := &call{
		id:        base64.RawURLEncoding.EncodeToString(id[:]),
		namespace: namespace,
		news:      make(chan struct{}, 1),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID = make(map[string]*call)
	}
	c.byID[begun.id] = begun
	return begun
}

// end forgets a call: what is said to it later is dropped.
func (c *calls) end(ended *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, ended.id)
}

// answered passes a response of node to the call that it answers.
func (c *calls) answered(node adapter.NodeID, r *adapter.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if asked, ok := c.byID[r.ID]; ok {
		asked.add(event{node: node, response: r})
	}
}

// lost says that node was given up.
func (c *calls) lost(node adapter.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, asked := range c.byID {
		asked.add(event{node: node, lost: true})
	}
}

// joined says that node is in these namespaces only, so that calls in others do not
// wait for it.
func (c *calls) joined(node adapter.NodeID, namespaces []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, asked := range c.byID {
		if !slices.Contains(namespaces, asked.namespace) {
			asked.add(event{node: node})
		}
	}
}

func (c *call) add(e event) {
	c.mu.Lock()
	c.events = append(c.events, e)
	c.mu.Unlock()
	wake(c.news)
}

func (c *call) take() []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.events
	c.events = nil
	return events
}
