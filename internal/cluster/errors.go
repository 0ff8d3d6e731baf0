package cluster

import "errors"

// ErrClosed means that the node was closed.
var ErrClosed = errors.New("cluster: node is closed")
