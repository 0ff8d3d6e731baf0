package redis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff_DoublesToItsLimitAndStartsAgain(t *testing.T) {
	b := backoff{backoffRange: defaultTiming.backoff}
	nominal := 100 * time.Millisecond
	for i := range 100 {
		if got := b.next(); got < nominal/2 || got > nominal*3/4 {
			t.Errorf("delay %d: got %v, want it from %v to %v", i, got, nominal/2, nominal*3/4)
		}
		nominal = min(2*nominal, 2*time.Second)
	}
	b.reset()
	if got := b.next(); got > 75*time.Millisecond {
		t.Errorf("after reset: got %v", got)
	}
}

func TestInbox_BoundsBytesAndKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		var heard []string
		b := &inbox{handle: func(a arrival) { <-open; heard = append(heard, a.channel) }}
		quarter := strings.Repeat("x", maxInboxBytes/4-1000)
		for i, name := range []string{"1", "2", "3", "4", "5"} {
			if got := b.put(arrival{channel: name, payload: quarter}); got != (i < 4) {
				t.Errorf("message %s: room %v", name, got)
			}
		}
		close(open)
		synctest.Wait()
		if got := strings.Join(heard, ""); got != "1234" || b.bytes != 0 || b.idle != nil {
			t.Errorf("handled %s, %d bytes left", got, b.bytes)
		}
		if !b.put(arrival{channel: "6", payload: strings.Repeat("x", maxInboxBytes+1)}) {
			t.Error("an empty inbox refused a message")
		}
		synctest.Wait()
		if err := b.close(t.Context()); err != nil || len(heard) != 5 {
			t.Errorf("close: %v after %v", err, heard)
		}
	})
}

func TestInbox_CloseWaitsForOneNotForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		handled := 0
		b := &inbox{handle: func(arrival) { <-open; handled++ }}
		for range 3 {
			b.put(arrival{})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while handling: got %v", err)
		}
		close(open)
		if err := b.close(t.Context()); err != nil || handled != 1 {
			t.Errorf("got %v with %d handled, want 1", err, handled)
		}
	})
}

func TestEscapeGlob_MatchesOnlyItself(t *testing.T) {
	if got, want := escapeGlob(`a*b?c[d]e\f^g-h`), `a\*b\?c\[d\]e\\f\^g\-h`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
