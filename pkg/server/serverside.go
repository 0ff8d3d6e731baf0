package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// serverSideHandler handles an event of another node and returns what to answer.
type serverSideHandler struct {
	handle  func(context.Context, Args) (any, error)
	answers bool // it was registered for its answer
}

// ServerSideEmit sends event with args to the programs of the other nodes: to
// their handlers of OnServerSide and HandleServerSide in this namespace, never to
// this node's own and never to clients. It returns when the event has its place in the
// adapter's publish queue. It fails with ErrReservedEvent for "connect",
// "connection" and "new_namespace", with ErrNamespace for a pattern, and for its
// arguments as Broadcast.Emit does. ctx bounds nothing but a backend's own wait.
func (n *Namespace) ServerSideEmit(ctx context.Context, event string, args ...any) error {
	r, err := n.serverSideRequest(event, args)
	if err != nil || n.topic == nil {
		return err
	}
	_, o := n.begin(ctx, Operation{Kind: OperationEmit, Event: event})
	r.Trace = o.trace()
	err = n.topic.Tell(ctx, r)
	o.end(err)
	if err != nil {
		return fmt.Errorf("server: emit to the other nodes: %w", err)
	}
	return nil
}

// CallServers is ServerSideEmit for an event that the other nodes answer, those
// without a handler that answers excepted. It returns the answers decoded into
// Res, in no order; with Res = Args, undecoded. It waits as FetchSockets does, and fails with a
// *PartialError together with the answers that came, with ErrArguments for answers that
// do not decode, and as ServerSideEmit does.
func CallServers[Res any](ctx context.Context, ns *Namespace, event string, args ...any) ([]Res, error) {
	r, err := ns.serverSideRequest(event, args)
	if err != nil {
		return nil, err
	}
	var answers []packet.Packet
	all := ns.All()
	errs := []error{all.ask(ctx, r, func(r *adapter.Response) {
		if r.Answer != nil {
			answers = append(answers, *r.Answer)
		}
	})}
	results := make([]Res, 0, len(answers))
	for _, answer := range answers {
		result, err := decodeAnswer[Res](answer)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		results = append(results, result)
	}
	return results, errors.Join(errs...)
}

func (n *Namespace) serverSideRequest(event string, args []any) (*adapter.Request, error) {
	all := n.All()
	if _, err := all.asks(); err != nil {
		return nil, err
	}
	switch event {
	case "connect", "connection", "new_namespace":
		return nil, fmt.Errorf("%w: %q", ErrReservedEvent, event)
	}
	data, attachments, err := packet.MarshalEvent(event, args...)
	if err != nil {
		return nil, fmt.Errorf("server: encode event: %w", err)
	}
	p := packet.Packet{Type: packet.Event, Namespace: n.name, Data: data, Attachments: attachments}
	return &adapter.Request{Action: adapter.ActionEvent, Packet: p}, nil
}

// CountNodes returns the number of nodes that have joined the namespace, this one
// included. Node.js servers are counted when the adapter can.
func (n *Namespace) CountNodes(ctx context.Context) (int, error) {
	all := n.All()
	if _, err := all.asks(); err != nil {
		return 0, err
	}
	if n.topic == nil {
		return 1, nil
	}
	count, err := n.topic.Count(ctx)
	if err != nil {
		return count, fmt.Errorf("server: count nodes: %w", err)
	}
	return count, nil
}

// OnServerSide registers a handler for an event that other nodes send with
// ServerSideEmit or CallServers. T is what the first argument decodes into, or Args for
// all of them. The events of one namespace that want no answer are handled one at a
// time, in the order in which they arrived; those that do are handled
// concurrently. A node that calls gets an answer without arguments when handle
// returns nil; an error is logged, and answered as EventError says. ctx ends with the
// server.
func OnServerSide[T any](ns *Namespace, event string, handle func(ctx context.Context, value T) error) {
	ns.handlers.onServerSide(event, newServerSide(false, func(ctx context.Context, value T) (any, error) {
		return nil, handle(ctx, value)
	}))
}

