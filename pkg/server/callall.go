package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// CallAll sends event with args to the selected sockets of all nodes and gathers
// their acknowledgements: the first argument of each, decoded into Res, or all of them
// undecoded when Res is Args. It returns at once; the event has its place among
// what the calling goroutine emits.
//
// The call ends when all have answered or gone, or when ctx ends, and without a
// deadline after Options.RequestTimeout; a node that dies ends its part when it is
// given up. Shutdown ends it with ErrServerClosed. What came is kept in each case. A
// late answer is ignored. Other nodes wait for their sockets for an hour at most. A socket that owes Options.MaxPendingAcks already is left out.
func CallAll[Res any](ctx context.Context, b Broadcast, event string, args ...any) *Answers[Res] {
	c := &collection{}
	if err := b.callAll(ctx, c, event, args); err != nil {
		c.finish(err)
	}
	return &Answers[Res]{c}
}

// Answers are the acknowledgements of a broadcast, as they come. It is safe for
// concurrent use.
type Answers[Res any] struct{ collection *collection }

// Each yields the answers in the order in which they came, waiting for those that
// are still to come, until the call has ended. The error is that of an answer that
// does not decode into Res; it wraps ErrArguments. It can be used several times.
func (a *Answers[Res]) Each() iter.Seq2[Res, error] {
	return func(yield func(Res, error) bool) {
		for i := 0; ; i++ {
			answer, ok := a.collection.await(i)
			if !ok || !yield(decodeAnswer[Res](answer)) {
				return
			}
		}
	}
}

// Wait waits for the call's end and returns the answers that decode into Res. Its
// error is that of Err, joined with those of the answers that do not.
func (a *Answers[Res]) Wait() ([]Res, error) {
	var all []Res
	var errs []error
	for value, err := range a.Each() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, value)
	}
	return all, errors.Join(append(errs, a.Err())...)
}

// Counts returns to how many sockets the event is known to have been sent so far,
// and how many of them have answered.
func (a *Answers[Res]) Counts() (expected, received int) {
	c := a.collection
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expected, len(c.answers)
}

// Err returns why answers are missing, after the call has ended: a *PartialError,
// or why the event could not be sent, as Broadcast.Emit and FetchSockets say.
// It is nil before, and when all have answered.
func (a *Answers[Res]) Err() error {
	c := a.collection
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func decodeAnswer[Res any](p packet.Packet) (Res, error) {
	var value Res
	values, err := p.Args()
	if err != nil {
		return value, argumentError(err)
	}
	answer := Args{values: values}
	if all, ok := any(&value).(*Args); ok {
		*all = answer
		return value, nil
	}
	return value, answer.Decode(&value)
}

// collection is what has come of the answers to a call.
type collection struct {
	mu       sync.Mutex
	answers  []packet.Packet
	expected int
	ended    bool
	err      error
	changed  chan struct{} // closed with the next change; nil while nobody waits for it
}

// change makes a change and tells those who wait for one.
func (c *collection) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func (c *collection) expect(n int)         { c.change(func() { c.expected += n }) }
func (c *collection) take(p packet.Packet) { c.change(func() { c.answers = append(c.answers, p) }) }
func (c *collection) finish(err error)     { c.change(func() { c.ended, c.err = true, err }) }

// await returns answer i, waiting for it, and false when the call ended without.
func (c *collection) await(i int) (packet.Packet, bool) {
	for {
		c.mu.Lock()
		if i < len(c.answers) {
			defer c.mu.Unlock()
			return c.answers[i], true
		}
		if c.ended {
			c.mu.Unlock()
			return packet.Packet{}, false
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		<-changed
	}
}

// callAll begins the call whose answers c collects.
func (b Broadcast) callAll(ctx context.Context, c *collection, event string, args []any) (err error) {
	n, err := b.asks()
	if err != nil {
		return err
	}
	data, attachments, err := n.server.encodeEvent(event, args)
	if err != nil {
		return err
	}
	waiting := false
	ctx, o := n.begin(ctx, Operation{Kind: OperationCall, Event: event})
	defer func() { // also when a function of OnAnyOutgoing has ended the goroutine
		if !waiting {
			o.end(cmp.Or(err, errExit))
		}
	}()
	ctx, cancel := n.server.withPatience(ctx)
	p := packet.Packet{Type: packet.Event, Namespace: n.name, Data: data, Attachments: attachments}
	remote, err := b.callOthers(ctx, c, p)
	if err != nil {
		cancel()
		return err
	}
	defer func() {
		if !waiting {
			cancel()
			_ = remote(ctx) // ends at once
		}
	}()
	answered := make(chan struct{})
	each := func(p packet.Packet, last bool) {
		if p.Data != nil {
			c.take(p)
		}
		if last {
			close(answered)
		}
	}
	counted := func(sockets []*Socket) {
		o.reach(sockets, exclusion{})
		c.expect(len(sockets))
		if len(sockets) == 0 {
			close(answered)
		}
		n.announceOutgoing(&p, sockets, exclusion{})
	}
	deadline, _ := ctx.Deadline()
	here, err := n.gather(&p, b, time.Until(deadline), counted, each)
	if err != nil {
		return err
	}
	waiting = true
	n.server.tasks.Go(func() {
		defer cancel()
		ctx, release := n.server.untilShutdown(ctx)
		defer release()
		err := remote(ctx)
		select {
		case <-answered:
		case <-ctx.Done():
			here.stop()
			<-answered
		}
		err = c.verdict(err, endOf(ctx))
		o.end(err)
		c.finish(err)
	})
	return nil
}

// untilShutdown returns a ctx that ends with the server too: Shutdown waits for its tasks.
func (s *Server) untilShutdown(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })
	return ctx, func() {
		forget()
		cancel(nil)
	}
}

