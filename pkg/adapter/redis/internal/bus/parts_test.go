package bus

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
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
		var first sync.WaitGroup
		first.Go(func() { b.Put(Arrival{Channel: "0"}) }) // which handles it
		synctest.Wait()
		for i, name := range []string{"1", "2", "3", "4", "5"} {
			if got := b.Put(Arrival{Channel: name, Payload: quarter}); got != (i < 4) {
				t.Errorf("message %s: room %v", name, got)
			}
		}
		close(open)
		first.Wait()
		synctest.Wait()
		if got := strings.Join(heard, ""); got != "01234" || b.bytes != 0 || b.busy {
			t.Errorf("handled %s, %d bytes left", got, b.bytes)
		}
		if !b.Put(Arrival{Channel: "6", Payload: strings.Repeat("x", maxInboxBytes+1)}) {
			t.Error("an empty inbox refused a message")
		}
		synctest.Wait()
		if err := b.Close(t.Context()); err != nil || len(heard) != 6 {
			t.Errorf("close: %v after %v", err, heard)
		}
	})
}

// Who is quick is called by the goroutine that reads; who was slow, by another one, until
// it is quick again.
func TestInbox_SlowReceiverIsNotCalledByWhoReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var takes atomic.Int64
		b := NewInbox(func(Arrival) { time.Sleep(time.Duration(takes.Load())) })
		for i, step := range []struct{ takes, held time.Duration }{
			{0, 0}, {time.Second, time.Second}, {time.Second, 0}, {0, 0}, {time.Second, time.Second},
		} {
			takes.Store(int64(step.takes))
			begun := time.Now()
			b.Put(Arrival{})
			if held := time.Since(begun); held != step.held {
				t.Errorf("step %d: held for %v, want %v", i, held, step.held)
			}
			time.Sleep(2 * time.Second)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestInbox_NobodyWaitsForOneOfSeveralReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewInbox(func(Arrival) { time.Sleep(time.Second) })
		begun := time.Now()
		b.Put(Arrival{Shared: true})
		if held := time.Since(begun); held != 0 {
			t.Errorf("held for %v", held)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestInbox_CloseWaitsForOneNotForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		handled := 0
		b := NewInbox(func(Arrival) { <-open; handled++ })
		var putting sync.WaitGroup
		for range 3 {
			putting.Go(func() { b.Put(Arrival{}) })
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
		putting.Wait()
	})
}
