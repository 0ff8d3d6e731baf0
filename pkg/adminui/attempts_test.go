package adminui

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// failing counts how many of n logins from remote may fail.
func failing(a *attempts, remote string, n int) (allowed int) {
	for range n {
		if a.begin(remote, time.Now()) {
			allowed++
		}
	}
	return allowed
}

func wantAllowed(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d logins could fail, want %d", what, got, want)
	}
}

func TestAttempts_OfOneAddressAreBoundedAndComeBackWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		wantAllowed(t, "at once", failing(&a, "192.0.2.1:1", 1000), perAddress.most)
		wantAllowed(t, "another port", failing(&a, "192.0.2.1:2", 10), 0)
		wantAllowed(t, "another address", failing(&a, "192.0.2.2:1", 1), 1)
		allowed := 0
		for range 3600 {
			time.Sleep(time.Second)
			allowed += failing(&a, "192.0.2.1:1", 10)
		}
		wantAllowed(t, "within an hour", allowed, int(time.Hour/perAddress.refill))
		time.Sleep(time.Hour)
		wantAllowed(t, "after an hour of rest", failing(&a, "192.0.2.1:1", 1000), perAddress.most)
	})
}

func TestAttempts_OfAllAddressesAreBoundedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		allowed := 0
		for i := range 10_000 {
			allowed += failing(&a, fmt.Sprintf("10.0.%d.%d:1", i/256, i%256), 1)
		}
		wantAllowed(t, "at once", allowed, inAll.most)
		allowed = 0
		for i := range 600 * 10 {
			time.Sleep(time.Second / 10)
			allowed += failing(&a, fmt.Sprintf("10.1.%d.%d:1", i/256, i%256), 1)
		}
		wantAllowed(t, "within ten minutes", allowed, 600)
		if most := inAll.most + perAddress.most*int(perAddress.refill/inAll.refill); len(a.addresses) > most {
			t.Errorf("%d addresses are kept, want %d at most", len(a.addresses), most)
		}
	})
}

// An address of IPv6 costs nothing: whoever has one has all of its site.
func TestAttempts_OfOneSiteAreThoseOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		allowed := 0
		for i := range 100 {
			allowed += failing(&a, fmt.Sprintf("[2001:db8:0:1::%x]:1", i), 1)
		}
		wantAllowed(t, "a site", allowed, perAddress.most)
		wantAllowed(t, "another site", failing(&a, "[2001:db8:0:2::1]:1", 1), 1)
		wantAllowed(t, "an address in both forms", failing(&a, "192.0.2.1:1", 3)+failing(&a, "[::ffff:192.0.2.1]:1", 3), perAddress.most)
	})
}

// Whoever guesses cannot keep the operator out: not for longer than it guesses, and not at
// all where the operator has logged in before.
func TestAttempts_OfOthersDoNotKeepTheOperatorOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const operator = "192.0.2.1:1"
		var a attempts
		enter := func() bool {
			if !a.begin(operator, time.Now()) {
				return false
			}
			a.succeeded(operator, time.Now())
			return true
		}
		guessed := 0
		guess := func() {
			guessed++
			for failing(&a, fmt.Sprintf("10.%d.%d.1:1", guessed/256, guessed%256), perAddress.most) > 0 {
				guessed++
			}
		}
		if !enter() {
			t.Fatal("the operator does not get in")
		}
		for range 1000 {
			guess()
			if !enter() {
				t.Fatal("the operator, who was known, is kept out")
			}
		}
		wantAllowed(t, "from where the operator is", failing(&a, operator, 1000), perAddress.most)
		time.Sleep(perAddress.refill)
		if !enter() {
			t.Error("the operator's address is kept out for good")
		}

		time.Sleep(knownFor + time.Minute)
		guess()
		if enter() {
			t.Error("an address of which nobody knows anything any more has an allowance of its own")
		}
		time.Sleep(inAll.refill)
		if !enter() {
			t.Error("the guesses keep the operator out after they have ended")
		}
	})
}

// What does not fail costs nothing.
func TestAttempts_ThatSucceedAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		for i := range 1000 {
			remote := fmt.Sprintf("10.0.0.%d:1", i%256)
			if !a.begin(remote, time.Now()) {
				t.Fatalf("login %d is refused", i)
			}
			a.succeeded(remote, time.Now())
		}
	})
}
