package server

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// Health is what a load balancer or an operator asks of a node.
type Health struct {
	// Ready says that the node accepts clients: it is not shut down, and has fewer than
	// MaxConnections. A node whose bus is degraded is ready all the same.
	Ready bool
	// Bus is "up", or "degraded" while the adapter's backend cannot be reached.
	Bus string
	// BusSince is when Bus became what it is; zero without an adapter that knows.
	BusSince time.Time
	// BusDropped counts the messages that did not travel between nodes, by reason; with
	// "refused" they arrived, and this node could not do what they say.
	BusDropped map[string]uint64
	// BusInterruptions counts how often the adapter's backend was lost.
	BusInterruptions uint64
	// BusGaps counts the times in which messages of other nodes may have been missed.
	BusGaps uint64
	// LogGaps counts how often the adapter's log had lost its oldest entries before this
	// node had read them.
	LogGaps uint64
	// LogResets counts how often that log was found empty, or another one than before.
	LogResets uint64
	// Repeated counts the entries of that log that were there more than once and were
	// delivered once.
	Repeated uint64
	// Nodes are the ids of the other nodes that are known to live.
	Nodes []string
}

// Health returns the node's state. It does not block.
func (s *Server) Health() Health {
	status := s.cluster.Status()
	h := Health{
		Ready: !s.closing.Load() && !s.engine.IsFull(), Bus: status.State.String(), BusSince: status.Since, BusDropped: make(map[string]uint64),
		BusInterruptions: status.Interruptions, BusGaps: status.Gaps,
		LogGaps: status.LogGaps, LogResets: status.LogResets, Repeated: status.Repeated,
	}
	maps.Copy(h.BusDropped, status.Dropped)
	if n := s.undeliverable.Load(); n > 0 {
		h.BusDropped["refused"] = n
	}
	for _, member := range s.cluster.Members() {
		h.Nodes = append(h.Nodes, string(member.ID))
	}
	slices.Sort(h.Nodes)
	return h
}

// busAway says whether the adapter's backend is known not to be reached.
func (s *Server) busAway() bool { return s.cluster.Status().State == adapter.Degraded }

// Stats are counters of a node, since it started unless said otherwise.
type Stats struct {
	// Sessions are the present sessions by transport.
	Sessions map[string]int64
	// SlowConsumers counts the clients that were closed with ErrSlowConsumer.
	SlowConsumers uint64
	// Panics counts the panics of handlers, and of the code that serves one client.
	Panics uint64
	// Refused counts the requests that were refused, by a reason from a fixed list.
	Refused map[string]uint64
	// Closed counts the sessions that ended, by reason.
	Closed map[DisconnectReason]uint64
	// Recoveries counts the clients that came back with a private session id:
	// "complete", "unknown" without a record or with an offset that is not in the log,
	// "too_much" when more was missed than is sent again. All but the first started
	// afresh.
	Recoveries map[string]uint64
	// Forwarding counts requests for sessions of other nodes, and those that they sent here.
	Forwarding Forwarding
}

// Stats returns the node's counters. It does not block.
func (s *Server) Stats() Stats {
	e := s.engine.Stats()
	stats := Stats{
		Sessions:      map[string]int64{"polling": e.Polling, "websocket": e.WebSocket},
		SlowConsumers: e.SlowConsumers,
		Panics:        s.panics.Load() + e.Panics,
		Refused:       e.Refused,
		Closed:        make(map[DisconnectReason]uint64, len(e.Closed)),
		Recoveries: map[string]uint64{
			"complete": s.recoveries.complete.Load(), "unknown": s.recoveries.unknown.Load(), "too_much": s.recoveries.tooMuch.Load(),
		},
		Forwarding: s.forwarding(),
	}
	for reason, count := range e.Closed {
		stats.Closed[DisconnectReason(reason)] = count
	}
	return stats
}

func (s *Server) engineOptions() engine.Options {
	o := &s.options
	options := engine.Options{
		PingInterval: o.PingInterval, PingTimeout: o.PingTimeout, UpgradeTimeout: o.UpgradeTimeout,
		MaxPayload: o.MaxPayload, MaxFragments: o.MaxFragments, FragmentTimeout: o.FragmentTimeout,
		ParkAfter: o.ParkAfter, ReleaseMemoryAfter: o.ReleaseMemoryAfter,
		ReadBodyTimeout: o.ReadBodyTimeout, WriteTimeout: o.WriteTimeout, CloseTimeout: o.CloseTimeout,
		MaxSendQueueBytes: o.MaxSendQueueBytes, MaxConnections: o.MaxConnections, MaxHandshakesPerSecond: o.MaxHandshakesPerSecond,
		SlowConsumer: engine.SlowConsumerPolicy(o.SlowConsumer),
		Transports:   o.Transports, DisableUpgrades: o.DisableUpgrades, Cookie: o.Cookie, AllowRequest: o.AllowRequest, InitialHeaders: o.InitialHeaders, Headers: o.Headers,
		Tag: func() uint32 { return s.cluster.Tag() }, Elsewhere: s.elsewhere, Logger: o.Logger,
	}
	options.HTTPCompressionThreshold, options.NewID = o.HTTPCompressionThreshold, o.GenerateID
	if o.OnConnectionError != nil {
		options.OnRefused = func(r *http.Request, f engine.Refusal) {
			o.OnConnectionError(ConnectionError{Code: f.Code, Message: f.Message, Reason: f.Reason, Request: r, Err: f.Err})
		}
	}
	if o.PerMessageDeflate != nil {
		options.PerMessageDeflate = &engine.PerMessageDeflate{Threshold: o.PerMessageDeflate.Threshold}
	}
	if o.CORS != nil {
		options.CORS = &engine.CORS{Origins: o.CORS.Origins, Credentials: o.CORS.Credentials}
	}
	return options
}
