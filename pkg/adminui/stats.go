package adminui

import (
	"context"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// maxNamespaces bounds the namespaces that one node names.
const maxNamespaces = 100

// counter counts events, which the page calls packets.
type counter struct{ received, sent atomic.Uint64 }

func (c *counter) count(_ context.Context, o *server.Operation) {
	switch o.Kind {
	case server.OperationEvent:
		c.received.Add(1)
	case server.OperationEmit, server.OperationDeliver, server.OperationCall:
		c.sent.Add(uint64(o.Receivers))
	}
}

// serverStats is what a node tells of itself.
type serverStats struct {
	ServerID     string           `json:"serverId"`
	Hostname     string           `json:"hostname"`
	PID          int              `json:"pid"`
	Uptime       float64          `json:"uptime"` // seconds
	Clients      int64            `json:"clientsCount"`
	Polling      int64            `json:"pollingClientsCount"`
	Namespaces   []namespaceStats `json:"namespaces"`
	SinceTheLast []happening      `json:"aggregatedEvents"`
}

type namespaceStats struct {
	Name    string `json:"name"`
	Sockets int    `json:"socketsCount"`
}

// happening counts what has happened since the last report.
type happening struct {
	Timestamp int64  `json:"timestamp"` // Unix milliseconds, of a whole second
	Type      string `json:"type"`
	SubType   string `json:"subType,omitempty"`
	Count     uint64 `json:"count"`
}

// totals are counters since the node's start.
type totals map[happening]uint64 // keys have a type and a subtype alone

// totals reads the node's counters.
func (u *UI) totals(s server.Stats) totals {
	t := totals{
		{Type: "packetsIn"}:  u.events.received.Load(),
		{Type: "packetsOut"}: u.events.sent.Load(),
	}
	for transport := range s.Opened {
		t[happening{Type: "rawConnection"}] += s.Opened[transport]
	}
	for transport := range s.Received {
		t[happening{Type: "bytesIn"}] += s.Received[transport]
	}
	for transport := range s.Sent {
		t[happening{Type: "bytesOut"}] += s.Sent[transport]
	}
	for reason, n := range s.Closed {
		t[happening{Type: "rawDisconnection", SubType: string(reason)}] = n
	}
	return t
}

// since returns what was added to before, which may be nil.
func (t totals) since(before totals, now time.Time) []happening {
	list := []happening{}
	if before == nil {
		return list
	}
	for h, n := range t {
		if h.Count = n - before[h]; h.Count > 0 {
			h.Timestamp = now.Truncate(time.Second).UnixMilli()
			list = append(list, h)
		}
	}
	return list
}

// stats describes the node. It visits all of its sockets.
func (u *UI) stats(before totals) (serverStats, totals) {
	s, now := u.server.Stats(), time.Now()
	after := u.totals(s)
	host, _ := os.Hostname() // without one the page shows none
	stats := serverStats{
		ServerID: u.options.ServerID, Hostname: host, PID: os.Getpid(), Uptime: now.Sub(u.started).Seconds(),
		Polling: s.Sessions["polling"], Namespaces: []namespaceStats{}, SinceTheLast: after.since(before, now),
	}
	for _, n := range s.Sessions {
		stats.Clients += n
	}
	for _, n := range u.shown() {
		stats.Namespaces = append(stats.Namespaces, namespaceStats{Name: n.Name(), Sockets: len(n.Sockets())})
	}
	return stats, after
}

// shown are the namespaces that pages see.
func (u *UI) shown() []*server.Namespace {
	all := slices.DeleteFunc(u.server.Namespaces(), func(n *server.Namespace) bool { return slices.Contains(u.options.Hidden, n.Name()) })
	return all[:min(len(all), maxNamespaces)]
}
