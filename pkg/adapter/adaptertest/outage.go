package adaptertest

import (
	"context"
	"errors"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var outageChecks = []check{
	{"Outage_JoinIsDegraded", "without its backend, Join returns within its context a link that takes messages and can be closed, with an error that wraps ErrDegraded", joinIsDegraded},
	{"Outage_HealsByItself", "a link that was joined without the backend works in both directions once the backend is there", healsByItself},
	{"Outage_IsReported", "an adapter that reports says degraded without its backend, and up with it", outageIsReported},
}

// cut returns a node that cannot reach the backend, or skips the check.
func (tr *trial) cut() (*node, func()) {
	tr.Helper()
	if tr.config.Cut == nil {
		tr.Skip("Config.Cut is not set: the backend cannot be taken away")
	}
	a, heal := tr.config.Cut(tr.TB)
	return tr.nodeOn(a), heal
}

// joinDegraded joins a node that is cut off.
func (n *node) joinDegraded(topic string) *member {
	n.Helper()
	m := &member{node: n, topic: topic, inbox: newMailbox()}
	err := n.callWithin(patience/5, func(ctx context.Context) (err error) {
		m.link, err = n.adapter.Join(ctx, topic, n.id, m.inbox.put)
		return err
	})
	if m.link != nil {
		n.Cleanup(m.leave)
	}
	if m.link == nil || !errors.Is(err, adapter.ErrDegraded) {
		n.Fatalf("Join without the backend: got a link %t with error %v, want one with ErrDegraded", m.link != nil, err)
	}
	return m
}

func joinIsDegraded(tr *trial) {
	n, _ := tr.cut()
	m := n.joinDegraded(tr.topic())
	m.publish(numbered(1))
	if m.closeNow() == errStuck {
		tr.Error("Close did not return after its context had ended")
	}
}

// closeNow closes a link that may have queued what it cannot send.
func (m *member) closeNow() error { return m.callWithin(moment, m.link.Close) }

func healsByItself(tr *trial) {
	topic := tr.topic()
	n, heal := tr.cut()
	peer := tr.node().join(topic)
	m := n.joinDegraded(topic)
	heal()
	m.reach(peer)
	peer.reach(m)
}

// reach publishes until other hears it: what was said before the backend came
// may be lost.
func (m *member) reach(other *member) {
	m.Helper()
	const pause = 50 * time.Millisecond
	for range patience / pause {
		m.publish(numbered(last))
		if message, ok := other.inbox.take(pause); ok && numberOf(message) == last {
			return
		}
	}
	m.Fatalf("%s was not heard by %s within %v", m.id, other.id, patience)
}

func outageIsReported(tr *trial) {
	n, heal := tr.cut()
	reporter, ok := n.adapter.(adapter.Reporter)
	if !ok {
		tr.Skip("the adapter does not implement adapter.Reporter: its state is not known")
	}
	n.joinDegraded(tr.topic())
	if got := reporter.Status().State; got != adapter.Degraded {
		tr.Errorf("without the backend the state is %v, want degraded", got)
	}
	heal()
	n.awaitState(reporter, adapter.Up)
}

// awaitState waits until the adapter reports a state.
func (n *node) awaitState(reporter adapter.Reporter, want adapter.State) {
	n.Helper()
	const pause = 10 * time.Millisecond
	for range patience / pause {
		if reporter.Status().State == want {
			return
		}
		<-time.NewTimer(pause).C
	}
	n.Errorf("the state is %v, want %v", reporter.Status().State, want)
}
