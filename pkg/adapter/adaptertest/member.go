package adaptertest

import (
	"context"
	"slices"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// member is a node's link to a topic, with what has arrived on it.
type member struct {
	*node
	topic string
	link  adapter.Link
	inbox *mailbox
}

// join enters topic and collects what arrives.
func (n *node) join(topic string) *member {
	n.Helper()
	inbox := newMailbox()
	return n.joinWith(topic, inbox, inbox.put)
}

// joinWith enters topic with a deliver of the check's own.
func (n *node) joinWith(topic string, inbox *mailbox, deliver func(*adapter.Message)) *member {
	n.Helper()
	m := &member{node: n, topic: topic, inbox: inbox}
	err := n.call(func(ctx context.Context) (err error) {
		m.link, err = n.adapter.Join(ctx, topic, n.id, deliver)
		return err
	})
	if m.link != nil {
		n.Cleanup(m.leave)
	}
	n.must("Join", err)
	if m.link == nil {
		n.Fatalf("Join returned neither a link nor an error")
	}
	return m
}

// leave closes the link at the end of a check; how well is for other checks.
func (m *member) leave() {
	if m.close() == errStuck {
		m.Errorf("Close did not return after its context had ended")
	}
}

func (m *member) close() error { return m.call(m.link.Close) }

// publish ends the check if the message is refused.
func (m *member) publish(messages ...*adapter.Message) {
	m.Helper()
	err := m.call(func(ctx context.Context) error {
		for _, message := range messages {
			if err := m.link.Publish(ctx, message); err != nil {
				return err
			}
		}
		return nil
	})
	m.must("Publish", err)
}

// next returns what arrives next.
func (m *member) next() *adapter.Message {
	m.Helper()
	message, ok := m.inbox.take(patience)
	if !ok {
		m.Fatalf("%s heard nothing in %q within %v", m.id, m.topic, patience)
	}
	return message
}

// expect takes messages until the one with number, and fails on others.
func (m *member) expect(number uint32) {
	m.Helper()
	if got := numberOf(m.next()); got != number {
		m.Fatalf("%s heard message %d in %q, want %d", m.id, got, m.topic, number)
	}
}

// expectEach takes as many messages as there are numbers, of several selections.
func (m *member) expectEach(numbers ...uint32) {
	m.Helper()
	var got []uint32
	for range numbers {
		got = append(got, numberOf(m.next()))
	}
	if m.config.OrderPerSelection {
		slices.Sort(got)
		numbers = slices.Sorted(slices.Values(numbers))
	}
	if !slices.Equal(got, numbers) {
		m.Fatalf("%s heard messages %d in %q, want %d", m.id, got, m.topic, numbers)
	}
}

// until returns the numbers that arrive before the message with number last.
func (m *member) until(last uint32) []uint32 {
	m.Helper()
	var numbers []uint32
	for {
		got := numberOf(m.next())
		if got == last {
			return numbers
		}
		numbers = append(numbers, got)
	}
}

// quiet fails the check if something arrives within a moment.
func (m *member) quiet(why string) {
	m.Helper()
	if message, ok := m.inbox.take(moment); ok {
		m.Errorf("%s heard message %d in %q: %s", m.id, numberOf(message), m.topic, why)
	}
}

// gate holds a deliver open.
type gate struct {
	entered chan struct{} // closed when the first deliver has begun
	enter   func()
	opened  chan struct{}
	open    func()
}

func newGate() *gate {
	g := &gate{entered: make(chan struct{}), opened: make(chan struct{})}
	g.enter = sync.OnceFunc(func() { close(g.entered) })
	g.open = sync.OnceFunc(func() { close(g.opened) })
	return g
}

// joinHeld enters topic with a deliver that stays in its first call, and in each
// one after it, until the gate opens. What has been passed to it is in the
// mailbox at once. The check's end opens the gate.
func (n *node) joinHeld(topic string) (*member, *gate) {
	n.Helper()
	g, inbox := newGate(), newMailbox()
	m := n.joinWith(topic, inbox, func(message *adapter.Message) {
		inbox.put(message)
		g.enter()
		<-g.opened
	})
	n.Cleanup(g.open)
	return m, g
}

// hold publishes message 1 from sender and waits until m's deliver is in it.
func (g *gate) hold(m, sender *member) {
	m.Helper()
	sender.publish(numbered(1))
	m.expect(1)
	<-g.entered
}
