package adapter_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// bus is a whole backend, on a broker that carries bytes by subject.
type bus struct{ broker *broker }

func (b bus) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("bus: join %q: %w", topic, err)
	}
	l := &busLink{broker: b.broker, topic: topic, self: self}
	l.subscription = b.broker.subscribe(topic, func(data []byte) {
		var m adapter.Message
		if m.UnmarshalBinary(data) != nil || deliver == nil {
			return
		}
		if m.From != self && (m.To == "" || m.To == self) {
			deliver(&m)
		}
	})
	return l, nil
}

type busLink struct {
	broker       *broker
	topic        string
	self         adapter.NodeID
	subscription *subscription
	closed       atomic.Bool
}

func (l *busLink) Publish(_ context.Context, m *adapter.Message) error {
	if l.closed.Load() {
		return fmt.Errorf("bus: publish to %q: %w", l.topic, adapter.ErrClosed)
	}
	signed := *m
	signed.From = l.self
	data, err := signed.MarshalBinary()
	if err != nil {
		return fmt.Errorf("bus: publish to %q: %w", l.topic, err)
	}
	l.broker.publish(l.topic, data)
	return nil
}

func (l *busLink) Close(ctx context.Context) error {
	if l.closed.CompareAndSwap(false, true) {
		l.broker.unsubscribe(l.topic, l.subscription)
	}
	select {
	case <-l.subscription.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bus: close %q: %w", l.topic, ctx.Err())
	}
}

// A backend is two small types. This one proves itself with adaptertest.Run.
func Example() {
	ctx := context.Background()
	shared := bus{newBroker()}

	heard := make(chan *adapter.Message, 1)
	ann, err := shared.Join(ctx, "/chat", "ann", func(m *adapter.Message) { heard <- m })
	if err != nil {
		fmt.Println(err)
		return
	}
	bob, err := shared.Join(ctx, "/chat", "bob", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = bob.Publish(ctx, &adapter.Message{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Namespaces: []string{"/chat"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := <-heard
	fmt.Println(m.From, "has", m.Heartbeat.Namespaces)
	fmt.Println(bob.Close(ctx), ann.Close(ctx))
	// Output:
	// bob has [/chat]
	// <nil> <nil>
}
