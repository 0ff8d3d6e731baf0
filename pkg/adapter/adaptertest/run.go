package adaptertest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Config says how to reach the backend under test.
type Config struct {
	// New returns the adapter of one more node. All adapters of a test are on the
	// same backend. Topics and node ids of the kit are random, so the backend may
	// be shared and need not be empty. What New starts beside the adapter's own
	// goroutines is ended with t.Cleanup. New is required.
	New func(t testing.TB) adapter.Adapter
	// Delayed is like New for a node whose every exchange with the backend takes
	// delay longer, by a proxy for example. It makes a Join that returns too early
	// visible. Without it such faults may pass unseen.
	Delayed func(t testing.TB, delay time.Duration) adapter.Adapter
	// Cut is like New for a node that cannot reach the backend until heal is called.
	// Without it, what happens while the backend is away is not checked.
	Cut func(t testing.TB) (a adapter.Adapter, heal func())
	// Lose is like New for a node whose way to the backend lose takes away and heal
	// gives back. Without it, what an adapter.Watcher says of an outage is not checked.
	Lose func(t testing.TB) (a adapter.Adapter, lose, heal func())
	// Small is like New for a node whose log keeps at most the newest 256 KiB, or 30
	// broadcasts. It is for an adapter.RecoveryStore with bounds of its own, which are
	// then not held to those of a Retention.
	Small func(t testing.TB) adapter.Adapter
	// OrderPerSelection is for a backend that carries a sender's messages on several
	// ways, each in order, such as the channels of a Redis Cluster: only those of one
	// kind and action, to the same rooms and the same node, are then held to the order
	// in which they were published. Without it all of a topic's are.
	OrderPerSelection bool
}

// check is one rule of the seam.
type check struct {
	name   string
	clause string // the rule in words, shown when it is broken
	run    func(*trial)
}

// checksOf are all rules that concern an adapter, in the order in which they run.
func checksOf(a adapter.Adapter) []check {
	all := commonChecks()
	if _, ok := a.(adapter.RecoveryStore); ok {
		all = append(all, recoveryChecks()...)
	}
	if _, ok := a.(adapter.TotalOrder); ok {
		all = append(all, totalOrderChecks...)
	}
	return all
}

// commonChecks are the rules for every adapter.
func commonChecks() []check {
	return slices.Concat(deliveryChecks, addressChecks, joinChecks, publishChecks, closeChecks,
		contentChecks, requestChecks, roomChecks, countChecks, outageChecks, watchChecks)
}

// Run checks the backend, each rule in a subtest. It takes some seconds. Several Runs may
// be parallel; other tests that use the adapter's package must not run beside one.
func Run(t *testing.T, c Config) {
	if c.New == nil {
		t.Fatal("adaptertest: Config.New is nil")
	}
	for _, k := range checksOf(c.New(t)) {
		beside(k, func() { t.Run(k.name, func(t *testing.T) { try(t, c, k) }) })
	}
}

// counting is held alone by the check that counts goroutines, and shared by all others.
var counting sync.RWMutex

// beside runs a check, with what it cleans up, when the checks of other Runs allow it.
func beside(k check, run func()) {
	if k.name == endsGoroutines {
		counting.Lock()
		defer counting.Unlock()
	} else {
		counting.RLock()
		defer counting.RUnlock()
	}
	run()
}

// try runs one check and explains its rule if it fails.
func try(t testing.TB, c Config, k check) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the rule: %s", k.clause)
		}
	})
	k.run(newTrial(t, c))
}
