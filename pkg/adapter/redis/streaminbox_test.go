package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/stream"
)

// gatedInbox is an inbox whose handle waits for the gate, once for each of what was put.
type gatedInbox struct {
	*streamInbox
	gate    chan struct{}
	handled []string // ids of entries, and payloads of calls
	expired []time.Duration
}

// newGatedInbox holds something for so long, each time.
func newGatedInbox(holds ...time.Duration) *gatedInbox {
	g := &gatedInbox{gate: make(chan struct{})}
	start := time.Now()
	g.streamInbox = newStreamInbox(func(r received) {
		<-g.gate
		if r.entry != nil {
			g.handled = append(g.handled, r.entry.ID)
			return
		}
		g.handled = append(g.handled, r.arrival.Channel)
	}, func(now time.Time) time.Time {
		g.expired = append(g.expired, now.Sub(start))
		if len(holds) == 0 {
			return time.Time{}
		}
		next := holds[0]
		holds = holds[1:]
		return now.Add(next)
	})
	return g
}

func entryOf(id string, bytes int) received {
	return received{entry: &stream.Entry{ID: id, Data: strings.Repeat("x", bytes)}}
}

func callOf(channel string, bytes int) received {
	return received{arrival: bus.Arrival{Channel: channel, Payload: strings.Repeat("x", bytes)}}
}

const twoThirds = maxStreamInboxBytes / 3 * 2

func TestStreamInbox_EntriesWaitAndCallsAreRefusedWhileItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGatedInbox()
		g.putWaiting(entryOf("1", twoThirds))
		if !g.put(callOf("small", 1)) {
			t.Error("a call for which there is room is refused")
		}
		synctest.Wait()
		if g.put(callOf("large", twoThirds)) {
			t.Error("a call for which there is no room is taken")
		}
		waited := make(chan struct{})
		go func() {
			defer close(waited)
			g.putWaiting(entryOf("2", twoThirds))
			g.putWaiting(entryOf("3", 1))
		}()
		synctest.Wait()
		select {
		case <-waited:
			t.Error("an entry for which there is no room does not wait")
		default:
		}
		close(g.gate)
		<-waited
		synctest.Wait()
		if want := []string{"1", "small", "2", "3"}; !slices.Equal(g.handled, want) {
			t.Errorf("handled %q, want %q", g.handled, want)
		}
		if g.bytes != 0 || g.idle != nil {
			t.Errorf("%d bytes are left, and a goroutine: %v", g.bytes, g.idle != nil)
		}
	})
}

func TestStreamInbox_OneThatIsLargerThanAllRoomGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGatedInbox()
		close(g.gate)
		if !g.put(callOf("huge", maxStreamInboxBytes+1)) {
			t.Error("refused")
		}
	})
}

func TestStreamInbox_CloseWaitsForWhatIsHandledAndForNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGatedInbox()
		g.putWaiting(entryOf("1", twoThirds))
		synctest.Wait()
		g.putWaiting(entryOf("2", 1))
		waited := make(chan struct{})
		go func() {
			defer close(waited)
			g.putWaiting(entryOf("3", twoThirds))
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := g.close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("close: %v after %v", err, time.Since(start))
		}
		<-waited // who waits for room is let go
		g.putWaiting(entryOf("4", twoThirds))
		if !g.put(callOf("5", twoThirds)) {
			t.Error("a closed inbox counts calls as dropped")
		}
		close(g.gate)
		if err := g.close(t.Context()); err != nil {
			t.Error(err)
		}
		if want := []string{"1"}; !slices.Equal(g.handled, want) {
			t.Errorf("handled %q, want %q", g.handled, want)
		}
	})
}

func TestStreamInbox_ExpiresWhenWhatIsHeldSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGatedInbox(time.Second, 0, 50*time.Millisecond)
		close(g.gate)
		g.putWaiting(entryOf("1", 1))
		time.Sleep(time.Minute)
		synctest.Wait()
		// After the entry there is a second look at once, whose answer counts.
		want := []time.Duration{0, 0, 0, 50 * time.Millisecond}
		if !slices.Equal(g.expired, want) {
			t.Errorf("expired at %v, want %v", g.expired, want)
		}
		if g.idle != nil {
			t.Error("the goroutine lives while nothing is held")
		}
	})
}

func TestStreamInbox_WhatComesMeanwhileWakesItUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGatedInbox(time.Hour, time.Hour, time.Hour, time.Hour)
		close(g.gate)
		g.putWaiting(entryOf("1", 1))
		time.Sleep(time.Second)
		start := time.Now()
		g.put(callOf("2", 1))
		synctest.Wait()
		if want := []string{"1", "2"}; !slices.Equal(g.handled, want) || time.Since(start) != 0 {
			t.Errorf("handled %q after %v", g.handled, time.Since(start))
		}
		if err := g.close(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("close: %v after %v: it waits for what is held", err, time.Since(start))
		}
	})
}
