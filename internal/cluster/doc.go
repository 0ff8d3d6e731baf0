// Package cluster knows which nodes live and connects the namespaces of one node
// to the same namespaces of the others, over an adapter.Adapter.
//
// A Node is this process's membership: it joins an internal topic on which nodes
// greet, send heartbeats and say goodbye, and it owns the tag that ends the ids
// of this node's sockets and sessions. A Topic is one namespace.
package cluster
