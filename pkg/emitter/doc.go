// Package emitter speaks to the clients of a cluster from a process that has none
// itself: a worker, a cron job, an HTTP API. It accepts no connections, is no
// member of the cluster, and imports no server.
//
//	e, err := emitter.New(backend, emitter.Options{})
//	...
//	defer e.Close(ctx) // hands over what is still queued
//	err = e.To("orders").Emit(ctx, "shipped", order)
//	err = e.Of("/admin").All().Disconnect(ctx, true)
//
// The adapter is the one that the nodes use, with the same settings. Over
// adapter/redis, Node.js servers with @socket.io/redis-adapter are reached too,
// and the bytes are those of @socket.io/redis-emitter.
//
// # Guarantees
//
// Nobody is waited for. The first use of a namespace joins it, for which a call
// waits 1 s at most, less if its context ends. From then on a call returns when
// the message has its place in the adapter's publish queue.
//
// Order. What one goroutine emits in one namespace arrives in that order.
//
// At most once, without an answer. No node says how many sockets there were, nor
// that it has done what it was asked. Who wants to know asks a server:
// its Broadcast has FetchSockets, and its Join, Leave and Disconnect are confirmed.
//
// The backend may fail. While it is away messages wait in the adapter's queue, which
// is bounded in bytes and in time; a full one is ErrQueueFull.
package emitter
