// Package router brings a request to the node that has its session.
//
// A Signer holds the secret that the nodes of a cluster share. It signs the address
// that a node announces in its heartbeats, and the pass that each forwarded request
// carries in a header, and it tells the genuine ones of others from the rest. A Router
// sends a request on to its session's owner and brings the answer back; a request that
// becomes a WebSocket is relayed until either side ends it. On the owner it admits what
// another node has sent. The package knows nothing of sessions and of how nodes find each
// other.
package router
