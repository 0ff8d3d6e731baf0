// Package memory connects several nodes of one process: for tests, for examples
// and as the reference implementation of the adapter seam.
//
// A message goes straight into the queue of each link that is to have it. A link
// has a goroutine only while its queue has something.
//
// It is also an adapter.RecoveryStore. A topic that a node joins with a retention
// has a log, whose lock is held while a broadcast goes into the log and into all
// queues: that makes the one order. Publish then passes on what waits in the
// publisher's own queue, up to its own broadcast. One timer, while something is
// kept and somebody has joined, releases what is too old.
package memory
