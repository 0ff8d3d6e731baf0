package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

// reached starts a node that trusts addresses whose proof is "good", and announces the
// given one.
func reached(t *testing.T, hub *memory.Adapter, address string) *Node {
	t.Helper()
	return startWith(t, Options{
		Adapter:  hub,
		Announce: func(_ adapter.NodeID, h *adapter.Heartbeat) { h.Address, h.Proof = address, []byte("good") },
		Trusts: func(_ adapter.NodeID, h *adapter.Heartbeat) (bool, error) {
			if string(h.Proof) != "good" {
				return false, errors.New("bad")
			}
			return true, nil
		},
	})
}

// idWith is a session's id that ends in a tag.
func idWith(tag uint32) string { return strings.Repeat("x", idLength-4) + suffixOf(tag) }

func TestOwner_IsTheMemberWithTheTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		a, b := reached(t, hub, "http://a"), reached(t, hub, "http://b")
		synctest.Wait()
		if got, ok := b.Owner(idWith(a.Tag())); !ok || got.ID != a.ID() || got.Address != "http://a" {
			t.Errorf("got %+v, %v", got, ok)
		}
		for what, id := range map[string]string{
			"its own": idWith(b.Tag()), "nobody's": idWith(a.Tag() ^ b.Tag() ^ 1), "too short": "x" + suffixOf(a.Tag()), "empty": "",
			"too long": "x" + idWith(a.Tag()), "no base64": strings.Repeat("x", idLength-4) + "~~~~",
		} {
			if got, ok := b.Owner(id); ok {
				t.Errorf("an id that is %s: got %+v", what, got)
			}
		}
	})
}

func TestOwner_AddressThatIsNotTrustedIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		n := reached(t, hub, "http://n")
		w := watch(t, hub, "w")
		w.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: n.Tag() ^ 1, Address: "http://evil", Proof: []byte("bad")}})
		synctest.Wait()
		if got, ok := n.Owner(idWith(n.Tag() ^ 1)); !ok || got.ID != "w" || got.Address != "" {
			t.Errorf("got %+v, %v, want w without an address", got, ok)
		}
	})
}

// Heartbeats that anybody can write keep neither an address alive nor a member from being
// reached.
func TestOwner_AddressLivesByTrustedHeartbeatsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		n := reached(t, hub, "http://n")
		w := watch(t, hub, "w")
		tag := n.Tag() ^ 1
		w.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: tag, Address: "http://w", Proof: []byte("good")}})
		for second := range 20 {
			w.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: tag ^ 2}})
			synctest.Wait()
			got, ok := n.Owner(idWith(tag))
			if reachable := second < 10; ok != reachable || (got.Address != "") != reachable {
				t.Errorf("after %d s: got %+v, %v", second, got, ok)
			}
			time.Sleep(time.Second)
		}
	})
}

// Of two members with one tag the older one keeps it; a session that the other one opened
// meanwhile is reached on that node alone, until its client comes back with another.
func TestOwner_OfATagThatWasTakenTwiceIsTheOlderMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		older, younger, n := reached(t, hub, "http://older"), reached(t, hub, "http://younger"), reached(t, hub, "http://n")
		synctest.Wait()
		id := idWith(older.Tag())
		younger.take(older.Tag())
		for range 3 {
			if got, ok := n.Owner(id); !ok || got.ID != older.ID() || got.Address != "http://older" {
				t.Errorf("got %+v, %v", got, ok)
			}
			wake(younger.heartbeat.changed)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if younger.Tag() == older.Tag() {
			t.Fatal("the tag is still taken twice")
		}
		if got, ok := younger.Owner(id); !ok || got.ID != older.ID() { // not "mine, and unknown"
			t.Errorf("on the node that had the tag: got %+v, %v", got, ok)
		}
		if got, ok := n.Owner(idWith(younger.Tag())); !ok || got.ID != younger.ID() {
			t.Errorf("with the other tag: got %+v, %v", got, ok)
		}
	})
}

func TestAwaitOwner_WaitsForAMemberThatNobodyHasHeardOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		n := reached(t, hub, "http://n")
		w := watch(t, hub, "w")
		tag := n.Tag() ^ 1
		start := time.Now()
		time.AfterFunc(acquaintance/2, func() {
			w.say(&adapter.Message{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Tag: tag, Address: "http://w", Proof: []byte("good")}})
		})
		if got, ok := n.AwaitOwner(t.Context(), idWith(tag)); !ok || got.ID != "w" || got.Address != "http://w" || time.Since(start) != acquaintance/2 {
			t.Errorf("got %+v, %v after %v", got, ok, time.Since(start))
		}
	})
}

func TestAwaitOwner_EndsWithItsPatienceItsContextAndItsNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := reached(t, memory.New(), "http://n")
		id := idWith(n.Tag() ^ 1)
		expect := func(what string, ctx context.Context, wait time.Duration) {
			t.Helper()
			start := time.Now()
			if got, ok := n.AwaitOwner(ctx, id); ok || time.Since(start) != wait {
				t.Errorf("%s: got %+v, %v after %v, want nobody after %v", what, got, ok, time.Since(start), wait)
			}
		}
		expect("patience", t.Context(), acquaintance)
		ctx, cancel := context.WithTimeout(t.Context(), acquaintance/4)
		defer cancel()
		expect("context", ctx, acquaintance/4)
		n.awaiting.Store(maxAcquaintances)
		expect("too many", t.Context(), 0)
		n.awaiting.Store(0)
		time.AfterFunc(acquaintance/4, func() { _ = n.Close(context.Background()) })
		expect("node", t.Context(), acquaintance/4)
	})
}

// The clients of a node that is gone hear so at once.
func TestAwaitOwner_DoesNotWaitForOneThatHasGone(t *testing.T) {
	for what, left := range map[string]bool{"left": true, "died": false} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memory.New()
				n := reached(t, hub, "http://n")
				w := watch(t, hub, "w")
				tag := n.Tag() ^ 1
				w.say(&adapter.Message{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Tag: tag}})
				if left {
					w.say(&adapter.Message{Kind: adapter.KindGoodbye})
					synctest.Wait()
				} else {
					time.Sleep(time.Minute)
				}
				start := time.Now()
				if got, ok := n.AwaitOwner(t.Context(), idWith(tag)); ok || time.Since(start) != 0 {
					t.Errorf("got %+v, %v after %v", got, ok, time.Since(start))
				}
				time.Sleep(goneLasts + time.Nanosecond)
				w.say(&adapter.Message{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Tag: tag ^ 2}})
				w.say(&adapter.Message{Kind: adapter.KindGoodbye})
				time.Sleep(time.Second)
				synctest.Wait()
				if n.members.hadLeft(tag) {
					t.Error("its tag is remembered for ever")
				}
			})
		})
	}
}
