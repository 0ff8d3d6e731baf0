package natsadapter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	natsadapter "github.com/roomcast/roomcast/examples/adapter-nats"
	"github.com/roomcast/roomcast/examples/internal/natsserver"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

func join(t *testing.T, a *natsadapter.Adapter, self adapter.NodeID, deliver func(*adapter.Message)) adapter.Link {
	t.Helper()
	l, err := a.Join(t.Context(), "/", self, deliver)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// sized returns a broadcast of about that many bytes.
func sized(bytes int) *adapter.Message {
	return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{Type: packet.Event, Namespace: "/", Data: make([]byte, bytes)},
	}}
}

func TestPublish_WhatTheServerRefusesIsTooLarge(t *testing.T) {
	l := join(t, natsadapter.New(connect(t, natsserver.Start(t)), "app"), "a", nil)
	if err := l.Publish(t.Context(), sized(9<<20)); !errors.Is(err, adapter.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if err := l.Publish(t.Context(), sized(1<<20)); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestPublish_BufferOfAnOutageIsBoundedAndSentLater(t *testing.T) {
	addr := natsserver.Start(t)
	proxy := tcpproxy.Start(t, addr)
	lost := make(chan struct{})
	lose := sync.OnceFunc(func() { close(lost) })
	conn := connect(t, proxy.Addr(), nats.ReconnectBufSize(1<<20),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lose() }))
	a := natsadapter.New(conn, "app")
	heard := make(chan *adapter.Message, 100)
	join(t, natsadapter.New(connect(t, addr), "app"), "b", func(m *adapter.Message) { heard <- m })
	l := join(t, a, "a", nil)

	proxy.Refuse()
	<-lost
	if s := a.Status(); s.State != adapter.Degraded {
		t.Errorf("without the server the state is %v", s.State)
	}
	taken := 0
	err := error(nil)
	for ; err == nil && taken < 100; taken++ {
		err = l.Publish(t.Context(), sized(64<<10))
	}
	if !errors.Is(err, adapter.ErrQueueFull) {
		t.Fatalf("%d messages of 64 KiB into a buffer of 1 MiB: got %v, want ErrQueueFull", taken, err)
	}
	proxy.Resume()
	for range taken - 1 {
		<-heard
	}
	if s := a.Status(); s.State != adapter.Up || s.Interruptions != 1 || s.Gaps != 1 {
		t.Errorf("got %+v, want up with one gap", s)
	}
}

func TestReceive_WhatIsNoMessageIsCounted(t *testing.T) {
	conn := connect(t, natsserver.Start(t))
	a, heard := natsadapter.New(conn, "app"), make(chan *adapter.Message, 1)
	join(t, a, "a", func(m *adapter.Message) { heard <- m })
	if err := conn.Publish(fmt.Sprintf("app.topic-%x", "/"), []byte("hello?")); err != nil {
		t.Fatal(err)
	}
	if err := join(t, a, "b", nil).Publish(t.Context(), sized(1)); err != nil {
		t.Fatal(err)
	}
	<-heard
	if got := a.Status().Dropped["malformed"]; got != 1 {
		t.Errorf("Status counts %d, want 1", got)
	}
}

// The client bounds what waits for a slow receiver at 64 MiB.
func TestReceive_WhatASlowReceiverLosesIsCounted(t *testing.T) {
	const sent = 12
	addr := natsserver.Start(t)
	a, open, heard := natsadapter.New(connect(t, addr), "app"), make(chan struct{}), make(chan *adapter.Message, 2*sent)
	join(t, a, "slow", func(m *adapter.Message) {
		heard <- m
		<-open
	})
	quick := make(chan *adapter.Message, sent)
	join(t, natsadapter.New(connect(t, addr), "app"), "quick", func(m *adapter.Message) { quick <- m })
	l := join(t, natsadapter.New(connect(t, addr), "app"), "sender", nil)
	for range sent {
		if err := l.Publish(t.Context(), sized(7<<20)); err != nil {
			t.Fatal(err)
		}
	}
	for range sent {
		<-quick
	}
	flushed := join(t, a, "other", nil) // a's connection has read what came before the answer
	close(open)
	if err := flushed.Publish(t.Context(), sized(1)); err != nil {
		t.Fatal(err)
	}
	got := 0
	for m := range heard {
		if len(m.Broadcast.Packet.Data) == 1 {
			break
		}
		got++
	}
	if dropped := int(a.Status().Dropped["queue_full"]); got >= sent || dropped != sent-got {
		t.Errorf("%d of %d arrived, and Status counts %d", got, sent, dropped)
	}
}