// HandleServerSide registers a handler whose result is the answer to a node that
// calls. Everything else is as with OnServerSide. Of several handlers of one event
// the first that was registered with HandleServerSide answers.
func HandleServerSide[Req, Res any](ns *Namespace, event string, handle func(ctx context.Context, request Req) (Res, error)) {
	ns.handlers.onServerSide(event, newServerSide(true, handle))
}

func newServerSide[Req, Res any](answers bool, handle func(ctx context.Context, request Req) (Res, error)) serverSideHandler {
	return serverSideHandler{answers: answers, handle: func(ctx context.Context, a Args) (any, error) {
		var request Req
		var err error
		if all, ok := any(&request).(*Args); ok {
			*all = a
		} else {
			err = a.Decode(&request)
		}
		if err != nil {
			return nil, err
		}
		return handle(ctx, request)
	}}
}

// serveEvent has the handlers of an event of another node run.
func (n *Namespace) serveEvent(r *adapter.Request, answer func(*adapter.Response)) {
	name, _ := packet.EventName(r.Packet.Data)
	list := n.handlers.current.Load().serverSide[string(name)]
	if len(list) == 0 {
		answer(&adapter.Response{Done: true})
		return
	}
	run := func() {
		ctx, o := n.begin(n.server.life, Operation{Kind: OperationServe, Event: string(name), Trace: r.Trace})
		served := &service{request: r, running: o}
		defer func() { o.end(served.err) }()
		n.runServerSide(ctx, list, served, answer)
	}
	var accepted bool
	if size := packetSize(&r.Packet); r.ID == "" {
		accepted = n.events.addHolding(n.server.tasks, size, run)
	} else {
		accepted = n.callsHere.run(n.server.tasks, size, run)
	}
	if !accepted {
		n.server.undeliverable.Add(1)
		n.server.log.Warn("event of another node dropped: too many wait", "namespace", clip(n.name), "event", clip(string(name)))
	}
}

// service is the handling of a request by a program's handlers.
type service struct {
	request *adapter.Request
	running *running
	err     error // the first that a handler returned
}

// runServerSide runs the handlers of one event. The first one's result is answered.
func (n *Namespace) runServerSide(ctx context.Context, list []serverSideHandler, served *service, answer func(*adapter.Response)) {
	var reply *packet.Packet
	returned := false
	defer func() { // also when the handler, or the encoding of its result, has ended the goroutine
		if !returned {
			reply = n.serverSideAnswer(nil, errExit)
			served.panicked()
		}
		answer(&adapter.Response{Done: true, Answer: reply})
		if rest := list[1:]; len(rest) > 0 {
			n.runServerSide(ctx, rest, served, func(*adapter.Response) {})
		}
	}()
	n.guard("server-side event", func() error {
		var result any
		values, err := served.request.Packet.Args()
		if err == nil {
			result, err = list[0].handle(ctx, Args{values: values})
		}
		served.err = cmp.Or(served.err, err)
		reply = n.serverSideAnswer(result, err)
		returned = true
		return err
	})
}

// panicked notes that a handler did not return.
func (s *service) panicked() {
	if s.running != nil {
		s.running.Panicked = true
	}
}

// serverSideAnswer encodes what a handler has returned; nil is no argument.
func (n *Namespace) serverSideAnswer(result any, err error) *packet.Packet {
	var args []any
	switch {
	case err != nil:
		args = []any{refusalOf(err)}
	case result != nil:
		args = []any{result}
	}
	data, attachments, err := packet.MarshalArgs(args...)
	if err != nil {
		n.server.log.Error("answer to another node is not sent", "namespace", clip(n.name), "error", clip(err.Error()))
		return nil
	}
	return &packet.Packet{Type: packet.Ack, Namespace: n.name, Data: data, Attachments: attachments}
}
