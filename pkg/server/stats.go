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
	// Ready says that the node accepts clients: it neither drains nor is shut down, and
	// has fewer than MaxConnections. A node whose bus is degraded is ready all the same.
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
		Ready: s.ready(), Bus: status.State.String(), BusSince: status.Since, BusDropped: make(map[string]uint64),
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

// ready says whether clients are accepted.
func (s *Server) ready() bool {
	return !s.closing.Load() && !s.drain.begun.Load() && !s.engine.IsFull()
}

// busAway says whether the adapter's backend is known not to be reached.
func (s *Server) busAway() bool { return s.cluster.Status().State == adapter.Degraded }

// Stats are counters of a node, since it started unless said otherwise.
type Stats struct {
	// Sessions are the present sessions by transport.
	Sessions map[string]int64
	// SlowConsumers counts the clients that were closed with ErrSlowConsumer.
	SlowConsumers uint64
	// Draining are the clients that Drain has not yet let go; 0 unless it runs.
	Draining int64
	// Panics counts the panics of handlers, and of the code that serves one client.
	Panics uint64
	// Refused counts the requests that were refused, by a reason from a fixed list.
	Refused map[string]uint64
	// Closed counts the sessions that ended, by reason.
	Closed map[DisconnectReason]uint64
	// EventPanics counts those panics of Panics that the handlers of clients' events had.
	EventPanics uint64
	// Opened counts sessions by the transport that they began with.
	Opened map[string]uint64
	// Received counts the bytes that came from clients by transport: bodies and messages,
	// inflated and without framing.
	Received map[string]uint64
	// Sent counts the bytes that were handed to clients' connections, by transport.
	Sent map[string]uint64
	// SendQueues says how much waits to be sent.
	SendQueues SendQueues
	// VolatileDropped counts the volatile events that sockets have missed, once for each.
	VolatileDropped uint64
	// Disconnections counts the sockets that were connected to a namespace and are not any
	// more, by reason.
	Disconnections map[DisconnectReason]uint64
	// Invalid counts the packets that closed a session: "engineio" and "socketio" break the
	// protocols' grammar, "state" came at the wrong time.
	Invalid map[string]uint64
	// Limited counts what was refused, closed or held back at a limit of Options, by the
	// limit's name in lower case; "packet" stands for MaxAttachments, MaxAttachmentBytes and
	// MaxJSONDepth.
	Limited map[string]uint64
	// Namespaces are the present sockets and rooms by namespace; those of a pattern are
	// summed up under what Namespace.Labeled has called it.
	Namespaces map[string]NamespaceStats
	// Bus counts the messages between nodes by kind: "broadcast", "request", "response",
	// "heartbeat".
	Bus map[string]BusStats
	// BusRoundTrips says how long messages take to the adapter's backend and back; zero
	// with an adapter that does not know.
	BusRoundTrips adapter.RoundTrips
	// BusSubscriptions are the channels that the node is subscribed to, by kind; nil with
	// an adapter that has none.
	BusSubscriptions map[string]int
	// Recoveries counts the clients that came back with a private session id:
	// "complete", "unknown" without a record or with an offset that is not in the log,
	// "too_much" when more was missed than is sent again. All but the first started
	// afresh.
	Recoveries map[string]uint64
	// Forwarding counts requests for sessions of other nodes, and those that they sent here.
	Forwarding Forwarding
}

// SendQueues says how much waits to be sent to clients.
type SendQueues struct {
	// Sessions is the number of sessions, each of which has a queue.
	Sessions uint64
	// Bytes is the sum of all queues, Longest the length of the longest.
	Bytes, Longest int64
	// Within counts, by a length in bytes, the queues that are no longer.
	Within map[int64]uint64
}

// NamespaceStats are the sockets and rooms of a namespace on this node. The rooms of the
// sockets' own ids are not among them.
type NamespaceStats struct {
	// Sockets is the number of sockets.
	Sockets int
	// Rooms is the number of rooms.
	Rooms int
}

// BusStats counts the messages of one kind.
type BusStats struct {
	// Published counts those that this node has given to the adapter.
	Published uint64
	// Received counts those that the adapter has given to this node.
	Received uint64
	// Discarded counts those of Received that concerned no socket of this node.
	Discarded uint64
}

// Stats returns the node's counters. It visits every session and every namespace, but
// does not wait for anything outside of the process.
func (s *Server) Stats() Stats {
	e := s.engine.Stats()
	stats := Stats{
		Sessions:        map[string]int64{"polling": e.Polling, "websocket": e.WebSocket},
		Opened:          map[string]uint64{"polling": e.Opened - e.OpenedWebSocket, "websocket": e.OpenedWebSocket},
		Received:        map[string]uint64{"polling": e.Polled.Received, "websocket": e.Framed.Received},
		Sent:            map[string]uint64{"polling": e.Polled.Sent, "websocket": e.Framed.Sent},
		SlowConsumers:   e.SlowConsumers,
		VolatileDropped: s.fanout.dropped.Load(),
		Draining:        s.drain.remaining.Load(),
		Panics:          e.Panics,
		Refused:         e.Refused,
		Closed:          make(map[DisconnectReason]uint64, len(e.Closed)),
		Disconnections:  make(map[DisconnectReason]uint64),
		Invalid:         map[string]uint64{"engineio": e.Closed[engine.ReasonParseError]},
		Limited:         e.Limited,
		Namespaces:      s.namespaceStats(),
		Bus:             make(map[string]BusStats),
		Recoveries: map[string]uint64{
			"complete": s.recoveries.complete.Load(), "unknown": s.recoveries.unknown.Load(), "too_much": s.recoveries.tooMuch.Load(),
		},
		Forwarding: s.forwarding(),
	}
	for reason, count := range e.Closed {
		stats.Closed[DisconnectReason(reason)] = count
	}
	for _, limit := range []string{"max_connections", "max_handshakes"} {
		stats.Limited[limit] = e.Refused[limit]
	}
	stats.SendQueues = SendQueues{Sessions: e.Sessions, Bytes: e.QueuedBytes, Longest: e.MaxQueuedBytes, Within: make(map[int64]uint64)}
	for i, bound := range engine.QueueBounds {
		stats.SendQueues.Within[bound] = e.QueuedWithin[i]
	}
	s.counters.add(&stats)
	s.addBus(&stats)
	return stats
}

func (s *Server) addBus(stats *Stats) {
	discarded := s.counters.discarded.Load() // before those of which they are some
	for kind, t := range s.cluster.Traffic() {
		stats.Bus[kind] = BusStats{Published: t.Published, Received: t.Received}
	}
	broadcasts := stats.Bus["broadcast"]
	broadcasts.Discarded = discarded
	stats.Bus["broadcast"] = broadcasts
	stats.BusRoundTrips, stats.BusSubscriptions = s.cluster.Status().RoundTrips, s.cluster.Subscriptions()
}

// namespaceStats counts sockets and rooms. Each socket has one room of its own id.
func (s *Server) namespaceStats() map[string]NamespaceStats {
	s.mu.RLock()
	namespaces := slices.Collect(maps.Values(s.namespaces))
	s.mu.RUnlock()
	all := make(map[string]NamespaceStats)
	for _, n := range namespaces {
		sum := all[n.label()]
		sockets := n.sockets.Len()
		sum.Sockets += sockets
		sum.Rooms += max(0, n.rooms.Len()-sockets)
		all[n.label()] = sum
	}
	return all
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
