// Package cluster knows which nodes live and connects the namespaces of one node
// to the same namespaces of the others, over an adapter.Adapter.
//
// A Node is this process's membership: it joins an internal topic on which nodes
// greet, send heartbeats and say goodbye, and it owns the tag that ends the ids
// of this node's sockets and sessions. A Topic is one namespace. A Call is a request
// to the other nodes of a namespace: it knows by name whose answers it waits for.
package cluster
