package server

import (
	"context"
	"slices"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

const (
	// renewedAtOnce is the largest number of records that are renewed in one call.
	renewedAtOnce = 1000
	// ticksPerWindow is how often within the window records that are to be renewed are
	// looked for.
	ticksPerWindow = 30
	// renewalTicks is how old a record is then, in ticks: with the next look, and what a
	// look's renewals take, it is a third of the window when it is renewed.
	renewalTicks = ticksPerWindow/3 - 2
)

// renewal are records of one namespace that are renewed in one call.
type renewal struct {
	keeper  *keeper
	sockets []*Socket
}

// renewRecords keeps the records of connected clients from expiring, until the server
// ends. The calls are spread over the time between two looks. After an interruption of
// the backend all are written again: it may have lost them, or other nodes may have taken
// them meanwhile.
func (s *Server) renewRecords() {
	tick := max(s.options.Recovery.MaxDisconnectionDuration/ticksPerWindow, time.Millisecond)
	trouble := s.trouble()
	for s.pause(tick) {
		now := s.trouble()
		renewals := s.dueRenewals(now != trouble)
		trouble = now
		for i, r := range renewals {
			if i > 0 && !s.pause(tick/time.Duration(len(renewals))) {
				return
			}
			r.keeper.renew(r.sockets)
		}
	}
}

// trouble counts after what records may be lost.
func (s *Server) trouble() uint64 {
	status := s.cluster.Status()
	return status.Interruptions + status.LogResets
}

// pause waits, and says false when the server ends.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.life.Done():
		return false
	}
}

// dueRenewals returns what is to be renewed, of all namespaces.
func (s *Server) dueRenewals(lost bool) (due []renewal) {
	s.mu.RLock()
	namespaces := make([]*Namespace, 0, len(s.namespaces))
	for _, n := range s.namespaces {
		namespaces = append(namespaces, n)
	}
	s.mu.RUnlock()
	for _, n := range namespaces {
		if !n.isReady() || n.keeper == nil {
			continue
		}
		for sockets := range slices.Chunk(n.keeper.due(lost), renewedAtOnce) {
			due = append(due, renewal{n.keeper, sockets})
		}
	}
	return due
}

// due returns the sockets whose records are to be renewed, and has those written whose
// records may not be there any more, all of them if the backend has lost its data.
func (k *keeper) due(lost bool) (sockets []*Socket) {
	window := k.namespace.server.options.Recovery.MaxDisconnectionDuration
	now := time.Now()
	look := func(s *Socket) {
		u := &s.recovery.upkeep
		age := now.Sub(u.at)
		switch old := age >= window/ticksPerWindow*renewalTicks; {
		case u.at.IsZero() || u.changed || !u.left.IsZero(): // is not yet, or will be written
		case lost || age >= window:
			k.queue(s)
		case old:
			sockets = append(sockets, s)
		}
	}
	for some := range slices.Chunk(k.namespace.sockets.Members(), renewedAtOnce) {
		k.mu.Lock() // not for all, since those who change wait for it
		for _, s := range some {
			look(s)
		}
		k.mu.Unlock()
	}
	return sockets
}

// renew renews the records of sockets, and has those written that are missing. If that
// fails they are due again.
func (k *keeper) renew(sockets []*Socket) {
	records := make([]*adapter.Record, len(sockets))
	for i, s := range sockets {
		records[i] = s.named()
	}
	n := k.namespace
	ctx, cancel := context.WithTimeout(n.server.base, leaveTimeout)
	defer cancel()
	missing, err := k.records.Renew(ctx, records)
	if err != nil {
		n.server.log.Warn("recovery records are not renewed; trying again", "namespace", clip(n.name), "error", err)
		return
	}
	now := time.Now()
	k.mu.Lock()
	for _, s := range sockets {
		s.recovery.upkeep.at = now
	}
	k.mu.Unlock()
	for _, i := range missing {
		if i >= 0 && i < len(sockets) {
			k.change(sockets[i])
		}
	}
}
