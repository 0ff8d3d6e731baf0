package adaptertest

import (
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var publishChecks = []check{
	{"Publish_DoesNotWaitForReceivers", "Publish does not wait for a receiver whose deliver is slow, and neither do the other receivers", publishDoesNotWait},
	{"Publish_IsConcurrent", "Publish is safe for concurrent use on one link; what one goroutine publishes arrives in that order", publishIsConcurrent},
	{"Publish_SenderMayReuse", "Publish does not keep the message: the sender may fill the same struct again at once", senderMayReuse},
	{"Publish_AfterCloseIsRefused", "Publish fails with ErrClosed once Close has returned", publishAfterClose},
}

func publishDoesNotWait(tr *trial) {
	const n = 500
	topic := tr.topic()
	slow, g := tr.node().joinHeld(topic)
	sender, quick := tr.node().join(topic), tr.node().join(topic)
	g.hold(slow, sender)
	sender.publish(series(2, n)...)
	sender.publish(numbered(last))
	quick.until(last)
	g.open()
	slow.until(last)
}

func publishIsConcurrent(tr *trial) {
	const goroutines, each = 8, 100
	topic := tr.topic()
	sender, receiver := tr.node().join(topic), tr.node().join(topic)
	results := make([]<-chan error, goroutines)
	for i := range results {
		results[i] = tr.start(func() error { return sender.tell(fmt.Sprint(i), each) })
	}
	for _, result := range results {
		tr.must("Publish", tr.await(result, patience))
	}
	sender.publish(numbered(last))
	heard := map[string][]uint32{}
	for m := receiver.next(); numberOf(m) != last; m = receiver.next() {
		name := m.Heartbeat.Namespaces[0]
		if n := len(heard[name]); n > 0 && heard[name][n-1] > numberOf(m) {
			tr.Errorf("goroutine %s: message %d came after %d", name, numberOf(m), heard[name][n-1])
		}
		heard[name] = append(heard[name], numberOf(m))
	}
	for i := range goroutines {
		if got := len(heard[fmt.Sprint(i)]); got < each {
			tr.Errorf("goroutine %d: %d of %d messages arrived", i, got, each)
		}
	}
}

func senderMayReuse(tr *trial) {
	const n = 20
	topic, namespace := tr.topic(), tr.namespace()
	sender, receiver := tr.node(), tr.node()
	greet, greeted := sender.join(topic), receiver.join(topic)
	emit, emitted := sender.join(namespace), receiver.join(namespace)
	hello := &adapter.Message{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{}}
	broadcast := event(namespace, 0)
	for number := range uint32(n) {
		hello.Heartbeat.Tag = number + 1
		greet.publish(hello)
		broadcast.Broadcast.Packet.Data = event(namespace, number+1).Broadcast.Packet.Data
		emit.publish(broadcast)
	}
	*hello, *broadcast = adapter.Message{}, adapter.Message{}
	for number := range uint32(n) {
		greeted.expect(number + 1)
		emitted.expect(number + 1)
	}
}

func publishAfterClose(tr *trial) {
	topic := tr.topic()
	m, peer := tr.node().join(topic), tr.node().join(topic)
	m.publish(numbered(1))
	peer.expect(1)
	tr.must("Close", m.close())
	m.wantClosed()
}
