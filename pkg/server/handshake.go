package server

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Handshake is what is known of a client from the request that opened its
// session, and the payload with which it connected to the namespace.
type Handshake struct {
	*engine.Handshake
	// Auth is the client's auth payload, a JSON object, or nil. It comes from the
	// client and proves nothing by itself.
	Auth jsontext.Value
}

// DecodeAuth decodes the auth payload into v; an absent one leaves v as it is.
// It fails with an error that wraps ErrArguments.
func (h *Handshake) DecodeAuth(v any) error {
	if h.Auth == nil {
		return nil
	}
	return argumentError(packet.Unmarshal(h.Auth, nil, v))
}
