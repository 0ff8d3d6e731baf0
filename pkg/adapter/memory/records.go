package memory

import (
	"container/list"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// recordStore keeps the records of all topics. The zero value is ready to use.
type recordStore struct {
	mu     sync.Mutex // before broadcastLog.mu
	byLog  map[*broadcastLog]map[string]*list.Element
	byNode map[adapter.NodeID]*list.List // of *storedRecord, oldest first
}

// storedRecord is a record with what is needed to find it in both directions.
type storedRecord struct {
	adapter.Record
	log     *broadcastLog
	node    adapter.NodeID
	expires time.Duration // since the adapter began
}

// save keeps a copy of r for the node, in place of an earlier one of that private
// session id, and drops what is too old or too much.
func (s *recordStore) save(g *broadcastLog, node adapter.NodeID, r *adapter.Record, now time.Duration, bounds adapter.Retention) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if earlier := s.byLog[g][r.PrivateID]; earlier != nil {
		s.remove(earlier)
	}
	s.add(&storedRecord{Record: *r, log: g, node: node, expires: now + bounds.Window})
	kept := s.byNode[node]
	for kept.Len() > 0 && (kept.Len() > bounds.MaxRecords || recordOf(kept.Front()).expires <= now) {
		s.remove(kept.Front())
	}
}

// find returns a copy of the record of that private session id, if the log covers
// offset.
func (s *recordStore) find(g *broadcastLog, privateID, offset string, now time.Duration) (*adapter.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.lookUp(g, privateID, now)
	if err != nil {
		return nil, err
	}
	if !g.covers(offset) {
		return nil, adapter.ErrNoOffset
	}
	r := recordOf(e).Record
	return &r, nil
}

// take removes a record that was found, unless it is another incarnation's by now. Of
// several calls at a time one gets it.
func (s *recordStore) take(g *broadcastLog, found *adapter.Record, now time.Duration) (*adapter.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.lookUp(g, found.PrivateID, now)
	if err != nil {
		return nil, err
	}
	if recordOf(e).Incarnation != found.Incarnation {
		return nil, adapter.ErrTaken
	}
	s.remove(e)
	return &recordOf(e).Record, nil
}

// lookUp finds what has not expired. The caller holds mu.
func (s *recordStore) lookUp(g *broadcastLog, privateID string, now time.Duration) (*list.Element, error) {
	e := s.byLog[g][privateID]
	if e == nil || recordOf(e).expires <= now {
		return nil, adapter.ErrNoRecord
	}
	return e, nil
}

// sweep removes what is too old. It returns how long the oldest that is left may
// stay, and false if nothing is. Should topics differ in their windows, a record
// may lie behind one that expires later: then it takes memory for longer, and no
// more than that.
func (s *recordStore) sweep(now time.Duration) (stay time.Duration, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kept := range s.byNode {
		for kept.Len() > 0 && recordOf(kept.Front()).expires <= now {
			s.remove(kept.Front())
		}
		if kept.Len() == 0 {
			continue
		}
		if this := recordOf(kept.Front()).expires - now; !left || this < stay {
			stay, left = this, true
		}
	}
	return stay, left
}

// concern says whether there is a record of the log's topic.
func (s *recordStore) concern(g *broadcastLog) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byLog[g]) > 0
}

func recordOf(e *list.Element) *storedRecord { return e.Value.(*storedRecord) }

// add appends r. The caller holds mu.
func (s *recordStore) add(r *storedRecord) {
	if s.byNode == nil {
		s.byLog = make(map[*broadcastLog]map[string]*list.Element)
		s.byNode = make(map[adapter.NodeID]*list.List)
	}
	if s.byLog[r.log] == nil {
		s.byLog[r.log] = make(map[string]*list.Element)
	}
	if s.byNode[r.node] == nil {
		s.byNode[r.node] = list.New()
	}
	s.byLog[r.log][r.PrivateID] = s.byNode[r.node].PushBack(r)
}

// remove takes e out; a map or list that becomes empty goes with it. The caller
// holds mu.
func (s *recordStore) remove(e *list.Element) {
	r := recordOf(e)
	delete(s.byLog[r.log], r.PrivateID)
	if len(s.byLog[r.log]) == 0 {
		delete(s.byLog, r.log)
	}
	s.byNode[r.node].Remove(e)
	if s.byNode[r.node].Len() == 0 {
		delete(s.byNode, r.node)
	}
}
