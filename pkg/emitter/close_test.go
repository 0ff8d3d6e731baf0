package emitter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/emitter"
)

func TestClose_LeavesEveryNamespaceAndRefusesWhatFollows(t *testing.T) {
	stub := &stubAdapter{}
	e := newEmitter(t, stub)
	for _, namespace := range []string{"/", "/chat"} {
		if err := e.Of(namespace).Emit(t.Context(), "event"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := e.Close(t.Context()); err != nil {
			t.Errorf("Close fails: %v", err)
		}
	}
	for _, l := range stub.all() {
		if !l.closed {
			t.Errorf("%s was not left", l.topic)
		}
	}
	for name, err := range map[string]error{
		"Emit":                    e.Emit(t.Context(), "event"),
		"Emit to a new namespace": e.Of("/new").Emit(t.Context(), "event"),
		"Join":                    e.To("a").Join(t.Context(), "b"),
		"ServerSideEmit":          e.Of("/").ServerSideEmit(t.Context(), "event"),
	} {
		if !errors.Is(err, emitter.ErrClosed) {
			t.Errorf("%s after Close: got %v, want ErrClosed", name, err)
		}
	}
}

func TestClose_AnUnusedEmitterHasNothingToLeave(t *testing.T) {
	stub := &stubAdapter{}
	if err := newEmitter(t, stub).Close(t.Context()); err != nil || len(stub.all()) != 0 {
		t.Errorf("got %v and %d joins, want neither", err, len(stub.all()))
	}
}

func TestClose_WaitsNoLongerThanItsContextAndGoesOnWhenCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flushed := make(chan struct{})
		stub := &stubAdapter{closing: func(ctx context.Context) error {
			select {
			case <-flushed:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		e := newEmitter(t, stub)
		if err := e.Emit(t.Context(), "event"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline's error", err)
		}
		close(flushed)
		if err := e.Close(t.Context()); err != nil {
			t.Errorf("the second call: %v", err)
		}
	})
}

// A join that is under way when Close is called must not leave a link behind.
func TestClose_LeavesWhatIsBeingJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		stub := &stubAdapter{join: func(_ context.Context, l *stubLink) (adapter.Link, error) {
			<-answer
			return l, nil
		}}
		e := newEmitter(t, stub)
		first, second, closed := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { first <- e.Emit(t.Context(), "event") }()
		synctest.Wait()
		go func() { closed <- e.Close(t.Context()) }()
		synctest.Wait()
		go func() { second <- e.Emit(t.Context(), "event") }()
		close(answer)
		if err := <-closed; err != nil {
			t.Errorf("Close fails: %v", err)
		}
		if err := <-first; err != nil && !errors.Is(err, emitter.ErrClosed) {
			t.Errorf("the event under way: got %v, want nil or ErrClosed", err)
		}
		if err := <-second; !errors.Is(err, emitter.ErrClosed) {
			t.Errorf("an event after Close: got %v, want ErrClosed", err)
		}
		if links := stub.all(); len(links) != 1 || !links[0].closed {
			t.Error("the link was not closed")
		}
	})
}

// Who waits for a turn behind Close gets the same answer as who comes later.
func TestClose_RefusesWhoWaitsForAJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stub := &stubAdapter{join: untilContextEnds}
		e := newEmitter(t, stub)
		answers := make(chan error, 2)
		go func() { answers <- e.Emit(t.Context(), "joins") }()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- e.Close(t.Context()) }()
		synctest.Wait()
		go func() { answers <- e.Emit(t.Context(), "comes later") }()
		if err := <-answers; !errors.Is(err, emitter.ErrClosed) {
			t.Errorf("got %v, want ErrClosed at once", err)
		}
		if err := <-answers; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the join's deadline", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close fails: %v", err)
		}
	})
}
