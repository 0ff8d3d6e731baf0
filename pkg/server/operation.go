package server

import (
	"context"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// OperationKind says what an Operation is.
type OperationKind string

// The kinds of operations.
const (
	// OperationConnect is a client's way into a namespace: its middlewares and the
	// handlers of OnConnect. Err is why it was refused.
	OperationConnect OperationKind = "connect"
	// OperationEvent is the handling of a client's event by the handlers for it. Err is
	// theirs.
	OperationEvent OperationKind = "event"
	// OperationEmit is an emit of this node's program, to one socket or to many; on a
	// pattern it is one for each namespace. Receivers is the number of this node's sockets
	// that it goes to. It ends before they have it.
	OperationEmit OperationKind = "emit"
	// OperationDeliver is a broadcast that the adapter has brought: another node's or, where
	// a log delivers, also this one's. Receivers are as with OperationEmit.
	OperationDeliver OperationKind = "deliver"
	// OperationCall is a Call or CallAll, from its event to its last acknowledgement.
	// Receivers are as with OperationEmit.
	OperationCall OperationKind = "call"
	// OperationRequest is what this node asks of other nodes, until all have answered. Action
	// says what.
	OperationRequest OperationKind = "request"
	// OperationServe is the handling of an event that another node's program has sent with
	// ServerSideEmit or CallServers.
	OperationServe OperationKind = "serve"
)

// Operation is something that a node does, as an Observer sees it. It is valid until End
// returns, and is not to be changed but where it says so.
type Operation struct {
	// Kind says what it is.
	Kind OperationKind
	// Namespace is the namespace's name, or what Namespace.Labeled has called its pattern.
	// With OperationConnect it may be known at End only.
	Namespace string
	// Event is the event's name, empty for what concerns none. A client may have made it up.
	Event string
	// Registered says that Event is a name of the program's: the namespace has a handler for
	// it.
	Registered bool
	// Socket is the socket of OperationConnect, OperationEvent and of what goes to a single
	// socket of this node; otherwise nil.
	Socket *Socket
	// Action is "join", "leave", "disconnect", "fetch", "rooms", "event", "call" or
	// "release" with OperationRequest.
	Action string
	// Trace travels to other nodes with what OperationEmit, OperationCall and OperationRequest
	// send, if Begin sets it: up to MaxTraceLength bytes. With OperationDeliver and
	// OperationServe it is what the other node's Begin has set. Whoever can write to the
	// adapter's backend can make it up.
	Trace string

	// Receivers is the number of receivers. It is set at End.
	Receivers int
	// Duration is how long it took. It is set at End.
	Duration time.Duration
	// Err is why it failed, or nil. It is set at End.
	Err error
	// Panicked says that a handler did not return. It is set at End.
	Panicked bool
}

// MaxTraceLength is the length of the longest Operation.Trace that travels; a longer one is
// left out.
const MaxTraceLength = 512

// running is an operation under way; nil if nobody observes.
type running struct {
	Operation
	server *Server
	ctx    context.Context
	began  time.Time
}

// begin begins an operation of namespace n, unless nobody observes. It returns the context
// in which it runs.
func (n *Namespace) begin(ctx context.Context, o Operation) (context.Context, *running) {
	if n.server.observer == nil {
		return ctx, nil
	}
	o.Namespace = n.label()
	if o.Event != "" {
		h := n.handlers.current.Load()
		o.Registered = len(h.events[o.Event])+len(h.serverSide[o.Event]) > 0
	}
	return n.server.begin(ctx, o)
}

// beginDelivery begins the delivery of what the adapter has brought.
func (n *Namespace) beginDelivery(p *packet.Packet, trace string) *running {
	if n.server.observer == nil {
		return nil
	}
	_, r := n.begin(n.server.base, Operation{Kind: OperationDeliver, Event: eventName(p), Trace: trace})
	return r
}

// beginRequest begins what asks other nodes, and has its trace travel along.
func (n *Namespace) beginRequest(ctx context.Context, q *adapter.Request) *running {
	if n.server.observer == nil {
		return nil
	}
	_, r := n.begin(ctx, Operation{Kind: OperationRequest, Action: actionNames[q.Action], Event: eventName(&q.Packet)})
	q.Trace = r.trace()
	return r
}

// beginConnect begins a client's way into n, which is nil if it is yet to be found.
func (s *Socket) beginConnect(n *Namespace) *running {
	server := s.connection.server
	if server.observer == nil {
		return nil
	}
	o := Operation{Kind: OperationConnect, Socket: s}
	if n != nil {
		o.Namespace = n.label()
	}
	if server.observer.Begin == nil { // the context can wait until somebody wants it
		_, r := server.begin(server.base, o)
		return r
	}
	ctx, r := server.begin(s.Context(), o)
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	return r
}

// endConnect ends what beginConnect has begun.
func (s *Socket) endConnect(r *running, err error) {
	if r != nil && s.namespace != nil {
		r.Namespace = s.namespace.label()
	}
	r.end(err)
}

// begin begins an operation. The caller knows that somebody observes.
func (s *Server) begin(ctx context.Context, o Operation) (context.Context, *running) {
	if len(o.Trace) > MaxTraceLength {
		o.Trace = ""
	}
	r := &running{Operation: o, server: s, ctx: ctx, began: time.Now()}
	if begin := s.observer.Begin; begin != nil {
		s.unharmed(func() {
			if derived := begin(ctx, &r.Operation); derived != nil {
				r.ctx = derived
			}
		})
	}
	return r.ctx, r
}

// end ends the operation. Nothing is done for nil.
func (r *running) end(err error) {
	if r == nil {
		return
	}
	r.Duration, r.Err = time.Since(r.began), err
	if end := r.server.observer.End; end != nil {
		r.server.unharmed(func() { end(r.ctx, &r.Operation) })
	}
}

// trace returns what travels to other nodes.
func (r *running) trace() string {
	if r == nil || len(r.Trace) > MaxTraceLength {
		return ""
	}
	return r.Trace
}

// reach counts the receivers on this node.
func (r *running) reach(sockets []*Socket, except exclusion) {
	if r == nil {
		return
	}
	r.Receivers += len(sockets)
	if except.one == nil && except.many == nil {
		return
	}
	for _, s := range sockets {
		if except.has(s) {
			r.Receivers--
		}
	}
}

// unharmed runs a function of the observer's in the goroutine of what it observes.
func (s *Server) unharmed(f func()) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked("observer", v)
		}
	}()
	f()
}

// actionNames are the words of Operation.Action.
var actionNames = map[adapter.Action]string{
	adapter.ActionJoin: "join", adapter.ActionLeave: "leave", adapter.ActionDisconnect: "disconnect", adapter.ActionFetch: "fetch",
	adapter.ActionRooms: "rooms", adapter.ActionEvent: "event", adapter.ActionCall: "call", adapter.ActionRelease: "release",
}

// eventName returns the name of an event that was valid when it was made.
func eventName(p *packet.Packet) string {
	name, _ := packet.EventName(p.Data)
	return string(name)
}
