package server

import (
	"hash/maphash"
	"time"
)

const (
	// sweepsPerAge is how often in MaxConnectionAge its passing is looked for.
	sweepsPerAge = 200
	// minSweep is the least time between two sweeps over all clients.
	minSweep = time.Second
)

// retire lets clients go that are older than MaxConnectionAge, until the server ends
// or drains. Each has an age of its own, so that those that came together do not leave
// together.
func (s *Server) retire() {
	most := s.options.MaxConnectionAge
	seed := maphash.MakeSeed()
	for s.pause(max(minSweep, most/sweepsPerAge)) {
		if s.drain.begun.Load() {
			return
		}
		for _, c := range s.connections() {
			over := time.Since(c.session.Handshake().Time) - ageOf(most, maphash.String(seed, c.session.ID()))
			if over >= 0 && (over >= most/10 || !c.busy()) {
				s.tasks.Go(func() { c.letGo(ForcedClose) })
			}
		}
	}
}

// ageOf returns the age at which a client is let go: between four fifths of most and
// all of it, by the hash of its session's id.
func ageOf(most time.Duration, hash uint64) time.Duration {
	share := float64(hash>>32) / (1 << 32)
	return most - time.Duration(share*float64(most/5))
}
