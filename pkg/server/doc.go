// Package server is a Socket.IO v4 server that scales out: what is emitted on one
// node reaches every client, whichever node it is connected to.
//
// A Server is an http.Handler. It has namespaces (Of, OfFunc), a namespace has
// sockets, one per client, and sockets are in rooms. Handlers are registered on
// the namespace with On, Handle and the namespace's own methods, before or while
// clients connect; all its sockets share them:
//
//	srv, err := server.New(server.Options{})
//	chat := srv.Of("/")
//	server.On(chat, "say", func(ctx context.Context, s *server.Socket, text string) error {
//		return chat.To("lobby").Emit("said", text)
//	})
//	http.Handle("/socket.io/", srv)
//
// Events go out with Emit: of a Socket to its client, of a Broadcast (All, To, Except,
// Local, Volatile) to the selected sockets of all nodes. Call asks a client and
// waits for its acknowledgement, CallAll asks many.
//
// With Options.Adapter the server is one node of a cluster; without,
// it is a cluster of one. Package adapter/redis connects nodes through Redis,
// where Node.js servers with @socket.io/redis-adapter can be members too; package
// adapter/memory connects several nodes of one process. A Broadcast then also does
// things to sockets wherever they are: FetchSockets, Join, Leave, Disconnect. Nodes
// speak to each other with ServerSideEmit and CallServers.
//
// With Options.Recovery a client that was away for a moment comes back as the same
// socket and gets what it missed. SetData attaches a value to a socket, which survives
// that and can be seen by all nodes.
//
// # Guarantees
//
// Order. What one goroutine emits arrives at each socket in that order, whether
// it is a broadcast, a direct emit or an acknowledgement. Events of one sender to
// one room arrive in order on every node. Between senders there is no order.
//
// Once. A socket gets a broadcast once, also when it is in several of the
// selected rooms. Delivery is at most once: what a client misses while it is
// disconnected is not sent again.
//
// Receivers. On the emitting node they are the sockets that were in the selected
// rooms when Emit was called.
//
// One order for all. With an adapter whose log orders everything (adapter.TotalOrder, such as
// Redis streams) all nodes deliver broadcasts in the log's order, each once; that of this
// node's own comes back from the backend too, and waits for it. The receivers are those of
// that moment on every node. What a Broadcast does to sockets has its place in that order.
// What goes to one socket directly does not, and may overtake: acknowledgements, Call, and
// without Options.Recovery Socket.Emit; but Socket.Disconnect comes behind what was emitted
// before, unless that takes more than 1 s.
//
// Recovery. With Options.Recovery, each event that is not volatile, not Local and wants
// no acknowledgement arrives once and in order also at a client that was disconnected
// in between and comes back in time; if that cannot be kept, the client starts
// afresh, which Socket.Recovered says. What was missed comes before anything else. Where
// records outlive their node (adapter.RecordKeeper) that holds on every node, also when
// the client's own was killed; rooms and data are then those of 100 ms before or later. An id
// never has two sockets on nodes that hear each other.
//
// Calls to other nodes end: when every live node has answered, when those that
// have not are given up as dead, or with their context, and without a deadline after
// Options.RequestTimeout. They return what came, and a *PartialError names the
// nodes that did not answer.
//
// Join. A socket is a member of its rooms on this node at once, and when Join has
// returned without an error, events that other nodes then emit to these rooms
// arrive.
//
// No sticky sessions. With Options.Advertise and Options.ClusterSecret on all nodes, a
// request that reaches another node than its session's is answered by that one all the
// same, and a WebSocket that is opened elsewhere is relayed until it closes. Only
// addresses that live nodes have announced and signed are called, and a node believes
// only requests that are signed with the secret. A session whose node is dead is unknown
// at once. Stats counts all of it.
//
// Handlers. Those of one socket run one at a time, in the order in which its
// events arrived; those of different sockets run concurrently. They hold up
// neither acknowledgements nor heartbeats nor disconnections of their client. The
// events that arrived before a disconnection are handled, and the handlers of
// OnDisconnect run last.
//
// Nobody waits for a client. No call waits for a client but Call, which says so.
// A client that does not read is closed when its send queue is full, and slows
// nobody else. Queues are bounded; what is dropped is counted.
//
// The backend may fail. While it is away, events go on to reach this node's own
// sockets, Emit does not wait and fails only when the publish queue is full, Join
// says ErrDegraded, and Health says "degraded". Where a log orders everything, events
// wait for the backend instead, also those for this node's own sockets. A server starts
// without its backend, and connects when it comes. Options.Observer hears of all that.
//
// A node can be stopped so that nobody notices. Drain refuses new clients and lets those
// that are here go linearly over a window, saving recovery records first and sending no
// DISCONNECT packet, so that they come back elsewhere. What was emitted to a client is
// sent before its connection closes; a handler that runs, and an acknowledgement that is
// awaited, have time until the window ends.
//
// Bad input ends the connection that sent it, and nothing else. So does a
// handler's panic, which ends one socket.
package server
