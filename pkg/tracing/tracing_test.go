package tracing_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
	"github.com/roomcast/roomcast/pkg/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a node whose spans are recorded.
func start(t *testing.T, bus adapter.Adapter, o tracing.Options) (*server.Server, string, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	o.Provider = sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	s, err := server.New(server.Options{
		Adapter: bus, Observer: tracing.Observer(o), Logger: slog.New(slog.DiscardHandler), CloseTimeout: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		stop(t, s)
		web.Close()
	})
	return s, web.URL, spans
}

// stop ends a node: all of its spans have ended then.
func stop(t *testing.T, s *server.Server) {
	t.Helper()
	if err := s.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// find returns the only span of that name.
func find(t *testing.T, spans *tracetest.SpanRecorder, name string) sdk.ReadOnlySpan {
	t.Helper()
	var found []sdk.ReadOnlySpan
	for _, s := range spans.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans are called %q, want one of %v", len(found), name, names(spans))
	}
	return found[0]
}

func names(spans *tracetest.SpanRecorder) (list []string) {
	for _, s := range spans.Ended() {
		list = append(list, s.Name())
	}
	return list
}

func attribute(s sdk.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

func TestConnect_ContinuesTheTraceOfTheHandshake(t *testing.T) {
	s, url, spans := start(t, nil, tracing.Options{})
	const id = "0af7651916cd43dd8448eb211c80319c"
	s.Of("/").OnConnect(func(ctx context.Context, _ *server.Socket) error {
		if got := trace.SpanContextFromContext(ctx).TraceID().String(); got != id {
			t.Errorf("the handler is in trace %s, want %s", got, id)
		}
		return nil
	})
	header := http.Header{"Traceparent": {"00-" + id + "-b7ad6b7169203331-01"}}
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http")+"/socket.io/?EIO=4&transport=websocket", header)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the open packet and the reply
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, s)
	connect := find(t, spans, "connect")
	if got := connect.Parent().SpanID().String(); got != "b7ad6b7169203331" || connect.SpanContext().TraceID().String() != id {
		t.Errorf("the parent is %s in trace %s", got, connect.SpanContext().TraceID())
	}
	if attribute(connect, "messaging.system") != "socket.io" || attribute(connect, "messaging.destination.name") != "/" {
		t.Errorf("got attributes %v", connect.Attributes())
	}
}

func TestEvents_HaveNoSpansUnlessAsked(t *testing.T) {
	s, url, spans := start(t, nil, tracing.Options{})
	server.Handle(s.Of("/"), "echo", func(ctx context.Context, _ *server.Socket, text string) (string, error) {
		if trace.SpanContextFromContext(ctx).IsValid() {
			t.Error("the handler of an event without a span is in a trace")
		}
		return text, nil
	})
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`20["echo","x"]`)
	c.Expect(`30["x"]`)
	if err := s.Emit("all"); err != nil {
		t.Error(err)
	}
	stop(t, s)
	if got := names(spans); !slices.Equal(got, []string{"connect"}) {
		t.Errorf("got spans %q", got)
	}
}

func TestEvents_AreTracesOfTheirOwnThroughAllNodes(t *testing.T) {
	bus := memory.New()
	s, url, here := start(t, bus, tracing.Options{EventRatio: 1, Ignore: []string{"noise"}})
	o, far, there := start(t, bus, tracing.Options{})
	for deadline := time.Now().Add(10 * time.Second); len(s.Health().Nodes)*len(o.Health().Nodes) == 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the nodes do not hear each other")
		}
	}
	ns := s.Of("/")
	server.On(ns, "say", func(ctx context.Context, s *server.Socket, text string) error {
		if _, err := server.CallServers[string](ctx, ns, "ask", text); err != nil {
			t.Error(err)
		}
		return ns.WithContext(ctx).Emit("said", text)
	})
	server.On(ns, "noise", func(context.Context, *server.Socket, string) error { return nil })
	server.On(ns, "bad", func(context.Context, *server.Socket, string) error { return errors.New("a secret") })
	server.HandleServerSide(o.Of("/"), "ask", func(_ context.Context, text string) (string, error) { return text, nil })
	a, _ := rawclient.Join(t, url, "/", nil)
	b, _ := rawclient.Join(t, far, "/", nil)
	for _, packet := range []string{`2["noise","x"]`, `2["made up"]`, `2["bad","x"]`, `2["say","x"]`} {
		a.Send(packet)
	}
	a.Expect(`2["said","x"]`)
	b.Expect(`2["said","x"]`)
	stop(t, s)
	stop(t, o)

	say, connect := find(t, here, "say receive"), find(t, here, "connect")
	if say.Parent().IsValid() || len(say.Links()) != 1 || say.Links()[0].SpanContext.SpanID() != connect.SpanContext().SpanID() {
		t.Errorf("the event's span has parent %v and links %v, want none and one to the connection", say.Parent(), say.Links())
	}
	request, publish := find(t, here, "event request"), find(t, here, "said publish")
	for _, inner := range []struct{ child, parent sdk.ReadOnlySpan }{
		{request, say}, {publish, say}, {find(t, there, "ask process"), request}, {find(t, there, "said deliver"), publish},
	} {
		if inner.child.Parent().SpanID() != inner.parent.SpanContext().SpanID() || inner.child.SpanContext().TraceID() != say.SpanContext().TraceID() {
			t.Errorf("%q is not part of %q", inner.child.Name(), inner.parent.Name())
		}
	}
	if bad := find(t, here, "bad receive"); bad.Status().Code != codes.Error || strings.Contains(bad.Status().Description, "secret") {
		t.Errorf("the failed event has status %v", bad.Status())
	}
	find(t, here, "event receive") // the one that the client has made up
	if slices.Contains(names(here), "noise receive") {
		t.Error("an ignored event has a span")
	}
	if got := attribute(publish, "roomcast.receivers"); got != "1" {
		t.Errorf("%s receivers, want 1", got)
	}
}

func TestTrace_OfAStrangerIsNoneOfOurs(t *testing.T) {
	o := tracing.Observer(tracing.Options{Provider: sdk.NewTracerProvider()})
	for _, text := range []string{"", "nonsense", "00-zz", "\n", "00-00000000000000000000000000000000-0000000000000000-01", strings.Repeat("x", 500)} {
		operation := &server.Operation{Kind: server.OperationServe, Trace: text}
		ctx := o.Begin(t.Context(), operation)
		if text != "" && trace.SpanFromContext(ctx).(sdk.ReadOnlySpan).Parent().IsValid() {
			t.Errorf("%.20q is taken for a trace", text)
		}
		o.End(ctx, operation)
	}
}
