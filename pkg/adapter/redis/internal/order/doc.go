// Package order puts back into order what one sender has sent by two ways.
//
// With the streams adapter, broadcasts travel through a stream and calls over
// pub/sub. A link numbers both in one sequence. The receiver holds a message that is
// ahead of its sender's others until they have come by the other way, and no longer
// than it is worth: pub/sub may lose one.
//
// What comes through the stream is never reordered among itself, whoever has sent it:
// while its head is held, so is all that follows.
package order
