package emitter

import (
	"errors"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Errors that a caller decides on; test for them with errors.Is.
var (
	// ErrClosed means that the emitter was closed.
	ErrClosed = errors.New("emitter: closed")
	// ErrReservedEvent means that an event's name belongs to the protocol.
	ErrReservedEvent = errors.New("emitter: event name is reserved")
	// ErrNamespace means that a namespace's name is not acceptable.
	ErrNamespace = errors.New("emitter: invalid namespace name")
	// ErrTooManyAttachments means that an event has more binary parts than
	// Options.MaxAttachments; clients drop the connection on such a packet.
	ErrTooManyAttachments = errors.New("emitter: too many attachments")

	// ErrQueueFull means that the backend is away and its publish queue is full.
	ErrQueueFull = adapter.ErrQueueFull
	// ErrTooLarge means that a message is larger than the backend may carry.
	ErrTooLarge = adapter.ErrTooLarge
)