// endOf returns why ctx has ended, or nil. The nodes that give up at its deadline
// may say so before its own timer does.
func endOf(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
	return context.Cause(ctx)
}

// callOthers sends the event to the other nodes, if their sockets are selected, and
// returns what waits for these sockets' answers.
func (b *Broadcast) callOthers(ctx context.Context, c *collection, p packet.Packet) (wait func(context.Context) error, err error) {
	r := &adapter.Request{Action: adapter.ActionCall, Packet: p, Volatile: b.volatile, Uncompressed: b.uncompressed}
	return b.begin(ctx, r, func(r *adapter.Response) {
		if r.Receivers > 0 {
			c.expect(r.Receivers)
		}
		if r.Answer != nil {
			c.take(*r.Answer)
		}
	})
}

// verdict says why answers are missing, if some are.
func (c *collection) verdict(err, ended error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	received := len(c.answers)
	var missing *PartialError
	switch {
	case errors.As(err, &missing):
		missing.Expected, missing.Received = c.expected, received
	case err == nil && received < c.expected:
		if ended == nil {
			ended = fmt.Errorf("%w: clients went without acknowledging", ErrDisconnected)
		}
		return &PartialError{Expected: c.expected, Received: received, Err: ended}
	}
	return err
}

// serveCall is callAll for another node.
func (n *Namespace) serveCall(r *adapter.Request, b Broadcast, answer func(*adapter.Response)) {
	p := r.Packet
	o := n.beginDelivery(&p, r.Trace)
	counted := func(sockets []*Socket) {
		o.reach(sockets, exclusion{})
		answer(&adapter.Response{Receivers: len(sockets), Done: len(sockets) == 0})
		n.announceApart(&p, sockets, exclusion{})
	}
	each := func(p packet.Packet, last bool) {
		response := &adapter.Response{Done: last}
		if p.Data != nil {
			response.Answer = &p
		}
		answer(response)
	}
	err := n.server.checkForeign(&p)
	if err == nil {
		_, err = n.gather(&p, b, n.patience(r), counted, each)
	}
	o.end(err)
	if err != nil {
		n.server.undeliverable.Add(1)
		n.server.log.Warn("call of another node dropped", "namespace", clip(n.name), "error", err)
		counted(nil)
	}
}
