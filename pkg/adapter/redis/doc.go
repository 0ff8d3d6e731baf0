// Package redis connects the nodes of a cluster through Redis pub/sub.
//
// On namespaces it speaks the wire form of the Node.js package
// @socket.io/redis-adapter, version 8, so that Node.js servers and emitters may
// be in the same cluster. What only roomcast nodes say to each other travels on
// channels of its own:
//
//	<prefix>#<namespace>#                broadcasts to all or to several rooms
//	<prefix>#<namespace>#<room>#         broadcasts to one room
//	<prefix>-request#<namespace>#        requests, those of roomcast nodes too
//	<prefix>-response#<namespace>#       answers of and to Node.js servers
//	<prefix>-response#<namespace>#<id>#  the same, for one server
//	<prefix>-roomcast#<topic>#           everything else
//	<prefix>-roomcast#<topic>#<id>#      the same, for one node
//	<prefix>-roomcast#probe#<id>#        the adapter's own probe
//
// # Node.js servers
//
// Broadcasts, joins, leaves, disconnects and events for servers cross in both
// directions, and calls of Node.js servers get the answers of roomcast nodes, always.
// A Node.js server waits for as many answers as there are subscribers of the
// requests; each node is one of them for each namespace, and a link with a nil
// deliver is none. For calls in the other direction to wait for Node.js servers,
// set [Options.NodeJS].
//
// A request of a Node.js server comes from "nodejs:", and a Response to that
// goes back in its form; its answers come from "nodejs", whichever server it was, and
// with NodeJS every node gets the answers to the others' requests too. Node.js does not
// confirm joins, leaves and disconnects, answers with one argument only, and has no
// binary in what it answers to events for servers. Its adapter must have the default
// parser: another one cannot read what roomcast nodes write, and fails. It takes the
// answer to fetchSockets in one piece, so [Options.MaxMessageBytes] must hold the
// descriptions of all sockets of a node, about a kilobyte each.
//
// # Interest
//
// A link subscribes to the rooms that have a member on its node, and to its
// sockets' ids with one pattern, so that a broadcast to a room travels only to
// the nodes that have it. See [adapter.RoomObserver]. What an emitter sends to a
// room right after it has joined sockets to it may then miss a node that did not have
// the room. With [Options.NodeJS] a link hears all broadcasts of its namespace.
//
// # Delivery
//
// A message arrives at most once, in order per sender. While Redis is away,
// messages wait for a second and are then dropped and counted; those that were
// being written when the connection broke are dropped too, since nobody can tell
// whether Redis had taken them. The adapter finds out by itself that Redis is
// away, or that a connection is silently dead: it publishes a probe each second
// and expects to receive it.
//
// # The client
//
// The caller owns the client and closes it after the last link. Its ReadTimeout
// and WriteTimeout should be left on: they bound how long a dead connection can
// hold the publisher, and a count of the nodes. The user of the client needs PUBLISH,
// SUBSCRIBE, UNSUBSCRIBE, PSUBSCRIBE, PUNSUBSCRIBE, PING and, with NodeJS, PUBSUB, and
// the channels above (in ACL terms: &<prefix>#* &<prefix>-request#*
// &<prefix>-response#* &<prefix>-roomcast#*). Whoever may publish there controls the
// cluster.
//
// With a Redis Cluster all messages are published through one of its masters,
// which keeps them in order. A Ring is refused: its PUBLISH and its SUBSCRIBE may
// reach different servers.
package redis
