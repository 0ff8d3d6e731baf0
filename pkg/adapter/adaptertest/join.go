package adaptertest

import (
	"context"
	"errors"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var joinChecks = []check{
	{"Join_ReturnsWhenReady", "every message that is published after Join has returned is heard: Join waits for the backend's word, not only for its own write", joinReturnsWhenReady},
	{"Join_NeverNeitherNor", "Join waits no longer than its context and returns a link, an error, or a link with an error that wraps ErrDegraded; a later Join works", joinNeverNeitherNor},
	{"Join_AgainAfterClose", "a node that has left a topic may join it again", joinAgainAfterClose},
	{"Join_ToPublishOnly", "a nil deliver joins to publish only: others hear the node, and what they say does no harm", joinToPublishOnly},
}

func joinReturnsWhenReady(tr *trial) {
	const rounds = 30
	sender, receiver := tr.node(), tr.delayed()
	for range rounds {
		topic := tr.topic()
		said := sender.join(topic)
		heard := receiver.join(topic)
		said.publish(numbered(1))
		heard.expect(1)
	}
}

func joinNeverNeitherNor(tr *trial) {
	topic := tr.topic()
	n := tr.node()
	var link adapter.Link
	err := tr.call(func(ctx context.Context) (err error) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		link, err = n.adapter.Join(ended, topic, n.id, func(*adapter.Message) {})
		return err
	})
	switch {
	case err == errStuck:
		tr.Fatal("Join did not return although its context had ended")
	case link == nil && err == nil:
		tr.Error("Join returned neither a link nor an error")
	case link != nil && err != nil && !errors.Is(err, adapter.ErrDegraded):
		tr.Errorf("Join returned a link with an error that does not wrap ErrDegraded: %v", err)
	}
	if link != nil {
		tr.must("Close", tr.call(link.Close))
	}
	heard, said := n.join(topic), tr.node().join(topic)
	said.publish(numbered(1))
	heard.expect(1)
}

func joinAgainAfterClose(tr *trial) {
	topic := tr.topic()
	peer, n := tr.node().join(topic), tr.node()
	for number := range uint32(5) {
		m := n.join(topic)
		peer.publish(numbered(number + 1))
		m.expect(number + 1)
		tr.must("Close", m.close())
	}
}

func joinToPublishOnly(tr *trial) {
	topic := tr.topic()
	peer := tr.node().join(topic)
	speaker := tr.node().joinWith(topic, newMailbox(), nil)
	peer.publish(numbered(1), addressed(speaker.id, 2))
	speaker.publish(numbered(3))
	peer.expect(3)
	tr.must("Close", speaker.close())
}
