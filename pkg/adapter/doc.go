// Package adapter is the seam between a roomcast server and what connects its
// nodes: Redis, a broker of your own, or the memory of one process.
//
// The server keeps rooms, encoding for clients, acknowledgements, timeouts and
// membership to itself; an adapter moves messages. So a backend is three methods:
// [Adapter.Join], [Link.Publish] and [Link.Close]. The package's example is a
// whole one.
//
// # Writing a backend
//
//  1. A topic is a subject, channel or queue of the backend. Its name is any text:
//     escape what the backend gives a meaning to. Names with a leading slash are
//     namespaces and carry broadcasts; the others are internal.
//  2. Messages cross as bytes: [Message.MarshalBinary] and
//     [Message.UnmarshalBinary] do, unless the backend has a form of its own.
//     Count and drop what cannot be decoded; a stranger may write there too.
//  3. Join subscribes, and waits until the backend has confirmed it. Returning
//     after the request was merely written loses the first messages.
//  4. Pass each message to deliver once, in the order in which its sender published
//     it, one call at a time. Leave out what the node has published itself and
//     what is addressed to another one. A slow deliver must not hold up other links:
//     put a queue between, with a bound.
//  5. Publish puts the encoded message into a queue and returns; one goroutine
//     speaks to the backend. When that is away and the queue is full, ErrQueueFull.
//  6. Close unsubscribes, hands over what is queued and waits for a running
//     deliver, no longer than its context. Let goroutines end with the last link.
//  7. If the backend is away, Join returns a link all the same, with ErrDegraded,
//     and the link connects by itself later. Implement [Reporter], so that
//     operators see it, and [Watcher], so that programs hear of it at once.
//  8. If a broadcast need not visit every node, implement [RoomObserver].
//  9. Requests and responses are messages like others: the server puts answers
//     together and knows who is to answer. Implement [NodeCounter] only if members
//     of another make, which send no heartbeats, use the backend too.
//  10. Call adaptertest.Run in a test. It names the rule that is broken.
//
// # Keeping what clients miss
//
// A backend that has a log, such as a stream, can be a [RecoveryStore]. Then
// broadcasts go through the log to every node, their sender's too: an offset must
// mean that everything before it was delivered, which it cannot if a node serves
// its own sockets first. Offsets are opaque to everybody else, who has the link
// compare those that it gave out; what a client sends as one may be any text.
// Records are found without a change and taken once. Rather than yield a log with a
// gap, fail with [ErrNoOffset]: the client then starts afresh. Records that outlive
// their node make the link a [RecordKeeper]; a log by which all broadcasts travel
// makes the adapter a [TotalOrder].
//
// # Order
//
// A sender's messages on a topic arrive in the order in which they were published,
// whatever they are and whoever they are for; only with a log may what is for one
// node be overtaken by what is for all. A backend with several ways that are not one,
// such as the channels of a Redis Cluster, keeps that order among the messages of one
// kind and action, to the same rooms and node, and says so.
//
// Delivery is at most once: an adapter does not repeat what may have arrived, and
// what is published while the backend is away may be lost.
package adapter
