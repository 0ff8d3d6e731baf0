package cluster

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func kinds(messages []*adapter.Message) []adapter.Kind {
	var kinds []adapter.Kind
	for _, m := range messages {
		kinds = append(kinds, m.Kind)
	}
	return kinds
}

func TestHeartbeat_ComesEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		w := watch(t, hub, "witness")
		n := start(t, hub)
		synctest.Wait()
		if got := w.take(); len(got) != 1 || got[0].Kind != adapter.KindHello {
			t.Fatalf("heard kinds %v, want a hello", kinds(got))
		}
		for range 10 {
			time.Sleep(5*time.Second - time.Nanosecond)
			synctest.Wait()
			if got := w.take(); len(got) != 0 {
				t.Fatalf("heard kinds %v before the interval has passed", kinds(got))
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			got := w.take()
			if len(got) != 1 || got[0].Kind != adapter.KindHeartbeat || got[0].Heartbeat.Tag != n.Tag() {
				t.Fatalf("heard kinds %v, want a heartbeat with tag %d", kinds(got), n.Tag())
			}
		}
	})
}

func TestHeartbeat_HelloIsAnsweredToItsSenderAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		w, other := watch(t, hub, "witness"), watch(t, hub, "other")
		n := start(t, hub)
		synctest.Wait()
		w.take()
		other.take()
		w.say(&adapter.Message{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Tag: n.Tag() ^ 1}})
		synctest.Wait()
		if got := w.take(); len(got) != 1 || got[0].Kind != adapter.KindHeartbeat || got[0].To != "witness" {
			t.Errorf("heard kinds %v, want a heartbeat addressed to the sender", kinds(got))
		}
		if got := other.take(); len(got) != 1 || got[0].Kind != adapter.KindHello {
			t.Errorf("another node heard kinds %v, want the hello only", kinds(got))
		}
	})
}

func TestHeartbeat_SilentMemberIsGivenUpInTime(t *testing.T) {
	for _, after := range []time.Duration{0, 300 * time.Millisecond, 700 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memory.New()
				n := start(t, hub)
				w := watch(t, hub, "witness")
				time.Sleep(after)
				w.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{}})
				time.Sleep(10*time.Second - time.Nanosecond)
				synctest.Wait()
				if got := ids(n.Members()); !slices.Equal(got, []adapter.NodeID{"witness"}) {
					t.Errorf("just before the timeout: members %q, want the witness", got)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if got := n.Members(); len(got) != 0 {
					t.Errorf("at the timeout: members %v, want none", got)
				}
			})
		})
	}
}

func TestHeartbeat_EachSilentMemberIsGivenUpAtItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		n := start(t, hub)
		began := time.Now()
		due := map[adapter.NodeID]time.Duration{}
		for i := range 10 {
			w := watch(t, hub, adapter.NodeID(fmt.Sprint(i)))
			w.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{}})
			due[adapter.NodeID(fmt.Sprint(i))] = time.Since(began) + 10*time.Second
			time.Sleep(777 * time.Millisecond)
		}
		for id, at := range due {
			if at > 17*time.Second || at < time.Since(began) {
				t.Fatalf("%s is due at %v", id, at)
			}
		}
		for i := range 10 {
			id := adapter.NodeID(fmt.Sprint(i))
			time.Sleep(due[id] - time.Nanosecond - time.Since(began))
			synctest.Wait()
			if got := n.Members(); len(got) != 10-i {
				t.Errorf("before %s is due: %d members, want %d", id, len(got), 10-i)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if got := n.Members(); len(got) != 9-i {
				t.Errorf("when %s is due: %d members, want %d", id, len(got), 9-i)
			}
		}
	})
}

func TestHeartbeat_MemberThatSpeaksStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		a, b := start(t, hub), start(t, hub)
		for range 60 {
			time.Sleep(time.Second)
			synctest.Wait()
			if len(a.Members()) != 1 || len(b.Members()) != 1 {
				t.Fatalf("members %v and %v, want one each", a.Members(), b.Members())
			}
		}
	})
}

func TestHeartbeat_CutNodeIsGivenUpAndFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		cut := newBus(hub)
		a, b := start(t, hub), start(t, cut)
		synctest.Wait()
		cut.away.Store(true)
		time.Sleep(30 * time.Second)
		if len(a.Members()) != 0 || len(b.Members()) != 0 {
			t.Errorf("after 30 s apart: members %v and %v, want none", a.Members(), b.Members())
		}
		cut.away.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(a.Members()) != 1 || len(b.Members()) != 1 {
			t.Errorf("a second after healing: members %v and %v, want one each", a.Members(), b.Members())
		}
	})
}

func TestHeartbeat_NamespacesAreAnnouncedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		a, b := start(t, hub), start(t, hub)
		time.Sleep(2 * time.Second)
		chat := join(t, a, "/chat", nil)
		synctest.Wait()
		if got := b.Members()[0].Namespaces; !slices.Equal(got, []string{"/chat"}) {
			t.Errorf("right after Join got namespaces %q, want /chat", got)
		}
		join(t, a, "/", nil)
		time.Sleep(announceGap)
		synctest.Wait()
		if got := b.Members()[0].Namespaces; !slices.Equal(got, []string{"/", "/chat"}) {
			t.Errorf("got namespaces %q, want / and /chat", got)
		}
		if err := chat.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(announceGap)
		synctest.Wait()
		if got := b.Members()[0].Namespaces; !slices.Equal(got, []string{"/"}) {
			t.Errorf("after Close got namespaces %q, want /", got)
		}
	})
}

func TestHeartbeat_ManyJoinsAreFewAnnouncements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		hub := memory.New()
		w := watch(t, hub, "witness")
		a := start(t, hub)
		time.Sleep(time.Second)
		w.take()
		for i := range n {
			join(t, a, fmt.Sprintf("/%d", i), nil)
		}
		time.Sleep(announceGap)
		synctest.Wait()
		heard := w.take()
		if len(heard) > 2 {
			t.Errorf("heard %d announcements, want at most 2", len(heard))
		}
		if got := len(heard[len(heard)-1].Heartbeat.Namespaces); got != n {
			t.Errorf("the last one has %d namespaces, want %d", got, n)
		}
	})
}

func TestHeartbeat_NonsenseIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		n := start(t, hub)
		w := watch(t, hub, "witness")
		for _, m := range []*adapter.Message{
			{Kind: adapter.KindHello},
			{Kind: adapter.KindHeartbeat},
			{Kind: adapter.KindBroadcast},
			{Kind: adapter.KindGoodbye},
			{Kind: 99},
		} {
			w.say(m)
		}
		synctest.Wait()
		if got := n.Members(); len(got) != 0 {
			t.Errorf("got members %v, want none", got)
		}
	})
}
