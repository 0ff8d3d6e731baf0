package tracing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/roomcast/roomcast/pkg/server"
)

// scope names the instrumentation.
const scope = "github.com/roomcast/roomcast/pkg/tracing"

// Options configures an Observer. The zero value traces connections and what belongs to a
// trace already.
type Options struct {
	// Provider makes the spans. Nil means the global one, otel.GetTracerProvider.
	Provider trace.TracerProvider
	// EventRatio is the share of clients' events, and of emits and calls that belong to no
	// trace, that begin one: 0 none, 1 all. The provider's sampler is asked beside it.
	EventRatio float64
	// Ignore are names of events that have no spans.
	Ignore []string
}

// tracer makes the spans of one server.
type tracer struct {
	tracer  trace.Tracer
	ratio   float64
	ignored map[string]struct{}
}

// Observer returns what traces the operations of a server. It is safe for concurrent use,
// also by several servers.
func Observer(o Options) *server.Observer {
	if o.Provider == nil {
		o.Provider = otel.GetTracerProvider()
	}
	t := &tracer{tracer: o.Provider.Tracer(scope), ratio: o.EventRatio, ignored: make(map[string]struct{})}
	for _, event := range o.Ignore {
		t.ignored[event] = struct{}{}
	}
	return &server.Observer{Begin: t.begin, End: end}
}

// form is how a kind of operation is shown.
type form struct {
	verb string // the end of the span's name
	kind trace.SpanKind
}

var forms = map[server.OperationKind]form{
	server.OperationConnect: {"connect", trace.SpanKindServer},
	server.OperationEvent:   {"receive", trace.SpanKindConsumer},
	server.OperationEmit:    {"publish", trace.SpanKindProducer},
	server.OperationDeliver: {"deliver", trace.SpanKindConsumer},
	server.OperationCall:    {"call", trace.SpanKindClient},
	server.OperationRequest: {"request", trace.SpanKindClient},
	server.OperationServe:   {"process", trace.SpanKindConsumer},
}

// key is that of an active span in a context.
type key struct{}

// active is a span and the operation that it is of: an inner operation without a span finds
// the span of an outer one, which it must not end.
type active struct {
	operation *server.Operation
	span      trace.Span
}

func (t *tracer) begin(ctx context.Context, o *server.Operation) context.Context {
	f, known := forms[o.Kind]
	if !known {
		return ctx
	}
	parent, options, wanted := t.place(ctx, o)
	if !wanted {
		return parent
	}
	options = append(options, trace.WithSpanKind(f.kind), trace.WithAttributes(attributes(o)...))
	parent, span := t.tracer.Start(parent, nameOf(o, f), options...)
	switch o.Kind {
	case server.OperationEmit, server.OperationCall, server.OperationRequest:
		o.Trace = write(parent)
	}
	return context.WithValue(parent, key{}, &active{o, span})
}

// place says to which trace an operation belongs, and whether it is to have a span.
func (t *tracer) place(ctx context.Context, o *server.Operation) (parent context.Context, options []trace.SpanStartOption, wanted bool) {
	_, ignored := t.ignored[o.Event]
	ignored = ignored && o.Event != ""
	switch o.Kind {
	case server.OperationConnect:
		return propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(o.Socket.Handshake().Header())), nil, true
	case server.OperationEvent:
		// Each event is a trace of its own: that of the connection would never end.
		connection := trace.SpanContextFromContext(ctx)
		ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
		if connection.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: connection}))
		}
		return ctx, options, !ignored && t.begins()
	case server.OperationDeliver, server.OperationServe:
		return read(ctx, o.Trace), nil, !ignored && o.Trace != ""
	case server.OperationRequest:
		return ctx, nil, !ignored && trace.SpanContextFromContext(ctx).IsValid()
	}
	return ctx, nil, !ignored && (trace.SpanContextFromContext(ctx).IsValid() || t.begins())
}

// begins says whether an operation that belongs to no trace begins one.
func (t *tracer) begins() bool { return t.ratio > 0 && rand.Float64() < t.ratio }

// end ends the span of an operation, if it has one.
func end(ctx context.Context, o *server.Operation) {
	a, _ := ctx.Value(key{}).(*active)
	if a == nil || a.operation != o {
		return
	}
	a.span.SetAttributes(attribute.String("messaging.destination.name", o.Namespace))
	if o.Receivers > 0 {
		a.span.SetAttributes(attribute.Int("roomcast.receivers", o.Receivers))
	}
	switch {
	case o.Panicked:
		a.span.SetStatus(codes.Error, "panicked")
		a.span.SetAttributes(attribute.String("error.type", "panic"))
	case o.Err != nil: // whose text may quote what a client has sent
		a.span.SetStatus(codes.Error, "failed")
		a.span.SetAttributes(attribute.String("error.type", fmt.Sprintf("%T", o.Err)))
	}
	a.span.End()
}

// attributes are those of the semantic conventions for messaging, where they fit.
func attributes(o *server.Operation) []attribute.KeyValue {
	list := []attribute.KeyValue{
		attribute.String("messaging.system", "socket.io"),
		attribute.String("messaging.operation.name", string(o.Kind)),
		attribute.String("messaging.destination.name", o.Namespace),
	}
	if o.Event != "" {
		list = append(list, attribute.String("roomcast.event", clip(o.Event)))
	}
	if o.Socket != nil {
		list = append(list, attribute.String("roomcast.socket.id", o.Socket.ID()))
	}
	return list
}

// nameOf returns a span's name, which holds no event's that a client has made up.
func nameOf(o *server.Operation, f form) string {
	switch {
	case o.Action != "":
		return o.Action + " " + f.verb
	case o.Event == "":
		return f.verb
	case o.Kind == server.OperationEvent && !o.Registered:
		return "event " + f.verb
	}
	return clip(o.Event) + " " + f.verb
}

// clip bounds a name.
func clip(name string) string {
	const most = 128
	return strings.ToValidUTF8(name[:min(len(name), most)], "")
}

// The members of W3C Trace Context.
const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// write returns ctx's trace as it travels between nodes: traceparent, and in a second line
// tracestate, if there is one and it fits.
func write(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	text := c[traceparent]
	if state := c[tracestate]; state != "" && len(text)+1+len(state) <= server.MaxTraceLength {
		text += "\n" + state
	}
	return text
}

// read returns ctx in the trace that write has written. What is none makes it part of no
// trace.
func read(ctx context.Context, text string) context.Context {
	parent, state, _ := strings.Cut(text, "\n")
	c := propagation.MapCarrier{traceparent: parent}
	if state != "" {
		c[tracestate] = state
	}
	return propagation.TraceContext{}.Extract(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), c)
}
