package redis

import (
	"fmt"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
)

func TestAsker_IDSaysWhoAndWhatFor(t *testing.T) {
	for _, want := range []asker{{typeIDs, "abc-_1"}, {typeCall, ""}, {typeFetch, "a:b#c"}} {
		if got, ok := parseAsker(want.id()); !ok || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", want.id(), got, ok, want)
		}
	}
	for _, id := range []adapter.NodeID{"", "nodejs", "nodejs:", "nodejs:5", "nodejs:x:u", "nodejs:55:u", "6b5e2f3a-0000-4000-8000-000000000000"} {
		if got, ok := parseAsker(id); ok {
			t.Errorf("%q: got %+v, want none", id, got)
		}
	}
}

func TestCalls_AreToldOnceAndBounded(t *testing.T) {
	var c calls
	for i := range 2 * maxCalls {
		c.begin(call{"nodejs:7:u", fmt.Sprint(i)})
	}
	if got := len(c.open); got != maxCalls {
		t.Errorf("%d calls are kept, want %d", got, maxCalls)
	}
	last := call{"nodejs:7:u", fmt.Sprint(2*maxCalls - 1)}
	if !c.first(last) || c.first(last) {
		t.Error("the last call is not told exactly once")
	}
	if c.first(call{"nodejs:7:another", "0"}) {
		t.Error("a call that has not begun is told")
	}
}
