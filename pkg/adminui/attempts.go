package adminui

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// What may be guessed. A page that comes back with its session guesses nothing.
var (
	perAddress = allowance{most: 5, refill: 30 * time.Second}
	inAll      = allowance{most: 60, refill: time.Second}
)

// knownFor is how long an address from which somebody has logged in is not held up by the
// failures of others.
const knownFor = sessionLife

// siteBits is how much of an IPv6 address tells one site from the next: a site has all
// addresses that begin with them.
const siteBits = 64

// allowance is how many logins may fail: most at once, and one more for each refill.
type allowance struct {
	most   int
	refill time.Duration
}

// attempts bounds the logins that fail on a node, by address and in all. Whoever guesses
// uses up the allowance of its own address, and strangers together that of all; who has
// logged in before needs the first one alone, and each of them fills again with time. It is
// safe for concurrent use.
type attempts struct {
	mu        sync.Mutex
	all       budget
	addresses map[netip.Prefix]*guesser // the total bounds how many there are
}

// guesser is what is known of an address.
type guesser struct {
	budget
	known time.Time // until then others' failures do not hold it up
}

// budget is what is left of an allowance: each login that fails moves the moment at which it
// is full again by one refill.
type budget struct{ full time.Time }

// has says whether another login may fail.
func (b *budget) has(a allowance, now time.Time) bool {
	return b.full.Sub(now) <= time.Duration(a.most-1)*a.refill
}

func (b *budget) take(a allowance, now time.Time) {
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(a.refill)
}

func (b *budget) giveBack(a allowance) { b.full = b.full.Add(-a.refill) }

// begin takes a login from remote, host and port, out of the allowances, as if it had
// failed, and says whether there was one.
func (a *attempts) begin(remote string, now time.Time) bool {
	site := siteOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	from := a.addresses[site]
	stranger := from == nil || now.After(from.known)
	if from != nil && !from.has(perAddress, now) || stranger && !a.all.has(inAll, now) {
		return false
	}
	if from == nil {
		from = a.add(site, now)
	}
	from.take(perAddress, now)
	if stranger {
		a.all.take(inAll, now)
	}
	return true
}

// add begins to keep an address, and forgets those of which there is nothing to know.
func (a *attempts) add(site netip.Prefix, now time.Time) *guesser {
	for other, from := range a.addresses {
		if now.After(from.full) && now.After(from.known) {
			delete(a.addresses, other)
		}
	}
	if a.addresses == nil {
		a.addresses = make(map[netip.Prefix]*guesser)
	}
	from := &guesser{}
	a.addresses[site] = from
	return from
}

// succeeded takes back what begin has taken: the login did not fail.
func (a *attempts) succeeded(remote string, now time.Time) {
	site := siteOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	from := a.addresses[site] // not forgotten: what begin has taken is not back yet
	if now.After(from.known) {
		a.all.giveBack(inAll)
	}
	from.giveBack(perAddress)
	from.known = now.Add(knownFor)
}

// siteOf is whom an address stands for. All that have none are one.
func siteOf(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = siteBits
	}
	site, _ := ip.Prefix(bits) // the bits are those of its family
	return site
}
