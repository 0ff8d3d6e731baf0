package server

import (
	"errors"
	"net/http"

	"github.com/roomcast/roomcast/internal/cluster"
	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// Errors that a caller decides on; test for them with errors.Is.
var (
	// ErrServerClosed means that the server was shut down.
	ErrServerClosed = errors.New("server: closed")
	// ErrDisconnected means that the socket is not connected: not yet, or no more.
	ErrDisconnected = errors.New("server: socket is not connected")
	// ErrReservedEvent means that an event's name belongs to the protocol.
	ErrReservedEvent = errors.New("server: event name is reserved")
	// ErrNamespace means that a namespace's name is not acceptable.
	ErrNamespace = errors.New("server: invalid namespace name")
	// ErrTooManyAttachments means that an event or acknowledgement has more binary parts than
	// Options.MaxAttachments; clients drop the connection on such a packet.
	ErrTooManyAttachments = errors.New("server: too many attachments")
	// ErrTooManyRooms means that a join would exceed Options.MaxRoomsPerSocket.
	ErrTooManyRooms = errors.New("server: too many rooms")
	// ErrTooManyAcks means that more acknowledgements are awaited from a socket
	// than Options.MaxPendingAcks.
	ErrTooManyAcks = errors.New("server: too many pending acknowledgements")
	// ErrArguments means that an event's or acknowledgement's arguments do not
	// decode into what was asked for.
	ErrArguments = errors.New("server: arguments do not match")

	// ErrNodeLost means that a node died or left while it was asked for something.
	ErrNodeLost = cluster.ErrNodeLost
	// ErrDegraded means that the adapter's backend cannot be reached at the moment.
	ErrDegraded = adapter.ErrDegraded
	// ErrQueueFull means that the backend is away and its publish queue is full.
	ErrQueueFull = adapter.ErrQueueFull
	// ErrSlowConsumer is why a client was closed that did not read what it was sent.
	ErrSlowConsumer = engine.ErrSlowConsumer
)

// ConnectError refuses a connection to a namespace. A middleware returns it, and
// the client gets it as connect_error. See Socket.IO v5, "CONNECT_ERROR".
type ConnectError struct {
	// Message is the text that the client sees.
	Message string
	// Data is sent along as the error's data, unless nil. It is encoded as JSON
	// and holds no []byte.
	Data any
}

// Error returns the message.
func (e *ConnectError) Error() string { return e.Message }

// ConnectionError says why a request to open a session, or one of a session, was
// refused. See Options.OnConnectionError and Engine.IO v4, "Errors".
type ConnectionError struct {
	// Code is the protocol's number, 0 to 5, or -1 for a 503, which it does not have.
	Code int
	// Message is what the client is told.
	Message string
	// Reason names the cause, from a fixed list: a key of Stats.Refused.
	Reason string
	// Request is the refused request.
	Request *http.Request
	// Err says more, or is nil.
	Err error
}

// EventError is an error of a handler that is meant for the client: it becomes
// the acknowledgement {"error":{"message":Message,"data":Data}}. A client sees
// nothing of other errors but "internal error".
type EventError struct {
	// Message is the text that the client sees.
	Message string
	// Data is sent along unless nil.
	Data any
}

// Error returns the message.
func (e *EventError) Error() string { return e.Message }

// DisconnectReason says why a socket was disconnected, in the protocol's words.
type DisconnectReason string

// The reasons for a disconnection.
const (
	// ClientDisconnect means that the client left the namespace.
	ClientDisconnect DisconnectReason = "client namespace disconnect"
	// ServerDisconnect means that the server called Disconnect, or that a handler
	// panicked.
	ServerDisconnect DisconnectReason = "server namespace disconnect"
	// TransportClose means that the client closed the connection, or lost it, which may
	// show by its coming back on another one.
	TransportClose DisconnectReason = "transport close"
	// TransportError means that the connection broke, or that the client did not
	// read what it was sent.
	TransportError DisconnectReason = "transport error"
	// PingTimeout means that the client did not answer a heartbeat in time.
	PingTimeout DisconnectReason = "ping timeout"
	// ParseError means that the client sent an invalid Engine.IO packet.
	ParseError DisconnectReason = "parse error"
	// ForcedClose means that the client sent an invalid Socket.IO packet, or one
	// that its state does not allow.
	ForcedClose DisconnectReason = "forced close"
	// ServerShutdown means that Shutdown was called.
	ServerShutdown DisconnectReason = "server shutting down"
)
