package tracing_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/roomcast/roomcast/pkg/server"
	"github.com/roomcast/roomcast/pkg/tracing"
)

// A server whose spans go where the program's other spans go.
func ExampleObserver() {
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	ctx, span := provider.Tracer("example").Start(context.Background(), "a request")

	srv, err := server.New(server.Options{Observer: tracing.Observer(tracing.Options{Provider: provider})})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = srv.Shutdown(context.Background()) }()
	if err := srv.Of("/").WithContext(ctx).Emit("news", "hello"); err != nil {
		fmt.Println(err)
	}
	span.End()
	for _, s := range spans.Ended() {
		fmt.Println(s.Name())
	}
	// Output:
	// news publish
	// a request
}
