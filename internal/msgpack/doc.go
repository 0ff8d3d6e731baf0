// Package msgpack transcodes between JSON and MessagePack without building a
// tree of values.
//
// JSON stands for what a packet carries: text in which an object of the form
// {"_placeholder":true,"num":0} stands for an attachment. In MessagePack the
// attachment is in its place, as bin. Numbers, strings and keys come out as
// notepack.io, the encoder of the Node.js adapters, writes and reads them.
//
// Nothing here keeps state: all functions are safe for concurrent use. No length
// that the input announces leads to an allocation before it was compared with
// the bytes that are there.
package msgpack

import "errors"

// MaxDepth is how deeply arrays and objects may be nested in either form.
const MaxDepth = 1000

// Errors of this package; test for them with errors.Is.
var (
	// ErrMalformed means that the input is not what it should be.
	ErrMalformed = errors.New("msgpack: malformed input")
	// ErrTooDeep means that the input is nested more deeply than MaxDepth.
	ErrTooDeep = errors.New("msgpack: input is nested too deeply")
	// ErrTooLarge means that the input's binaries take more room than there is, or are
	// more than a million.
	ErrTooLarge = errors.New("msgpack: binaries are too large")
)
