// Package wire turns messages into the bytes that Node.js servers with the sharded and
// with the streams adapter exchange over Redis, and back. It knows no Redis client.
//
// A message of these servers is an object:
//
//	{type, data, uid, nsp}
//
// uid is who has sent it, nsp the namespace, which is our topic, and the type says what
// data holds:
//
//	1, 2, 13  heartbeats of older versions, without data
//	3         {packet: {type, data: ["event", …]}, requestId, opts: {rooms, except, flags}}
//	4, 5      {opts, rooms: […]}
//	6         {opts, close}
//	7         {opts, requestId}
//	8         {requestId, sockets: [{id, handshake, rooms, data}]}
//	9         {requestId, packet: ["event", …]}
//	10, 12    {requestId, packet}
//	11        {requestId, clientCount}
//
// Over pub/sub the whole object travels, as JSON or as MessagePack. In a stream its
// members are the fields of an entry, and data is JSON or the base64 of MessagePack.
//
// A roomcast node adds a member roomcast, which Node.js ignores:
//
//	{version, n, requestId, timeout, whole, rooms, except, volatile, compress, message}
//
// It holds what the form has no place for, and it is how a request says that its answers
// are wanted in package adapter's own form, as roomcast nodes give them. Its n numbers
// what one sender sends.
//
// What is read is checked whole, and fails with adapter.ErrMalformed. No length that the
// input announces leads to an allocation before it was compared with what is there.
// Nothing here keeps state: all functions are safe for concurrent use.
package wire

import (
	"errors"
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// ErrNoForm means that Node.js has no words for a message: it is for roomcast nodes
// alone, which read package adapter's own form.
var ErrNoForm = errors.New("wire: message has no form of Node.js")

// malformed says what could not be written or read.
func malformed(what string) error { return fmt.Errorf("wire: %s: %w", what, adapter.ErrMalformed) }

// Limits of what is read.
const (
	// maxElements bounds a list, so that a few bytes per element cannot become far more
	// in memory.
	maxElements = 1 << 20
	// maxIDBytes bounds what other programs may take for an id.
	maxIDBytes = 256
	// maxReceivers is more than a node can have.
	maxReceivers = 1 << 30
)
