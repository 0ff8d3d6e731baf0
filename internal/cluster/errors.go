package cluster

import (
	"errors"
	"fmt"
	"strings"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Errors of this package; test for them with errors.Is.
var (
	// ErrClosed means that the node or the topic was closed.
	ErrClosed = errors.New("cluster: closed")
	// ErrNodeLost means that a node which was to answer did not live to do it: it was
	// silent for HeartbeatTimeout and given up, or it left the cluster or the namespace.
	ErrNodeLost = errors.New("cluster: node was lost")
	// ErrNoRecovery means that Options.Recovery is set and the adapter keeps no log.
	ErrNoRecovery = errors.New("cluster: adapter does not support recovery")
)

// PartialError says whose answers a call did not get. The others were received.
type PartialError struct {
	// Missing are the nodes that did not answer, or not completely, sorted.
	Missing []adapter.NodeID
	// Unnamed is how many nodes without a name, such as Node.js servers, did not.
	Unnamed int
	// Err is why: the cause of the end of the call's context, ErrNodeLost, ErrClosed
	// or adapter.ErrDegraded; with it, if the nodes without a name could not be
	// counted, why.
	Err error
}

// Error names the nodes that are missing, and Err.
func (e *PartialError) Error() string {
	var missing []string
	if len(e.Missing) > 0 {
		missing = append(missing, fmt.Sprintf("from nodes %v", e.Missing))
	}
	if e.Unnamed > 0 {
		missing = append(missing, fmt.Sprintf("from %d unnamed nodes", e.Unnamed))
	}
	if missing == nil {
		return fmt.Sprintf("cluster: answers may be missing: %v", e.Err)
	}
	return fmt.Sprintf("cluster: no answer %s: %v", strings.Join(missing, " and "), e.Err)
}

// Unwrap returns Err.
func (e *PartialError) Unwrap() error { return e.Err }
