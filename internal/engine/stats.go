package engine

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/gorilla/websocket"
)

// Stats is a snapshot of an Engine's counters.
type Stats struct {
	// Polling and WebSocket are the numbers of open sessions by transport.
	Polling, WebSocket int64
	// Parked is the number of WebSocket sessions that have no goroutine at present.
	Parked int
	// Opened counts sessions since the start, OpenedWebSocket those of them that began
	// as a WebSocket, Upgraded those that changed from polling to WebSocket.
	Opened, OpenedWebSocket, Upgraded uint64
	// Polled and Framed count the bytes that travelled by polling and by WebSocket:
	// bodies and messages that came, without framing and inflated, and what was handed to
	// the connection.
	Polled, Framed Traffic
	// Limited counts the sessions that ended at a limit, by the limit's name.
	Limited map[string]uint64
	// SlowConsumers counts sessions that were closed for a full send queue.
	SlowConsumers uint64
	// Panics counts panics in Receivers, hooks and the code of one connection.
	Panics uint64
	// Refused counts refused requests by Refusal.Reason.
	Refused map[string]uint64
	// Closed counts the sessions that ended.
	Closed map[Reason]uint64
	// QueuedBytes is the sum of all send queues, MaxQueuedBytes the longest one.
	QueuedBytes, MaxQueuedBytes int64
	// QueuedWithin counts, for each of QueueBounds, the sessions whose send queue is no
	// longer than that.
	QueuedWithin [len(QueueBounds)]uint64
	// Sessions is the number of sessions whose queues were looked at.
	Sessions uint64
}

// Traffic counts bytes.
type Traffic struct {
	// Received counts those of clients.
	Received uint64
	// Sent counts those to clients.
	Sent uint64
}

// QueueBounds are lengths of send queues in bytes, for Stats.QueuedWithin.
var QueueBounds = [...]int64{0, 1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20}

// The limits of Stats.Limited, in the words of Options.
const (
	limitPayload = iota
	limitFragments
	limitFragmentTime
	limitSendQueue
	limits
)

var limitNames = [limits]string{"max_payload", "max_fragments", "fragment_timeout", "max_send_queue_bytes"}

type counters struct {
	polling, websocket    atomic.Int64
	opened, upgraded      atomic.Uint64
	openedWebSocket       atomic.Uint64
	polled, framed        traffic
	slowConsumers, panics atomic.Uint64
	limited               [limits]atomic.Uint64
	refused               [len(refusalReasons)]atomic.Uint64
	closed                [len(closeReasons)]atomic.Uint64
}

// traffic counts bytes. The counters have a cache line each: readers and writers of
// different sessions add to them all the time.
type traffic struct {
	received, sent struct {
		atomic.Uint64
		_ [56]byte
	}
}

func (t *traffic) stats() Traffic { return Traffic{Received: t.received.Load(), Sent: t.sent.Load()} }

// countOpened counts a session that begins on a transport.
func (c *counters) countOpened(transport string) {
	c.opened.Add(1)
	if transport == transportWebSocket {
		c.openedWebSocket.Add(1)
	}
	c.gauge(transport).Add(1)
}

// gauge returns the number of sessions on a transport.
func (c *counters) gauge(transport string) *atomic.Int64 {
	if transport == transportWebSocket {
		return &c.websocket
	}
	return &c.polling
}

// open returns the number of open sessions.
func (c *counters) open() int64 { return c.polling.Load() + c.websocket.Load() }

func (c *counters) countClosed(end ending) {
	c.closed[slices.Index(closeReasons[:], end.reason)].Add(1)
	if limit := limitOf(end.cause); limit < limits {
		c.limited[limit].Add(1)
	}
	if errors.Is(end.cause, ErrSlowConsumer) {
		c.slowConsumers.Add(1)
	}
}

// limitOf returns the limit at which a session ended, or limits.
func limitOf(cause error) int {
	switch {
	case cause == nil:
	case errors.Is(cause, ErrSlowConsumer):
		return limitSendQueue
	case errors.Is(cause, errTooBig), errors.Is(cause, websocket.ErrReadLimit):
		return limitPayload
	case errors.Is(cause, errFragments):
		return limitFragments
	case errors.Is(cause, errFragmentTimeout):
		return limitFragmentTime
	}
	return limits
}

func (c *counters) countRefused(reason string) {
	c.refused[slices.Index(refusalReasons[:], reason)].Add(1)
}

// Stats returns the present counters. It visits every session.
func (e *Engine) Stats() Stats {
	c := &e.counters
	stats := Stats{
		Polling: c.polling.Load(), WebSocket: c.websocket.Load(), Parked: e.parking.size(),
		Opened: c.opened.Load(), OpenedWebSocket: c.openedWebSocket.Load(), Upgraded: c.upgraded.Load(),
		Polled: c.polled.stats(), Framed: c.framed.stats(), Limited: map[string]uint64{},
		SlowConsumers: c.slowConsumers.Load(), Panics: c.panics.Load(),
		Refused: map[string]uint64{}, Closed: map[Reason]uint64{},
	}
	for i, reason := range refusalReasons {
		stats.Refused[reason] = c.refused[i].Load()
	}
	for i, reason := range closeReasons {
		stats.Closed[reason] = c.closed[i].Load()
	}
	for i, name := range limitNames {
		stats.Limited[name] = c.limited[i].Load()
	}
	for _, s := range e.snapshot() {
		stats.addQueue(int64(s.QueuedBytes()))
	}
	return stats
}

// addQueue adds a session's send queue.
func (s *Stats) addQueue(length int64) {
	s.Sessions++
	s.QueuedBytes += length
	s.MaxQueuedBytes = max(s.MaxQueuedBytes, length)
	for i, bound := range QueueBounds {
		if length <= bound {
			s.QueuedWithin[i]++
		}
	}
}
