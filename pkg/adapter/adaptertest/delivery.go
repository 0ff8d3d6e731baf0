package adaptertest

import (
	"fmt"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var deliveryChecks = []check{
	{"Delivery_EveryOtherNodeHears", "a message that one node publishes reaches every other node of the topic, with the sender's id in From", everyOtherNodeHears},
	{"Delivery_NotToTheSender", "what a node publishes is not delivered to that node itself", notToTheSender},
	{"Delivery_ExactlyOnce", "with the backend up, each message arrives once: none is lost, none comes twice", exactlyOnce},
	{"Delivery_InOrderPerSender", "messages of one sender arrive in the order in which they were published, whatever others publish meanwhile", inOrderPerSender},
	{"Delivery_OneAtATime", "a link calls deliver again only after the call before has returned", oneAtATime},
	{"Delivery_MayPublish", "deliver may publish on its own link: a node answers what it is asked", deliverMayPublish},
	{"Delivery_ReceiverMayKeep", "a received message belongs to the receiver: what arrives later does not overwrite it", receiverMayKeep},
}

func everyOtherNodeHears(tr *trial) {
	nodes := tr.together(3, tr.topic())
	nodes[0].publish(numbered(1))
	for _, other := range nodes[1:] {
		got := other.next()
		if numberOf(got) != 1 || got.From != nodes[0].id {
			tr.Errorf("got message %d from %q, want 1 from %q", numberOf(got), got.From, nodes[0].id)
		}
	}
}

func notToTheSender(tr *trial) {
	for _, topic := range []string{tr.topic(), tr.namespace()} {
		nodes := tr.together(2, topic)
		message := numbered
		if topic[0] == '/' {
			message = func(number uint32) *adapter.Message { return event(topic, number) }
		}
		nodes[0].publish(message(1))
		nodes[1].expect(1)
		nodes[1].publish(message(2))
		nodes[0].expect(2)
		nodes[0].quiet("it had published that itself")
	}
}

func exactlyOnce(tr *trial) {
	const n = 500
	nodes := tr.together(2, tr.topic())
	nodes[0].publish(series(1, n)...)
	nodes[0].publish(numbered(last))
	times := map[uint32]int{}
	for _, number := range nodes[1].until(last) {
		times[number]++
	}
	for number := range uint32(n) {
		if got := times[number+1]; got != 1 {
			tr.Errorf("message %d arrived %d times", number+1, got)
		}
	}
	nodes[1].quiet("it is a repetition")
}

func inOrderPerSender(tr *trial) {
	const senders, each = 4, 2500
	topic := tr.topic()
	receiver := tr.node().join(topic)
	results := make([]<-chan error, senders)
	for i := range results {
		sender := tr.node().join(topic)
		results[i] = tr.start(func() error { return sender.tell(fmt.Sprint(i), each) })
	}
	newest := map[string]uint32{}
	for ended := 0; ended < senders; {
		h := receiver.next().Heartbeat
		sender := h.Namespaces[0]
		if h.Tag < newest[sender] {
			tr.Fatalf("sender %s: message %d came after %d", sender, h.Tag, newest[sender])
		}
		if h.Tag == each && newest[sender] < each {
			ended++
		}
		newest[sender] = h.Tag
	}
	for _, result := range results {
		tr.must("Publish", tr.await(result, patience))
	}
}

// tell publishes the numbers 1 to n, signed with name.
func (m *member) tell(name string, n int) error {
	for number := range n {
		message := numbered(uint32(number + 1))
		message.Heartbeat.Namespaces = []string{name}
		if err := m.link.Publish(m.Context(), message); err != nil {
			return err
		}
	}
	return nil
}

func oneAtATime(tr *trial) {
	topic := tr.topic()
	g, inbox := newGate(), newMailbox()
	var running atomic.Int32
	overlap := make(chan struct{}, 1)
	receiver := tr.node().joinWith(topic, inbox, func(m *adapter.Message) {
		if running.Add(1) > 1 {
			select {
			case overlap <- struct{}{}:
			default:
			}
		}
		defer running.Add(-1)
		inbox.put(m)
		g.enter()
		<-g.opened
	})
	tr.Cleanup(g.open)
	senders := tr.together(3, topic)
	g.hold(receiver, senders[0])
	for i, sender := range senders {
		sender.publish(numbered(uint32(10 + i)))
	}
	receiver.quiet("deliver is still running with message 1")
	g.open()
	for range senders {
		receiver.next()
	}
	select {
	case <-overlap:
		tr.Error("two calls of deliver ran at the same time")
	default:
	}
}

func deliverMayPublish(tr *trial) {
	const rounds = 50
	topic := tr.topic()
	asking := tr.node().join(topic)
	n := tr.node()
	var link atomic.Pointer[adapter.Link]
	answering := n.joinWith(topic, newMailbox(), func(m *adapter.Message) {
		if err := (*link.Load()).Publish(tr.Context(), addressed(asking.id, numberOf(m)+1000)); err != nil {
			tr.Errorf("Publish in deliver: %v", err)
		}
	})
	link.Store(&answering.link)
	for number := range uint32(rounds) {
		asking.publish(numbered(number))
		asking.expect(number + 1000)
	}
}

func receiverMayKeep(tr *trial) {
	const n = 50
	namespace := tr.namespace()
	nodes := tr.together(2, namespace)
	kept := make([]*adapter.Message, n)
	for i := range kept {
		nodes[0].publish(event(namespace, uint32(i+1)))
		kept[i] = nodes[1].next()
	}
	for i, m := range kept {
		if got := numberOf(m); got != uint32(i+1) {
			tr.Errorf("message %d reads as %d after others have arrived", i+1, got)
		}
	}
}
