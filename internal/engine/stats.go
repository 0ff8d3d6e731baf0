package engine

import (
	"errors"
	"slices"
	"sync/atomic"
)

// Stats is a snapshot of an Engine's counters.
type Stats struct {
	// Polling and WebSocket are the numbers of open sessions by transport.
	Polling, WebSocket int64
	// Parked is the number of WebSocket sessions that have no goroutine at present.
	Parked int
	// Opened counts sessions since the start, Upgraded those that changed from
	// polling to WebSocket.
	Opened, Upgraded uint64
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
}

type counters struct {
	polling, websocket    atomic.Int64
	opened, upgraded      atomic.Uint64
	slowConsumers, panics atomic.Uint64
	refused               [len(refusalReasons)]atomic.Uint64
	closed                [len(closeReasons)]atomic.Uint64
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
	if errors.Is(end.cause, ErrSlowConsumer) {
		c.slowConsumers.Add(1)
	}
}

func (c *counters) countRefused(reason string) {
	c.refused[slices.Index(refusalReasons[:], reason)].Add(1)
}

// Stats returns the present counters. It visits every session.
func (e *Engine) Stats() Stats {
	c := &e.counters
	stats := Stats{
		Polling: c.polling.Load(), WebSocket: c.websocket.Load(), Parked: e.parking.size(),
		Opened: c.opened.Load(), Upgraded: c.upgraded.Load(),
		SlowConsumers: c.slowConsumers.Load(), Panics: c.panics.Load(),
		Refused: map[string]uint64{}, Closed: map[Reason]uint64{},
	}
	for i, reason := range refusalReasons {
		stats.Refused[reason] = c.refused[i].Load()
	}
	for i, reason := range closeReasons {
		stats.Closed[reason] = c.closed[i].Load()
	}
	for _, s := range e.snapshot() {
		queued := int64(s.QueuedBytes())
		stats.QueuedBytes += queued
		stats.MaxQueuedBytes = max(stats.MaxQueuedBytes, queued)
	}
	return stats
}
