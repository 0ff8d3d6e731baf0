package router

import "sync/atomic"

// refusal is why a pass is not good. It says nothing of what the pass should have been.
type refusal struct {
	reason string
	count  int // its place in refusals
}

// Error implements error.
func (f *refusal) Error() string { return "router: forwarded request refused: " + f.reason }

// The reasons, each a key of Stats.Refused.
var (
	refuseMalformed = &refusal{"malformed", 0}
	refuseSignature = &refusal{"signature", 1}
	refuseAddressee = &refusal{"addressee", 2}
	refuseTime      = &refusal{"time", 3}
	refuseRepeated  = &refusal{"repeated", 4}

	refusals = [...]*refusal{refuseMalformed, refuseSignature, refuseAddressee, refuseTime, refuseRepeated}
)

// Stats are counters of a Router since it was made, unless said otherwise.
type Stats struct {
	// Forwarded counts the requests that were sent to another node and answered by it,
	// without those that became relays.
	Forwarded uint64
	// Relays are the WebSockets that are relayed at present, or are asked for.
	Relays int64
	// Relayed counts those since the start.
	Relayed uint64
	// Unreachable counts the requests whose owner was not reached, or went away before it
	// had answered.
	Unreachable uint64
	// Full counts the WebSockets that were refused because of Options.MaxRelays.
	Full uint64
	// Admitted counts the requests of other nodes.
	Admitted uint64
	// Refused counts the requests that claimed to be another node's and were not good, by
	// reason: "malformed", "signature", "addressee", "time" or "repeated".
	Refused map[string]uint64
}

type counters struct {
	forwarded, relayed, unreachable, full, admitted atomic.Uint64
	refused                                         [len(refusals)]atomic.Uint64
}

// Stats returns the present counters. It does not block for long.
func (r *Router) Stats() Stats {
	c := &r.counters
	stats := Stats{
		Forwarded: c.forwarded.Load(), Relayed: c.relayed.Load(), Unreachable: c.unreachable.Load(), Full: c.full.Load(),
		Admitted: c.admitted.Load(), Refused: make(map[string]uint64, len(refusals)),
	}
	for i, f := range refusals {
		stats.Refused[f.reason] = c.refused[i].Load()
	}
	r.mu.Lock()
	stats.Relays = int64(len(r.relays))
	r.mu.Unlock()
	return stats
}
