package packet

import "errors"

// Errors of this package; test for them with errors.Is.
var (
	// ErrInvalid means that input breaks the grammar of Socket.IO or of JSON.
	ErrInvalid = errors.New("packet: invalid")
	// ErrLimit means that input passes one of the Limits.
	ErrLimit = errors.New("packet: limit exceeded")
	// ErrEncode means that a Go value has no JSON form, or a packet none on the wire.
	ErrEncode = errors.New("packet: cannot encode")
	// ErrBinary means that a []byte is where Socket.IO carries no attachments.
	ErrBinary = errors.New("packet: no attachments possible here")
	// ErrDecode means that JSON does not fit the Go value meant to hold it.
	ErrDecode = errors.New("packet: cannot decode")
)
