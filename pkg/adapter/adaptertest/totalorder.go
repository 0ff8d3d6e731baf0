package adaptertest

import (
	"fmt"
	"slices"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// totalOrderChecks are for adapters that are an adapter.TotalOrder: the server joins
// through their log also where clients do not recover, and then keeps nothing.
var totalOrderChecks = []check{
	{"TotalOrder_OwnComeBack", "joined with the zero Retention, all links get the topic's broadcasts in one order, the sender's own included", ownComeBack},
	{"TotalOrder_OwnChangesComeBack", "requests that change sockets have their place in the order, and reach the sender too; others do not", ownChangesComeBack},
	{"TotalOrder_NoRecords", "with the zero Retention a record is ErrTooLarge", noRecords},
}

func ownComeBack(tr *trial) {
	const each = 60
	nodes := tr.logged(3, adapter.Retention{})
	var results []<-chan error
	for i, m := range nodes {
		results = append(results, tr.start(func() error {
			for number := range uint32(each) {
				if err := m.link.Publish(m.Context(), event(m.topic, uint32(i)*each+number)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	var want []uint32
	for i, m := range nodes {
		var got []uint32
		for range len(nodes) * each {
			message := m.next()
			got = append(got, numberOf(message))
			if message.Offset == "" {
				tr.Errorf("broadcast %d has no offset", numberOf(message))
			}
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			tr.Errorf("node %d heard another order than node 0", i)
		}
		m.quiet("it is a repetition")
	}
	for _, result := range results {
		tr.must("Publish", tr.await(result, patience))
	}
}

func ownChangesComeBack(tr *trial) {
	const rounds = 20
	nodes := tr.logged(2, adapter.Retention{})
	var results []<-chan error
	for i, m := range nodes {
		results = append(results, tr.start(func() error { return m.change(fmt.Sprint("node ", i), rounds) }))
	}
	for _, result := range results {
		tr.must("Publish", tr.await(result, patience))
	}
	var want []string
	for i, m := range nodes {
		var got []string
		for len(got) < 2*len(nodes)*rounds {
			switch message := m.next(); {
			case message.Kind == adapter.KindBroadcast:
				got = append(got, fmt.Sprint(message.From, " broadcast ", numberOf(message)))
			case message.Request.Action != adapter.ActionEvent:
				got = append(got, fmt.Sprint(message.From, " ", message.Request.ID))
			case message.From == m.id:
				tr.Errorf("node %d heard its own request for action %d, which changes no sockets", i, message.Request.Action)
			}
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			tr.Errorf("node %d heard %q, and node 0 %q", i, got, want)
		}
	}
}

// change publishes broadcasts, each followed by a request that changes sockets, and
// requests that change none.
func (m *logMember) change(name string, rounds int) error {
	actions := []adapter.Action{adapter.ActionJoin, adapter.ActionLeave, adapter.ActionDisconnect}
	for i := range rounds {
		change, plain := asking(actions[i%len(actions)]), asking(adapter.ActionEvent)
		change.ID, plain.Packet.Data = fmt.Sprint(name, " request ", i), []byte(`["event"]`)
		change.Rooms, change.Targets = []string{"a"}, []string{"b"}
		change.Packet.Namespace, plain.Packet.Namespace = m.topic, m.topic
		for _, message := range []*adapter.Message{
			event(m.topic, uint32(i)),
			{Kind: adapter.KindRequest, Request: change},
			{Kind: adapter.KindRequest, Request: plain},
		} {
			if err := m.link.Publish(m.Context(), message); err != nil {
				return err
			}
		}
	}
	return nil
}

func noRecords(tr *trial) {
	m := tr.logged(1, adapter.Retention{})[0]
	m.wants("Save", m.saveAs(&adapter.Record{PrivateID: "p", SocketID: "s", Incarnation: "first", First: true}), adapter.ErrTooLarge)
	_, err := m.take("p")
	m.wants("Take", err, adapter.ErrNoRecord)
}
