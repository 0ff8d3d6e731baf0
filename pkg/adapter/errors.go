package adapter

import "errors"

// Errors that adapters return; test for them with errors.Is.
var (
	// ErrClosed means that the link was closed.
	ErrClosed = errors.New("adapter: link is closed")
	// ErrQueueFull means that the backend is away and the messages that wait for
	// it fill the queue.
	ErrQueueFull = errors.New("adapter: publish queue is full")
	// ErrDegraded means that the backend cannot be reached at the moment.
	ErrDegraded = errors.New("adapter: backend is not reachable")
	// ErrTooLarge means that a message is larger than the backend may carry.
	ErrTooLarge = errors.New("adapter: message is too large")
	// ErrMalformed means that bytes are not a message.
	ErrMalformed = errors.New("adapter: malformed message")
)
