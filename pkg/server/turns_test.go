package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurns_WaitsForOneToEndAndNoLongerThanItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTurns()
		var ends []func()
		for range recoveringAtOnce {
			done, err := all.take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, done)
		}
		start := time.Now()
		if _, err := all.take(t.Context()); err == nil || time.Since(start) != turnPatience {
			t.Errorf("a turn too many: error %v after %v, want one after %v", err, time.Since(start), turnPatience)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := all.take(gone); err == nil {
			t.Error("who has gone got a turn")
		}
		time.AfterFunc(time.Second, ends[0])
		done, err := all.take(t.Context())
		if err != nil {
			t.Fatalf("after another one's end: %v", err)
		}
		done()
	})
}

func TestSilences_AreForgottenAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s silences
		if s.has("a") {
			t.Error("a node that was never asked is silent")
		}
		s.add("a")
		time.Sleep(silenceLasts)
		if !s.has("a") || s.has("b") {
			t.Error("want a silent, and b not")
		}
		time.Sleep(time.Nanosecond)
		if s.has("a") {
			t.Error("a is silent for ever")
		}
	})
}
