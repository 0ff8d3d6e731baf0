package adaptertest

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

const (
	// patience bounds every wait for the backend.
	patience = 10 * time.Second
	// moment is how long a check lets an adapter do what it must not do. A correct
	// one passes however slow the machine is.
	moment = 50 * time.Millisecond
	// lag is the delay asked of Config.Delayed.
	lag = 20 * time.Millisecond
)

// errStuck means that a call did not return although its context had ended.
var errStuck = errors.New("the call did not return")

// trial is one run of one check.
type trial struct {
	testing.TB
	config Config
	run    string // a text that no other run has
	calls  sync.WaitGroup
}

func newTrial(t testing.TB, c Config) *trial {
	tr := &trial{TB: t, config: c, run: "-" + rand.Text()}
	t.Cleanup(func() {
		if !t.Failed() { // a broken adapter may hold a call for good
			tr.calls.Wait()
		}
	})
	return tr
}

// call runs f, which the backend may hold up, with a context that ends after
// patience. It returns errStuck when f does not heed that.
func (tr *trial) call(f func(context.Context) error) error {
	return tr.callWithin(patience, f)
}

func (tr *trial) callWithin(limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tr.Context()), limit)
	defer cancel()
	return tr.await(tr.start(func() error { return f(ctx) }), limit+patience)
}

// start runs f on a goroutine of its own and returns where its result arrives.
func (tr *trial) start(f func() error) <-chan error {
	result := make(chan error, 1)
	tr.calls.Go(func() { result <- f() })
	return result
}

func (tr *trial) await(result <-chan error, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
		return errStuck
	}
}

// must ends the check if err is not nil.
func (tr *trial) must(what string, err error) {
	tr.Helper()
	if err != nil {
		tr.Fatalf("%s: %v", what, err)
	}
}

// topic returns the name of an internal topic that nobody else uses.
func (tr *trial) topic() string { return "kit-" + rand.Text() }

// namespace returns the name of a namespace that nobody else uses.
func (tr *trial) namespace() string { return "/kit-" + rand.Text() }

// node is one process of the cluster under test.
type node struct {
	*trial
	adapter adapter.Adapter
	id      adapter.NodeID
}

func (tr *trial) node() *node {
	tr.Helper()
	return tr.nodeOn(tr.config.New(tr.TB))
}

// delayed is a node with a slow way to the backend, if the backend can offer one.
func (tr *trial) delayed() *node {
	tr.Helper()
	if tr.config.Delayed == nil {
		return tr.node()
	}
	return tr.nodeOn(tr.config.Delayed(tr.TB, lag))
}

func (tr *trial) nodeOn(a adapter.Adapter) *node {
	return &node{trial: tr, adapter: a, id: adapter.NodeID("node-" + rand.Text())}
}

// together joins n new nodes to topic.
func (tr *trial) together(n int, topic string) []*member {
	tr.Helper()
	members := make([]*member, n)
	for i := range members {
		members[i] = tr.node().join(topic)
	}
	return members
}
