package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/packet"
)

// On registers a handler for an event of the clients in ns. T is what the event's
// first argument decodes into; a missing argument leaves the zero value. With T =
// Args the handler gets all arguments undecoded, and acknowledges by itself.
//
// Several handlers of one event run in the order of registration. The handlers of
// one socket run one at a time, in the order in which its events arrived;
// different sockets' run concurrently. They never hold up acknowledgements,
// disconnections or heartbeats, so a handler may wait for its own client in Call.
// ctx ends when the socket disconnects; its cause is a *DisconnectError.
//
// For a client that wants an acknowledgement, a handler (but one of Args) that
// returns nil is acknowledged without arguments, and an error as EventError says.
// Errors are logged. A panic is logged with its stack, counted, and disconnects
// that socket.
func On[T any](ns *Namespace, event string, handle func(ctx context.Context, s *Socket, value T) error) {
	if raw, ok := any(handle).(func(context.Context, *Socket, Args) error); ok {
		ns.handlers.on(event, raw)
		return
	}
	ns.handlers.on(event, func(ctx context.Context, s *Socket, a Args) error {
		var value T
		err := a.Decode(&value)
		if err == nil {
			err = handle(ctx, s, value)
		}
		if err != nil {
			return errors.Join(err, a.refuse(err))
		}
		return a.Ack()
	})
}

// Handle registers a handler whose result is the acknowledgement of the event. A
// client that wants none gets none. Everything else is as with On.
func Handle[Req, Res any](ns *Namespace, event string, handle func(ctx context.Context, s *Socket, request Req) (Res, error)) {
	ns.handlers.on(event, func(ctx context.Context, s *Socket, a Args) error {
		var request Req
		err := error(nil)
		if all, ok := any(&request).(*Args); ok {
			*all = a
		} else {
			err = a.Decode(&request)
		}
		var result Res
		if err == nil {
			result, err = handle(ctx, s, request)
		}
		if err == nil {
			err = a.Ack(result)
		}
		if err != nil {
			return errors.Join(err, a.refuse(err))
		}
		return nil
	})
}

// refusal is the acknowledgement of an event whose handler failed.
type refusal struct {
	Error struct {
		Message string `json:"message"`
		Data    any    `json:"data,omitempty"`
	} `json:"error"`
}

// refuse acknowledges a failed event.
func (a Args) refuse(err error) error { return a.Ack(refusalOf(err)) }

// refusalOf is what a client or another node is told of err. Only errors that were
// made for it show their text.
func refusalOf(err error) refusal {
	var r refusal
	var known *EventError
	switch {
	case errors.As(err, &known):
		r.Error.Message, r.Error.Data = known.Message, known.Data
	case errors.Is(err, ErrArguments):
		r.Error.Message = "invalid arguments"
	default:
		r.Error.Message = "internal error"
	}
	return r
}

type (
	eventHandler      = func(context.Context, *Socket, Args) error
	anyHandler        = func(context.Context, *Socket, string, Args) error
	outgoingHandler   = func(*Socket, string, Args)
	connectHandler    = func(context.Context, *Socket) error
	disconnectHandler = func(context.Context, *Socket, DisconnectReason)
)

// handlers are what the application registered. Sockets read them without a lock.
type handlers struct {
	mu      sync.Mutex // guards changes
	current atomic.Pointer[registry]
}

// registry is one immutable state of handlers.
type registry struct {
	events           map[string][]eventHandler
	any              []anyHandler
	eventMiddlewares []anyHandler
	outgoing         []outgoingHandler
	middlewares      []connectHandler
	connect          []connectHandler
	disconnect       []disconnectHandler
	serverSide       map[string][]serverSideHandler
}

// immediate says whether a client can be connected without running anything that
// may wait.
func (r *registry) immediate() bool { return len(r.middlewares)+len(r.connect) == 0 }

func newHandlers() *handlers {
	h := &handlers{}
	h.current.Store(&registry{})
	return h
}

// update replaces the registry by a changed copy.
func (h *handlers) update(change func(*registry)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := *h.current.Load()
	change(&r)
	h.current.Store(&r)
}

func (h *handlers) on(event string, handle eventHandler) {
	h.update(func(r *registry) { r.events = withHandler(r.events, event, handle) })
}

func (h *handlers) onServerSide(event string, handle serverSideHandler) {
	h.update(func(r *registry) {
		r.serverSide = withHandler(r.serverSide, event, handle)
		slices.SortStableFunc(r.serverSide[event], func(a, b serverSideHandler) int { // the first answers
			switch {
			case a.answers == b.answers:
				return 0
			case a.answers:
				return -1
			}
			return 1
		})
	})
}

// withHandler returns a copy of all with one more handler.
func withHandler[H any](all map[string][]H, event string, handle H) map[string][]H {
	changed := make(map[string][]H, len(all)+1)
	for name, list := range all {
		changed[name] = list
	}
	changed[event] = appendCopy(changed[event], handle)
	return changed
}

// handle runs the handlers of one event. Unknown events have none.
func (r *registry) handle(ctx context.Context, s *Socket, p *packet.Packet) error {
	name, ok := packet.EventName(p.Data)
	if !ok {
		return nil
	}
	list := r.events[string(name)]
	if len(list)+len(r.any)+len(r.eventMiddlewares) == 0 {
		return nil
	}
	values, err := p.Args()
	if err != nil {
		return err
	}
	args := Args{values: values}
	if p.HasID {
		args.reply = &reply{socket: s, id: p.ID}
	}
	for _, handle := range r.any {
		if err := handle(ctx, s, string(name), args); err != nil {
			return fmt.Errorf("event %s: %w", clip(string(name)), err)
		}
	}
	for _, ask := range r.eventMiddlewares {
		if err := ask(ctx, s, string(name), args); err != nil {
			return fmt.Errorf("event %s: %w", clip(string(name)), errors.Join(err, args.refuse(err)))
		}
	}
	for _, handle := range list {
		if err := handle(ctx, s, args); err != nil {
			return fmt.Errorf("event %s: %w", clip(string(name)), err)
		}
	}
	return nil
}
