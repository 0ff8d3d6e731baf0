package adaptertest

import (
	"context"
	"slices"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// totalOrderChecks are for adapters that are an adapter.TotalOrder: the server joins
// through their log also where clients do not recover, and then keeps nothing.
var totalOrderChecks = []check{
	{"TotalOrder_OwnComeBack", "joined with the zero Retention, all links get the topic's broadcasts in one order, the sender's own included", ownComeBack},
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

func noRecords(tr *trial) {
	m := tr.logged(1, adapter.Retention{})[0]
	err := m.call(func(ctx context.Context) error {
		return m.log.Save(ctx, &adapter.Record{PrivateID: "p", SocketID: "s"})
	})
	m.wants("Save", err, adapter.ErrTooLarge)
	_, err = m.take("p")
	m.wants("Take", err, adapter.ErrNoRecord)
}
