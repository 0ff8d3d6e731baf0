package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/adaptertest"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	backend := memory.New()
	adaptertest.Run(t, adaptertest.Config{
		New: func(testing.TB) adapter.Adapter { return backend },
	})
}

func join(t *testing.T, a *memory.Adapter, self adapter.NodeID, deliver func(*adapter.Message)) adapter.Link {
	t.Helper()
	link, err := a.Join(t.Context(), "topic", self, deliver)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = link.Close(context.Background()) })
	return link
}

// large returns a message of 16 MiB.
func large() *adapter.Message {
	return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{Data: make([]byte, 16<<20)},
	}}
}

func TestPublish_FullReceiverIsRefusedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		open, slow, quick := make(chan struct{}), 0, 0
		join(t, backend, "slow", func(*adapter.Message) {
			slow++
			<-open
		})
		join(t, backend, "quick", func(*adapter.Message) { quick++ })
		sender := join(t, backend, "sender", nil)
		const sent = 6
		refused := 0
		for range sent {
			switch err := sender.Publish(t.Context(), large()); {
			case errors.Is(err, adapter.ErrQueueFull):
				refused++
			case err != nil:
				t.Fatal(err)
			}
			synctest.Wait()
		}
		close(open)
		synctest.Wait()
		// Three fit into 64 MiB beside their structs; the fourth and later do not.
		if refused != 3 || slow != sent-refused || quick != sent {
			t.Errorf("refused %d, the slow receiver got %d, the quick one %d", refused, slow, quick)
		}
		if got := backend.Status().Dropped["queue_full"]; got != uint64(refused) {
			t.Errorf("Status counts %d drops, want %d", got, refused)
		}
		if err := sender.Publish(t.Context(), large()); err != nil {
			t.Errorf("after the queue is empty: %v", err)
		}
	})
}

func TestPublish_MessageBeyondTheBoundFitsAnEmptyQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		var got int
		join(t, backend, "receiver", func(m *adapter.Message) { got = len(m.Broadcast.Packet.Data) })
		m := large()
		m.Broadcast.Packet.Data = make([]byte, 65<<20)
		if err := join(t, backend, "sender", nil).Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got != 65<<20 {
			t.Errorf("got %d bytes, want all", got)
		}
	})
}

func TestPublish_EachReceiverOwnsItsStructs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		var got [2]*adapter.Message
		for i := range got {
			join(t, backend, adapter.NodeID(fmt.Sprint(i)), func(m *adapter.Message) { got[i] = m })
		}
		sent := large()
		if err := join(t, backend, "sender", nil).Publish(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got[0] == got[1] || got[0].Broadcast == got[1].Broadcast || got[0].Broadcast == sent.Broadcast {
			t.Error("two receivers, or a receiver and the sender, share a struct")
		}
		if &got[0].Broadcast.Packet.Data[0] != &sent.Broadcast.Packet.Data[0] {
			t.Error("the bytes were copied")
		}
	})
}

func TestStatus_IsUpWithoutDrops(t *testing.T) {
	s := memory.New().Status()
	if s.State != adapter.Up || s.Since.IsZero() || len(s.Dropped) != 0 || s.Interruptions != 0 {
		t.Errorf("got %+v", s)
	}
}
