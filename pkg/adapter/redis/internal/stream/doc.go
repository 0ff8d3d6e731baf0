// Package stream keeps one Redis stream: a writer that keeps its order, a reader
// that all topics share, and the log as clients read it when they come back. It
// also keeps records, which are plain keys with an expiry. What the fields of an
// entry say is not its business.
//
// # What is promised
//
// An entry that Append has accepted is written once Redis takes it, behind those
// accepted before it. A reply that was lost is no reason to lose the entry, nor to
// deliver it twice: each entry carries the name of its writer and a number, and
// whoever reads passes over numbers that it has had.
//
// A Listener gets the entries of its topic in the order of the log. While Redis is
// away they wait; the reader's position is the id of an entry that it has read, so
// nothing between two connections is missed. Where the stream has lost entries, by
// trimming, by a failover or altogether, reading goes on behind the newest entry
// that is known to be the same, and what was lost is counted and reported.
//
// Entries without a number, those of Node.js servers, are delivered as they stand in
// the stream. Numbers are believed: without a Config.Seal, whoever may write to the
// stream may also claim another writer's next number and so silence it.
package stream
