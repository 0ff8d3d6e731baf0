package cluster

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func TestTag_SuffixIsFourURLSafeCharacters(t *testing.T) {
	for tag, want := range map[uint32]string{0: "AAAA", 1: "AAAB", maxTag: "____", 0xfbefbe: "----"} {
		if got := suffixOf(tag); got != want {
			t.Errorf("%#x: got %q, want %q", tag, got, want)
		}
	}
}

func TestTag_DrawAvoidsWhatIsTaken(t *testing.T) {
	seen := map[uint32]bool{}
	for range 100 {
		tag := drawTag(func(tag uint32) bool { return tag%2 == 0 })
		if tag%2 == 0 || tag > maxTag {
			t.Fatalf("drew %#x", tag)
		}
		seen[tag] = true
	}
	if len(seen) < 90 {
		t.Errorf("100 draws gave %d tags", len(seen))
	}
}

func TestTag_YoungerNodeGivesWayToOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		b := newBus(hub)
		n := start(t, b)
		w := watch(t, hub, "0") // sorts before any other id
		join(t, n, "/", nil)
		taken, suffix := n.Tag(), n.TagSuffix()
		w.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: taken}})
		time.Sleep(announceGap)
		synctest.Wait()
		if n.Tag() == taken || n.TagSuffix() != suffixOf(n.Tag()) {
			t.Errorf("kept the tag %#x, suffix %q", n.Tag(), n.TagSuffix())
		}
		if got, want := b.told("/"), []string{suffix, n.TagSuffix()}; !slices.Equal(got, want) {
			t.Errorf("the link was told of %q, want %q", got, want)
		}
		heard := w.take()
		if got := heard[len(heard)-1]; got.Heartbeat.Tag != n.Tag() {
			t.Errorf("the last heartbeat has tag %#x, want %#x", got.Heartbeat.Tag, n.Tag())
		}
		join(t, n, "/later", nil)
		if got, want := b.told("/later"), []string{suffix, n.TagSuffix()}; !slices.Equal(got, want) {
			t.Errorf("a later link was told of %q, want %q", got, want)
		}
	})
}

func TestTag_OlderNodeKeepsItAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		n := start(t, hub)
		w := watch(t, hub, "younger")
		taken := n.Tag()
		w.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: taken}})
		synctest.Wait()
		if n.Tag() != taken {
			t.Errorf("gave way to a younger node")
		}
		if got := w.take(); len(got) != 1 || got[0].To != "younger" || got[0].Heartbeat.Tag != taken {
			t.Errorf("heard kinds %v, want a heartbeat with the tag", kinds(got))
		}
	})
}

func TestTag_ClashOfTwoNodesEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		nodes := []*Node{start(t, hub), start(t, hub), start(t, hub)}
		synctest.Wait()
		for _, n := range nodes {
			n.take(7)
			wake(n.heartbeat.changed)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if nodes[0].Tag() != 7 {
			t.Errorf("the oldest node has tag %d, want 7", nodes[0].Tag())
		}
		if nodes[1].Tag() == 7 || nodes[2].Tag() == 7 || nodes[1].Tag() == nodes[2].Tag() {
			t.Errorf("the others have tags %d and %d", nodes[1].Tag(), nodes[2].Tag())
		}
	})
}

func TestTag_IsUsedOnlyWhenLinksKnowIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		b := newBus(hub)
		n := start(t, b)
		join(t, n, "/", nil)
		w := watch(t, hub, "0")
		before := n.Tag()
		b.slow.Store(true)
		w.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: before}})
		time.Sleep(time.Second - time.Nanosecond)
		synctest.Wait()
		if n.Tag() != before {
			t.Error("the tag has changed while its links were not ready")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n.Tag() == before {
			t.Error("the tag has not changed after JoinTimeout")
		}
	})
}
