package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// standing is where a member is with its answer to a call.
type standing uint8

const (
	isAwaited   standing = iota
	isExtra              // came too late to be waited for
	hasAnswered          // has no more to say
	wasLost              // ended before that
)

// tally knows who has answered a call and who is still to. It is not safe for
// concurrent use.
type tally struct {
	action    adapter.Action
	members   map[adapter.NodeID]standing
	unnamed   int   // how many others are to answer
	uncounted error // why unnamed is not known
	answered  int   // how many others have; with ActionCall, how many have begun
	// others are those who answer ActionCall, by what they call themselves: a member
	// that came late, or all Node.js servers together.
	others map[adapter.NodeID]*others
}

// others are nodes under one name. How many they are is not known.
type others struct {
	owed int  // receivers that are to acknowledge
	done bool // they have no more to answer
}

func newTally(action adapter.Action, members []adapter.NodeID) *tally {
	t := &tally{action: action, members: make(map[adapter.NodeID]standing, len(members))}
	for _, id := range members {
		t.members[id] = isAwaited
	}
	return t
}

// expectUnnamed notes how many of nodes are neither this one nor members, of which
// there may be more than there were.
func (t *tally) expectUnnamed(nodes int, members []adapter.NodeID) {
	for _, id := range members {
		if _, known := t.members[id]; !known {
			t.members[id] = isExtra
		}
	}
	t.unnamed = max(nodes-1-len(members), 0)
}

// add notes e and says whether it holds an answer: a member that has said Done has
// no more of them.
func (t *tally) add(e event) bool {
	now, member := t.members[e.node]
	switch {
	case e.response != nil && !member:
		t.addUnnamed(e.node, e.response)
		return true
	case e.response != nil && now != hasAnswered:
		if e.response.Done {
			t.members[e.node] = hasAnswered
		}
		return true
	case e.response == nil && member && now == isAwaited:
		t.members[e.node] = wasLost
	case e.response == nil && t.others[e.node] != nil:
		t.others[e.node].done = true
	}
	return false
}

// addUnnamed notes a response of a node that is no member. One to ActionCall without
// an acknowledgement begins a node's answers, unless it ends them.
func (t *tally) addUnnamed(node adapter.NodeID, r *adapter.Response) {
	if t.action != adapter.ActionCall {
		t.answered++
		return
	}
	o, known := t.others[node]
	if !known {
		if t.others == nil {
			t.others = make(map[adapter.NodeID]*others)
		}
		o = &others{}
		t.others[node] = o
	}
	switch {
	case r.Answer != nil:
		o.owed--
	case !known || !r.Done:
		o.owed += r.Receivers
		t.answered++
	}
	o.done = o.done || r.Done
}

// waits says whether somebody is still to answer.
func (t *tally) waits() bool {
	for _, s := range t.members {
		if s == isAwaited {
			return true
		}
	}
	return t.unnamedMissing() > 0
}

// missing returns the members that have not answered, sorted.
func (t *tally) missing() []adapter.NodeID {
	var missing []adapter.NodeID
	for _, id := range slices.Sorted(maps.Keys(t.members)) {
		if s := t.members[id]; s == isAwaited || s == wasLost {
			missing = append(missing, id)
		}
	}
	return missing
}

// unnamedMissing is how many nodes without a name have not answered completely. Of
// several under one name, those that owe acknowledgements count as one.
func (t *tally) unnamedMissing() int {
	missing := max(t.unnamed-t.answered, 0)
	for _, o := range t.others {
		if o.owed > 0 && !o.done {
			missing++
		}
	}
	return min(missing, t.unnamed)
}

// partial returns the error of a call that ended by cause, nil if nobody was waited
// for any more, or nil if no answer is missing.
func (t *tally) partial(cause error) error {
	e := &PartialError{Missing: t.missing(), Unnamed: t.unnamedMissing(), Err: cause}
	if len(e.Missing) == 0 && e.Unnamed == 0 {
		return nil
	}
	if cause == nil {
		e.Err = ErrNodeLost
	}
	if t.uncounted != nil {
		e.Err = fmt.Errorf("%w (%w)", e.Err, t.uncounted)
	}
	return e
}
