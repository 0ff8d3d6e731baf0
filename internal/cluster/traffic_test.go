package cluster

import (
	"testing"
	"testing/synctest"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func TestTraffic_CountsEachMessageByItsKind(t *testing.T) {
	for m, want := range map[*adapter.Message]int{
		{Kind: adapter.KindBroadcast}: broadcasts, {Kind: adapter.KindRequest}: requests, {Kind: adapter.KindResponse}: responses,
		{Kind: adapter.KindHello}: heartbeats, {Kind: adapter.KindHeartbeat}: heartbeats, {Kind: adapter.KindGoodbye}: heartbeats,
	} {
		if got := kindOf(m); got != want {
			t.Errorf("kind %d is counted as %s, want %s", m.Kind, kindNames[got], kindNames[want])
		}
	}
}

func TestTraffic_CountsWhatIsPublishedAndWhatArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		here, there := start(t, hub), start(t, hub)
		sender := join(t, here, "/", func(*adapter.Broadcast) {})
		join(t, there, "/", func(*adapter.Broadcast) {})
		for range 3 {
			if err := sender.Broadcast(t.Context(), &adapter.Broadcast{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		sent, received := here.Traffic()["broadcast"], there.Traffic()["broadcast"]
		if sent != (Traffic{Published: 3}) || received != (Traffic{Received: 3}) {
			t.Errorf("sent %+v, received %+v, want 3 of each", sent, received)
		}
		if n := there.Traffic()["heartbeat"]; n.Published == 0 || n.Received == 0 {
			t.Errorf("heartbeats: %+v", n)
		}
	})
}
