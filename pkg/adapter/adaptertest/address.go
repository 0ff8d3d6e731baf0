package adaptertest

import "strings"

var addressChecks = []check{
	{"Address_OnlyTheNodeMeant", "a message with To reaches that node and no other", onlyTheNodeMeant},
	{"Address_UnknownNodeIsHarmless", "a message to a node that is not there is no error, and what follows arrives", unknownNodeIsHarmless},
	{"Address_TopicsAreApart", "a topic's messages reach that topic's members only, also when its name begins like another's", topicsAreApart},
	{"Address_AnyTopicName", "a topic's name is any text: no character has a meaning to the backend", anyTopicName},
	{"Address_TwoTopicsOfOneNode", "a node's links are independent: one goes on when the other is closed", twoTopicsOfOneNode},
	{"Address_NodesShareAnAdapter", "two nodes may join through one Adapter value and hear each other and the rest", nodesShareAnAdapter},
}

func onlyTheNodeMeant(tr *trial) {
	nodes := tr.together(3, tr.topic())
	nodes[0].publish(addressed(nodes[1].id, 1))
	nodes[1].expect(1)
	nodes[0].publish(numbered(2))
	nodes[1].expect(2)
	nodes[2].expect(2)
	nodes[2].quiet("it was addressed to another node")
}

func unknownNodeIsHarmless(tr *trial) {
	nodes := tr.together(2, tr.topic())
	nodes[0].publish(addressed("nobody", 1), numbered(last))
	nodes[1].until(last)
}

func topicsAreApart(tr *trial) {
	topic := tr.topic()
	sender, receiver := tr.node(), tr.node()
	var heard []*member
	var said []*member
	for _, name := range []string{topic, topic + ".more", topic + "#", "/" + topic} {
		heard = append(heard, receiver.join(name))
		said = append(said, sender.join(name))
	}
	for i, m := range said {
		m.publish(numbered(uint32(i + 1)))
	}
	for i, m := range heard {
		m.expect(uint32(i + 1))
		m.quiet("it was published to another topic")
	}
}

func anyTopicName(tr *trial) {
	unique := tr.topic()
	sender, receiver := tr.node(), tr.node()
	for i, odd := range []string{
		"#", "##", "*", "?", "[a]", "[^b]", `\`, `\*`, "a b", "a:b", "{a}", "a\nb", "é", "ü", "日本", "🚀", strings.Repeat("long", 100),
	} {
		for _, name := range []string{unique + odd, "/" + unique + odd, odd + unique} {
			heard, said := receiver.join(name), sender.join(name)
			said.publish(numbered(uint32(i + 1)))
			heard.expect(uint32(i + 1))
		}
	}
}

func twoTopicsOfOneNode(tr *trial) {
	n, other := tr.node(), tr.node()
	first, second := tr.topic(), tr.topic()
	leaving, staying := n.join(first), n.join(second)
	peer := other.join(second)
	tr.must("Close", leaving.close())
	peer.publish(numbered(1))
	staying.expect(1)
	staying.publish(numbered(2))
	peer.expect(2)
}

func nodesShareAnAdapter(tr *trial) {
	topic := tr.topic()
	shared := tr.config.New(tr.TB)
	a, b := tr.nodeOn(shared).join(topic), tr.nodeOn(shared).join(topic)
	c := tr.node().join(topic)
	a.publish(addressed(b.id, 1))
	b.expect(1)
	a.publish(numbered(2))
	b.expect(2)
	c.until(2)
	c.publish(numbered(3))
	a.expect(3)
	b.expect(3)
}
