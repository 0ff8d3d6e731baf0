package adaptertest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/pkg/adapter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcome runs one check against fixtures with a fault, on a bubble's clock.
func outcome(t *testing.T, spoil func() fault, k check) *recorder {
	t.Helper()
	return outcomeWith(t, spoil, k, func(*Config) {})
}

func outcomeWith(t *testing.T, spoil func() fault, k check, configure func(*Config)) *recorder {
	t.Helper()
	var r *recorder
	synctest.Test(t, func(t *testing.T) {
		r = newRecorder(t)
		c := fixtureConfig(spoil)
		configure(&c)
		r.run(func() { try(r, c, k) })
		time.Sleep(2 * time.Hour) // what a fault has left behind ends by itself
	})
	return r
}

func faultless() fault { return fault{} }

// checks are all rules there are: fixtures have all abilities.
func checks() []check { return checksOf(&fixture{}) }

// faults returns the adapters that break one rule each, for all rules.
func faults() map[string]func() fault {
	all := maps.Clone(commonFaults)
	maps.Copy(all, outageFaults)
	maps.Copy(all, recoveryFaults)
	return all
}

func TestRun_CorrectAdapterPassesEveryCheck(t *testing.T) {
	for _, k := range checks() {
		t.Run(k.name, func(t *testing.T) {
			if r := outcome(t, faultless, k); r.Failed() || r.Skipped() {
				t.Errorf("failed %t, skipped %t: %s", r.Failed(), r.Skipped(), strings.Join(r.lines(), "\n"))
			}
		})
	}
}

func TestRun_EachFaultFailsItsCheckAndNoOther(t *testing.T) {
	for name, spoil := range faults() {
		t.Run(name, func(t *testing.T) {
			for _, k := range checks() {
				r := outcome(t, spoil, k)
				if want := k.name == name; r.Failed() != want || r.Skipped() {
					t.Errorf("%s: failed %t, skipped %t, want failed %t: %s",
						k.name, r.Failed(), r.Skipped(), want, strings.Join(r.lines(), "\n"))
				}
			}
		})
	}
}

func TestRun_EveryCheckHasItsFault(t *testing.T) {
	var names []string
	for _, k := range checks() {
		names = append(names, k.name)
	}
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(faults())); !slices.Equal(got, names) {
		t.Errorf("faults for %q, want for %q", got, names)
	}
}

func TestRun_FailureNamesItsRule(t *testing.T) {
	k := deliveryChecks[0]
	r := outcome(t, faults()[k.name], k)
	if log := strings.Join(r.lines(), "\n"); !strings.Contains(log, k.clause) {
		t.Errorf("the log does not say %q:\n%s", k.clause, log)
	}
}

func TestRun_AbilitiesOfAnAdapterAreCheckedOnlyWhereTheyAre(t *testing.T) {
	type store interface {
		adapter.Adapter
		adapter.RecoveryStore
	}
	plain := checksOf(struct{ adapter.Adapter }{&fixture{}})
	kept := checksOf(struct{ store }{&fixture{}})
	if got, want := len(kept)-len(plain), len(recoveryChecks()); got != want || want == 0 {
		t.Errorf("a store has %d checks more, want %d", got, want)
	}
	if got, want := len(checks())-len(kept), len(totalOrderChecks); got != want || want == 0 {
		t.Errorf("a store that delivers in one order has %d checks more, want %d", got, want)
	}
}

func TestRun_MissingAbilityIsSkippedWithItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder(t)
		c := fixtureConfig(faultless)
		c.Cut = nil
		r.run(func() { try(r, c, outageChecks[0]) })
		if log := strings.Join(r.lines(), "\n"); !r.Skipped() || !strings.Contains(log, "Config.Cut") {
			t.Errorf("skipped %t with %q, want a reason", r.Skipped(), log)
		}
	})
}

// What several ways do to the order is forgiven, and nothing else is.
func TestRun_OrderPerSelectionForgivesWhatOvertakesOnAnotherWay(t *testing.T) {
	perSelection := func(c *Config) { c.OrderPerSelection = true }
	for name, spoil := range map[string]func() fault{
		"none": faultless, "rooms lag": onDeliver(roomsLag), "requests overtake": onDeliver(requestsFirst),
	} {
		t.Run(name, func(t *testing.T) {
			for _, k := range checks() {
				if r := outcomeWith(t, spoil, k, perSelection); r.Failed() || r.Skipped() {
					t.Errorf("%s: failed %t, skipped %t: %s", k.name, r.Failed(), r.Skipped(), strings.Join(r.lines(), "\n"))
				}
			}
		})
	}
}

func TestRun_OrderPerSelectionHoldsEachSelectionToItsOrder(t *testing.T) {
	perSelection := func(c *Config) { c.OrderPerSelection = true }
	for name, spoil := range faults() {
		want := name != "Rooms_InOrder" && name != "Request_InOrderWithBroadcasts"
		i := slices.IndexFunc(checks(), func(k check) bool { return k.name == name })
		if r := outcomeWith(t, spoil, checks()[i], perSelection); r.Failed() != want {
			t.Errorf("%s: failed %t, want %t", name, r.Failed(), want)
		}
	}
	for _, k := range checks() {
		if k.name != "Rooms_InOrder" && k.name != "Request_InOrderWithBroadcasts" {
			continue
		}
		if r := outcomeWith(t, onDeliver(backwards), k, perSelection); !r.Failed() {
			t.Errorf("%s: passed with broadcasts in the wrong order", k.name)
		}
	}
}

// An adapter with bounds of its own keeps more than a Retention says, and shows with
// Config.Small that it does lose what it must.
func TestRun_SmallStandsForTheBoundsOfARetention(t *testing.T) {
	generous := retaining(func(r *adapter.Retention) { r.MaxLogBytes, r.MaxRecords, r.Unnoticed = 1<<30, 1000, time.Hour })
	small := func(c *Config) {
		c.Small = func(t testing.TB) adapter.Adapter {
			f := c.New(t).(*fixture)
			f.fault.retain = func(r *adapter.Retention) { r.MaxLogBytes = 1 << 18 }
			return f
		}
	}
	for _, k := range recoveryChecks() {
		r := outcomeWith(t, generous, k, small)
		if want := k.name == "Recovery_OldestRecordsGo"; r.Failed() || r.Skipped() != want {
			t.Errorf("%s: failed %t, skipped %t, want skipped %t: %s", k.name, r.Failed(), r.Skipped(), want, strings.Join(r.lines(), "\n"))
		}
		if k.name == "Recovery_LogBytes" && !outcome(t, generous, k).Failed() {
			t.Errorf("%s: passed with a log that loses nothing", k.name)
		}
	}
}
