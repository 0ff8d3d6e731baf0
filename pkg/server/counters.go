package server

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/packet"
)

// counters are what a node counts beside its engine and its cluster.
type counters struct {
	panics, eventPanics atomic.Uint64 // the former without the latter
	disconnections      [len(disconnectReasons)]atomic.Uint64
	limited             [limits]atomic.Uint64
	invalid             [violations]atomic.Uint64
	discarded           atomic.Uint64
}

var disconnectReasons = [...]DisconnectReason{
	ClientDisconnect, ServerDisconnect, TransportClose, TransportError, PingTimeout, ParseError, ForcedClose, ServerShutdown,
}

// countDisconnection counts a socket that was connected.
func (c *counters) countDisconnection(reason DisconnectReason) {
	if i := slices.Index(disconnectReasons[:], reason); i >= 0 {
		c.disconnections[i].Add(1)
	}
}

// limit is one of those of Options.
type limit int

// The limits that are counted here; the engine has others.
const (
	limitConnectTimeout limit = iota
	limitAttachmentTimeout
	limitPacket // of packet.Limits: which of them the decoder does not say
	limitNamespacesPerConnection
	limitConnectAttempts
	limitNamespaceLength
	limitDynamicNamespaces
	limitRoomsPerSocket
	limitPendingAcks
	limitEventsInFlight
	limits
)

var limitNames = [limits]string{
	"connect_timeout", "attachment_timeout", "packet", "max_namespaces_per_connection", "max_connect_attempts", "max_namespace_length",
	"max_dynamic_namespaces", "max_rooms_per_socket", "max_pending_acks", "max_events_in_flight",
}

// hit counts what was refused, ended or held back at a limit.
func (s *Server) hit(l limit) { s.counters.limited[l].Add(1) }

// The kinds of packets that close a connection; the engine has another.
const (
	violationGrammar = iota // of Socket.IO
	violationState          // valid, but not now
	violations
)

var violationNames = [violations]string{"socketio", "state"}

// judge counts why a packet closes the connection, and returns it.
func (c *connection) judge(err error) error {
	s := c.server
	switch {
	case err == nil:
	case errors.Is(err, packet.ErrLimit):
		s.hit(limitPacket)
	case errors.Is(err, errConnectAttempts):
		s.hit(limitConnectAttempts)
	case errors.Is(err, errEventsInFlight):
		s.hit(limitEventsInFlight)
	case errors.Is(err, errNotJoined), errors.Is(err, errJoinedTwice), errors.Is(err, errConnectError):
		s.counters.invalid[violationState].Add(1)
	case errors.Is(err, packet.ErrInvalid):
		s.counters.invalid[violationGrammar].Add(1)
	}
	return err
}

// add adds them to what others have counted.
func (c *counters) add(stats *Stats) {
	stats.Panics += c.panics.Load()
	stats.EventPanics = c.eventPanics.Load()
	stats.Panics += stats.EventPanics
	for i, reason := range disconnectReasons {
		stats.Disconnections[reason] = c.disconnections[i].Load()
	}
	for i, name := range limitNames {
		stats.Limited[name] = c.limited[i].Load()
	}
	for i, name := range violationNames {
		stats.Invalid[name] = c.invalid[i].Load()
	}
}
