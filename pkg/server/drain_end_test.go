package server_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

func dialWebSocket(t *testing.T, dial rawclient.Dialer, rest string) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{NetDialContext: dial}
	conn, response, err := dialer.Dial("ws"+rest, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Whoever ends a drain early has all clients closed at once.
func TestDrain_EndsEarly(t *testing.T) {
	const window, early = time.Hour, 3 * time.Second
	for name, tt := range map[string]struct {
		interrupt func(s *server.Server, cancel context.CancelFunc) error
		want      error // of Drain
	}{
		"when its context does": {func(_ *server.Server, cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
		"by Shutdown":           {func(s *server.Server, _ context.CancelFunc) error { return s.Shutdown(context.Background()) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
				a, _ := rawclient.Join(t, pipeURL, "/", dial)
				b, _ := rawclient.Join(t, pipeURL, "/", dial)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				left := awaitLeaving(time.Now(), a, b)
				ended := draining(ctx, s, window)
				time.Sleep(early)
				errs(t, tt.interrupt(s, cancel))
				if err := ended(); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Errorf("Drain returned %v, want %v", err, tt.want)
				}
				if last := left()[1]; last.at > early+time.Second {
					t.Errorf("the last client left after %v, want %v", last.at, early)
				}
			})
		})
	}
}

func TestDrain_ASecondOneWaitsForTheFirst(t *testing.T) {
	const window = 10 * time.Second
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		begun := time.Now()
		left := awaitLeaving(begun, c)
		first, second := draining(t.Context(), s, window), draining(t.Context(), s, 0)
		errs(t, second(), first())
		if at := left()[0].at; at == 0 || time.Since(begun) < at {
			t.Errorf("the client left after %v, before %v", at, time.Since(begun))
		}
		errs(t, s.Drain(t.Context(), window), s.Shutdown(t.Context()))
	})
}

func TestDrain_AfterShutdownReturnsAtOnce(t *testing.T) {
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		errs(t, s.Shutdown(t.Context()))
		begun := time.Now()
		errs(t, s.Drain(t.Context(), time.Hour))
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestDrain_WithoutAWindowIsShutdown(t *testing.T) {
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		left := awaitLeaving(time.Now(), c)
		errs(t, s.Drain(t.Context(), 0))
		if at := left()[0].at; at != 0 {
			t.Errorf("the client left after %v", at)
		}
	})
}

// One that answers neither the close nor anything else is not waited for for long.
func TestDrain_IsNotHeldUpByAClientThatIsSilent(t *testing.T) {
	const window = 10 * time.Second
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		begun := time.Now()
		errs(t, s.Drain(t.Context(), window))
		if took := time.Since(begun); took > window+3*time.Second {
			t.Errorf("it took %v", took)
		}
		c.Close()
	})
}
