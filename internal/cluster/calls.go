package cluster

import (
	"slices"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// calls are the requests of this node that wait for answers.
type calls struct {
	mu   sync.Mutex
	byID map[string]*Call
}

// event is a response of a node or, without one, the end of a member.
type event struct {
	node     adapter.NodeID
	response *adapter.Response
}

// add registers c.
func (s *calls) add(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = make(map[string]*Call)
	}
	s.byID[c.id] = c
}

// remove forgets c: what is said to it later is dropped.
func (s *calls) remove(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, c.id)
}

// answered passes a response of node to the call that it answers.
func (s *calls) answered(node adapter.NodeID, r *adapter.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.byID[r.ID]; ok {
		c.tell(event{node, r})
	}
}

// remains says that node is in these namespaces only, so that calls in others do not
// wait for it.
func (s *calls) remains(node adapter.NodeID, namespaces []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.byID {
		if !slices.Contains(namespaces, c.topic.namespace) {
			c.tell(event{node, nil})
		}
	}
}
