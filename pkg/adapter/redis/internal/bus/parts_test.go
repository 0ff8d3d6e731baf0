package bus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff_DoublesToItsLimitAndStartsAgain(t *testing.T) {
	b := DefaultTiming().backoff()
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
		b := NewInbox(func(a Arrival) { <-open; heard = append(heard, a.Channel) })
		quarter := strings.Repeat("x", maxInboxBytes/4-1000)
		for i, name := range []string{"1", "2", "3", "4", "5"} {
			if got := b.Put(Arrival{Channel: name, Payload: quarter}); got != (i < 4) {
				t.Errorf("message %s: room %v", name, got)
			}
		}
		close(open)
		synctest.Wait()
		if got := strings.Join(heard, ""); got != "1234" || b.bytes != 0 || b.idle != nil {
			t.Errorf("handled %s, %d bytes left", got, b.bytes)
		}
		if !b.Put(Arrival{Channel: "6", Payload: strings.Repeat("x", maxInboxBytes+1)}) {
			t.Error("an empty inbox refused a message")
		}
		synctest.Wait()
		if err := b.Close(t.Context()); err != nil || len(heard) != 5 {
			t.Errorf("close: %v after %v", err, heard)
		}
	})
}

func TestInbox_CloseWaitsForOneNotForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		handled := 0
		b := NewInbox(func(Arrival) { <-open; handled++ })
		for range 3 {
			b.Put(Arrival{})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while handling: got %v", err)
		}
		close(open)
		if err := b.Close(t.Context()); err != nil || handled != 1 {
			t.Errorf("got %v with %d handled, want 1", err, handled)
		}
	})
}
