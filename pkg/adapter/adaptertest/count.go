package adaptertest

import (
	"context"
	"errors"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var countChecks = []check{
	{"Count_NodesOfTheTopic", "CountNodes counts the nodes that have joined the topic, this one included, and soon no longer those that have left", countNodes},
	{"Count_FailsWhileDegraded", "CountNodes fails with an error that wraps ErrDegraded while the backend is known to be away, and waits no longer than its context", countDegraded},
}

// counting tells whether the link counts, and skips the check if not.
func (m *member) counting() adapter.NodeCounter {
	m.Helper()
	counter, ok := m.link.(adapter.NodeCounter)
	if !ok {
		m.Skip("the link does not implement adapter.NodeCounter: its topics have no members of another make")
	}
	return counter
}

func (m *member) count(counter adapter.NodeCounter) (n int, err error) {
	err = m.call(func(ctx context.Context) (err error) {
		n, err = counter.CountNodes(ctx)
		return err
	})
	return n, err
}

func countNodes(tr *trial) {
	namespace := tr.namespace()
	first := tr.node().join(namespace)
	counter := first.counting()
	others := append(tr.together(2, namespace), tr.node().join(tr.namespace()))
	for _, m := range []*member{first, others[0]} {
		if got, err := m.count(m.counting()); err != nil || got != 3 {
			tr.Errorf("CountNodes: got %d and %v, want 3", got, err)
		}
	}
	tr.must("Close", others[0].close())
	const pause = 10 * time.Millisecond
	for range patience / pause {
		got, err := first.count(counter)
		tr.must("CountNodes", err)
		if got == 2 {
			return
		}
		<-time.NewTimer(pause).C
	}
	tr.Errorf("a node that has left is still counted after %v", patience)
}

func countDegraded(tr *trial) {
	tr.node().join(tr.namespace()).counting()
	n, _ := tr.cut()
	m := n.joinDegraded(tr.namespace())
	if _, err := m.count(m.counting()); !errors.Is(err, adapter.ErrDegraded) {
		tr.Errorf("CountNodes without the backend: got %v, want ErrDegraded", err)
	}
	ended, cancel := context.WithCancel(context.WithoutCancel(tr.Context()))
	cancel()
	err := tr.await(tr.start(func() error {
		_, err := m.counting().CountNodes(ended)
		return err
	}), patience)
	if err == nil || err == errStuck {
		tr.Errorf("CountNodes with a context that has ended: got %v, want an error at once", err)
	}
}
