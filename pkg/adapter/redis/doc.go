// Package redis connects the nodes of a cluster through Redis.
//
// There are three adapters, each with the wire form of one of Node.js, so that Node.js
// servers and emitters may be in the same cluster. [New] is classic pub/sub, for every
// Redis, and [NewSharded] the sharded pub/sub of Redis 7, which a Redis Cluster spreads over
// its masters: both speak as @socket.io/redis-adapter, version 8. [NewStreams] keeps what it
// sends in a stream, as @socket.io/redis-streams-adapter, version 0.3, and so clients recover
// on any node. What only roomcast nodes say to each other travels on channels of its own.
//
// Classic:
//
//	<prefix>#<namespace>#                   broadcasts to all or to several rooms
//	<prefix>#<namespace>#<room>#            broadcasts to one room
//	<prefix>-request#<namespace>#           requests, those of roomcast nodes too
//	<prefix>-response#<namespace>#          answers of and to Node.js servers
//	<prefix>-response#<namespace>#<id>#     the same, for one server
//
// Sharded:
//
//	<prefix>#<namespace>#                   broadcasts and requests
//	<prefix>#<namespace>#<room>#            broadcasts to one room, by [SubscriptionMode]
//	<prefix>#<namespace>#<id>#              answers of and to Node.js servers
//
// Streams:
//
//	stream <prefix>                         broadcasts and requests that change sockets
//	sio:session:<private session id>        a recovery record, a key
//	<prefix>#<namespace>#                   requests that are answered
//	<prefix>#<namespace>#<id>#              answers of and to Node.js servers
//
// All of them:
//
//	<prefix>-roomcast#<topic>#              everything else
//	<prefix>-roomcast#<topic>#<id>#         the same, for one node
//	<prefix>-roomcast-ids#<topic>#<tag>#    broadcasts to one socket, with InterestRouting
//	<prefix>-roomcast#probe#<id>#           the adapter's own probe
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
// goes back in its form. Over classic pub/sub its answers come from "nodejs", whichever
// server it was, and with NodeJS every node gets the answers to the others' requests too.
// Node.js does not confirm joins, leaves and disconnects, answers with one argument only,
// and has no binary in what it answers to events for servers. Its adapter must have the default
// parser: another one cannot read what roomcast nodes write, and fails. It takes the
// answer to fetchSockets in one piece, so [Options.MaxMessageBytes] must hold the
// descriptions of all sockets of a node, about a kilobyte each.
//
// # Who hears what
//
// Over classic pub/sub every node hears every broadcast of its namespaces, as Node.js
// servers do, by one pattern. Over sharded pub/sub a link listens to the rooms that have
// members on its node, except with the mode Static. A Node.js server that puts a socket of
// another node into a room and emits to it at once may then be too early for the
// subscription, also among Node.js servers; requests of roomcast nodes are confirmed when
// it stands.
//
// With [Options.InterestRouting] a broadcast to one room travels only to the nodes that
// have the room. See [adapter.RoomObserver]. A socket's id is routed by its last four
// characters, which name the node that gave it. All nodes must have the option set. A node
// that hears a Node.js server goes back to the compatible way for good, says so in the log,
// and tells the others. A Node.js server that sends nothing is not noticed, and emitters of
// Node.js reach rooms, but not single sockets by their ids.
//
// With streams every node reads everything.
//
// # Delivery
//
// With streams see [StreamsAdapter] and [adapter.TotalOrder]: what was accepted waits for
// Redis, and is delivered once. Over pub/sub a message arrives at most once, in order per sender; with a Redis Cluster and sharded
// pub/sub, in order per sender and channel. While Redis is away,
// messages wait for a second and are then dropped and counted; those that were
// being written when the connection broke are dropped too, since nobody can tell
// whether Redis had taken them. The adapter finds out by itself that Redis is
// away, or that a connection is silently dead: it publishes a probe each second
// and expects to receive it. When it is whole again it reports the time in which messages
// may have been missed; see [adapter.Watcher].
//
// # The client
//
// The caller owns the client and closes it after the last link. Its ReadTimeout
// and WriteTimeout should be left on: they bound how long a dead connection can
// hold the publisher, and a count of the nodes. A Ring is refused: its PUBLISH and its
// SUBSCRIBE may reach different servers. With a Redis Cluster all messages of classic
// pub/sub are published through one of its masters, which keeps them in order.
//
// These are the rights that the client's user needs, in the words of ACL SETUSER:
//
//	classic          +publish +subscribe +unsubscribe +psubscribe +punsubscribe +role
//	                 &<prefix>#<namespace>#* for each namespace, as it is escaped in a pattern
//	                 &<prefix>-request#* &<prefix>-roomcast#*
//	  NodeJS         +pubsub|numsub &<prefix>-response#*, without which the answers to calls
//	                 of Node.js servers cannot be published either
//	  Interest       no +psubscribe and +punsubscribe; &<prefix>#* for all namespaces, and
//	                 &<prefix>-roomcast-ids#*
//	sharded          +spublish +ssubscribe +sunsubscribe +role
//	                 &<prefix>#* &<prefix>-roomcast#*
//	  NodeJS         +pubsub|shardnumsub
//	  Interest       &<prefix>-roomcast-ids#*
//	streams          +publish +subscribe +unsubscribe +role &<prefix>#* &<prefix>-roomcast#*
//	                 +xadd +xread +xrange +xrevrange +xinfo|stream +xtrim +multi +exec +wait
//	                 +get +set +getrange +pexpire +eval +evalsha ~<prefix> ~sio:session:*
//	  ShardedPubSub  +spublish, +ssubscribe and +sunsubscribe in place of the others
//	  NodeJS         +pubsub|numsub, or +pubsub|shardnumsub
//	a Redis Cluster  +cluster|slots
//
// Redis compares a pattern that is subscribed to with the user's as text: a backslash comes
// before each of * ? [ ] ^ - \ in the prefix and the namespace. Without ROLE it goes
// unnoticed that the server has become a replica and lives on. Whoever may publish on these
// channels controls the cluster; [Options.HMACKey] makes that the holders of a key.
package redis
