package admin

import (
	"context"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/server"
)

// Events counts a node's events. It watches the server that is made with its Observer, and
// goes into Options.Events. The zero value is ready; it is safe for concurrent use.
type Events struct{ received, sent atomic.Uint64 }

// Observer returns what has to be, perhaps with server.JoinObservers, in server.Options.
func (e *Events) Observer() *server.Observer { return &server.Observer{End: e.count} }

func (e *Events) count(_ context.Context, o *server.Operation) {
	switch o.Kind {
	case server.OperationEvent:
		e.received.Add(1)
	case server.OperationEmit, server.OperationDeliver, server.OperationCall:
		e.sent.Add(uint64(o.Receivers))
	}
}
