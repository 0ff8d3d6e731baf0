package emitter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/emitter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet drops logs; tests that are about logs bring their own.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func newEmitter(t *testing.T, a adapter.Adapter) *emitter.Emitter {
	t.Helper()
	e, err := emitter.New(a, emitter.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	return e
}

// listener is a node of a cluster in memory that notes what it receives.
type listener struct {
	t        *testing.T
	received chan *adapter.Message
}

func listen(t *testing.T, bus adapter.Adapter, node adapter.NodeID, namespace string) *listener {
	t.Helper()
	l := &listener{t: t, received: make(chan *adapter.Message, 10_000)}
	link, err := bus.Join(t.Context(), namespace, node, func(m *adapter.Message) { l.received <- m })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = link.Close(context.Background()) })
	return l
}

// next returns the next message, which must be of that kind.
func (l *listener) next(kind adapter.Kind) *adapter.Message {
	l.t.Helper()
	select {
	case m := <-l.received:
		if m.Kind != kind {
			l.t.Fatalf("got a message of kind %d, want %d", m.Kind, kind)
		}
		return m
	case <-time.After(10 * time.Second):
		l.t.Fatal("nothing was received")
		return nil
	}
}

// expectOnly proves that the next event received is one that is emitted now, so
// that nothing came before it.
func (l *listener) expectOnly(e *emitter.Emitter) {
	l.t.Helper()
	if err := e.Emit(l.t.Context(), "only"); err != nil {
		l.t.Fatal(err)
	}
	if got := string(l.next(adapter.KindBroadcast).Broadcast.Packet.Data); got != `["only"]` {
		l.t.Errorf("got %s, want nothing before the last event", got)
	}
}

func TestNew_RefusesWhatCannotBeMeant(t *testing.T) {
	if _, err := emitter.New(nil, emitter.Options{}); err == nil || !strings.Contains(err.Error(), "adapter is nil") {
		t.Errorf("without an adapter: %v", err)
	}
	if _, err := emitter.New(memory.New(), emitter.Options{MaxAttachments: -1}); err == nil || !strings.Contains(err.Error(), "MaxAttachments") {
		t.Errorf("with a negative option: %v", err)
	}
}

func TestOf_NamesBeginWithASlash(t *testing.T) {
	e := newEmitter(t, memory.New())
	for given, want := range map[string]string{"": "/", "/": "/", "chat": "/chat", "/chat": "/chat"} {
		if got := e.Of(given).Name(); got != want {
			t.Errorf("Of(%q) is %q, want %q", given, got, want)
		}
	}
}

func TestOf_NamesThatCannotBeAreRefused(t *testing.T) {
	stub := &stubAdapter{}
	e := newEmitter(t, stub)
	for _, name := range []string{"/a,b", "/" + strings.Repeat("x", 512)} {
		if err := e.Of(name).Emit(t.Context(), "event"); !errors.Is(err, emitter.ErrNamespace) {
			t.Errorf("a name of %d bytes: got %v, want ErrNamespace", len(name), err)
		}
	}
	if n := len(stub.all()); n != 0 {
		t.Errorf("the adapter was asked to join %d times, want never", n)
	}
}

func TestEmit_ANamespaceIsJoinedOnce(t *testing.T) {
	stub := &stubAdapter{}
	e := newEmitter(t, stub)
	var callers sync.WaitGroup
	for i := range 50 {
		callers.Go(func() {
			if err := e.Of(fmt.Sprintf("/%d", i%2)).Emit(t.Context(), "event"); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	links := stub.all()
	if len(links) != 2 {
		t.Fatalf("got %d joins, want 2", len(links))
	}
	for _, l := range links {
		if l.self != "emitter" || l.receives || len(l.published) != 25 {
			t.Errorf("joined %s as %q, receiving: %v, %d messages", l.topic, l.self, l.receives, len(l.published))
		}
	}
}

func TestEmit_WhileTheBackendIsAwayMessagesWaitInTheAdapter(t *testing.T) {
	stub := &stubAdapter{join: func(_ context.Context, l *stubLink) (adapter.Link, error) {
		return l, fmt.Errorf("no route: %w", adapter.ErrDegraded)
	}}
	var log strings.Builder
	e, err := emitter.New(stub, emitter.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := e.Emit(t.Context(), "event"); err != nil {
			t.Errorf("Emit fails: %v", err)
		}
	}
	if links := stub.all(); len(links) != 1 || len(links[0].published) != 3 {
		t.Errorf("got %d links, want one with three messages", len(links))
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "no route") {
		t.Errorf("got the log %q, want one line with the reason", log.String())
	}
}

func TestEmit_AFailedJoinIsTriedAgain(t *testing.T) {
	broken := errors.New("broken")
	fail := true
	stub := &stubAdapter{join: func(_ context.Context, l *stubLink) (adapter.Link, error) {
		if fail {
			return nil, broken
		}
		return l, nil
	}}
	e := newEmitter(t, stub)
	if err := e.Emit(t.Context(), "event"); !errors.Is(err, broken) {
		t.Errorf("got %v, want the adapter's error", err)
	}
	fail = false
	if err := e.Emit(t.Context(), "event"); err != nil {
		t.Errorf("the second attempt: %v", err)
	}
}

// untilContextEnds is a backend that does not answer.
func untilContextEnds(ctx context.Context, _ *stubLink) (adapter.Link, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestEmit_WaitsForAJoinNoLongerThanASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEmitter(t, &stubAdapter{join: untilContextEnds})
		start := time.Now()
		err := e.Emit(t.Context(), "event")
		if waited := time.Since(start); waited != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v after %v, want the deadline's error after 1s", err, waited)
		}
	})
}

func TestEmit_WaitsForAJoinNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEmitter(t, &stubAdapter{join: untilContextEnds})
		var callers sync.WaitGroup
		// Both, the one that joins and the one that waits for its turn.
		for _, patience := range []time.Duration{100 * time.Millisecond, 50 * time.Millisecond} {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				start := time.Now()
				err := e.Emit(ctx, "event")
				if waited := time.Since(start); waited != patience || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v after %v, want the deadline's error after %v", err, waited, patience)
				}
			})
			synctest.Wait()
		}
		callers.Wait()
	})
}

func TestEmit_AContextThatHasEndedSendsNothing(t *testing.T) {
	bus := memory.New()
	there := listen(t, bus, "n1", "/")
	e := newEmitter(t, bus)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := e.Emit(ctx, "event"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		there.expectOnly(e) // which also joins, so that the second round has a link
	}
}

func TestEmit_TheAdaptersRefusalsReachTheCaller(t *testing.T) {
	for _, refusal := range []error{emitter.ErrQueueFull, emitter.ErrTooLarge} {
		stub := &stubAdapter{refusal: refusal}
		if err := newEmitter(t, stub).Emit(t.Context(), "event"); !errors.Is(err, refusal) {
			t.Errorf("got %v, want %v", err, refusal)
		}
	}
}
