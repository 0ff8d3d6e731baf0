// Package memory connects several nodes of one process: for tests, for examples
// and as the reference implementation of the adapter seam.
//
// A message goes straight into the queue of each link that is to have it. A link
// has a goroutine only while its queue has something.
package memory
