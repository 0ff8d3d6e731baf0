// Package tracing makes OpenTelemetry spans of what a server of package server does.
//
// Observer returns what goes into server.Options; server.JoinObservers combines it with others.
// A client's way into a namespace has a span, which continues the trace of the handshake's
// traceparent header. Events have one if Options.EventRatio says so: they are many. A handler's
// context carries the span, so what the program does there belongs to it; for what it emits there
// it says WithContext:
//
//	server.On(ns, "say", func(ctx context.Context, s *server.Socket, text string) error {
//		return s.Broadcast().WithContext(ctx).Emit("said", text)
//	})
//
// What nodes send to each other carries the trace, and so the other nodes' deliveries and
// handlers are part of it. The packets of clients have no place for a trace.
package tracing
