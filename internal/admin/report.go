package admin

import (
	"cmp"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// How much one node says of itself, however much there is.
const (
	maxNamespaces = 100
	maxRooms      = 50
	maxQueues     = 20
)

// nodeReport is what one node says of itself. Counters are since its start: two reports
// and their times make a rate.
type nodeReport struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	At         time.Time         `json:"at"`
	Started    time.Time         `json:"started"`
	Ready      bool              `json:"ready"`
	Bus        busReport         `json:"bus"`
	Sessions   map[string]int64  `json:"sessions"`
	Namespaces []namespaceReport `json:"namespaces"`
	// Rooms are the node's largest, of all namespaces, and RoomCount says how many it has.
	Rooms     []roomReport `json:"rooms"`
	RoomCount int          `json:"roomCount"`
	// Queues are the sockets for which most waits, those for which nothing does left out.
	Queues        []queueReport     `json:"queues"`
	SlowConsumers uint64            `json:"slowConsumers"`
	Panics        uint64            `json:"panics"`
	Refused       map[string]uint64 `json:"refused"`
	// Disconnections are sockets by reason.
	Disconnections map[string]uint64 `json:"disconnections"`
	// EventsReceived and EventsSent count events, those that go to many sockets once for
	// each; nil on a node that does not count them.
	EventsReceived *uint64 `json:"eventsReceived,omitempty"`
	EventsSent     *uint64 `json:"eventsSent,omitempty"`
	HeapBytes      uint64  `json:"heapBytes"`
	Goroutines     uint64  `json:"goroutines"`
	// Others are the ids of the other live nodes that it knows.
	Others []string `json:"others"`
	// Actions says whether it does what the page's actions ask of it.
	Actions bool `json:"actions"`
	// Drains says whether being drained is among them.
	Drains bool `json:"drains"`
}

// busReport is what a node knows of its adapter's backend.
type busReport struct {
	State         string            `json:"state"`
	Since         *time.Time        `json:"since,omitempty"`
	Interruptions uint64            `json:"interruptions"`
	Gaps          uint64            `json:"gaps"`
	Dropped       map[string]uint64 `json:"dropped"`
	// RoundTrips counts the messages that the node sent to itself over the bus, and
	// RoundTripMillis is how long all of them took, in milliseconds.
	RoundTrips      uint64  `json:"roundTrips"`
	RoundTripMillis float64 `json:"roundTripMillis"`
}

type namespaceReport struct {
	Name    string `json:"name"`
	Sockets int    `json:"sockets"`
	Rooms   int    `json:"rooms"`
}

type roomReport struct {
	Namespace string `json:"namespace"`
	Room      string `json:"room"`
	Sockets   int    `json:"sockets"`
}

type queueReport struct {
	Namespace string `json:"namespace"`
	Socket    string `json:"socket"`
	Bytes     int    `json:"bytes"`
}

// report describes this node. It visits all of its sockets and rooms.
func (a *Admin) report() nodeReport {
	h, s := a.options.Server.Health(), a.options.Server.Stats()
	r := nodeReport{
		ID: a.options.Server.NodeID(), Name: a.options.Name, At: time.Now(), Started: a.started, Ready: h.Ready,
		Bus:      busReport{State: h.Bus, Interruptions: h.BusInterruptions, Gaps: h.BusGaps, Dropped: h.BusDropped},
		Sessions: s.Sessions, Namespaces: []namespaceReport{}, Rooms: []roomReport{}, Queues: []queueReport{},
		SlowConsumers: s.SlowConsumers, Panics: s.Panics, Refused: s.Refused,
		Disconnections: make(map[string]uint64, len(s.Disconnections)), Others: append([]string{}, h.Nodes...), Actions: a.options.Token != "", Drains: a.options.Token != "" && a.options.Drain != nil,
	}
	if !h.BusSince.IsZero() {
		r.Bus.Since = &h.BusSince
	}
	r.Bus.RoundTrips, r.Bus.RoundTripMillis = s.BusRoundTrips.Count, float64(s.BusRoundTrips.Sum.Microseconds())/1000
	for reason, count := range s.Disconnections {
		r.Disconnections[string(reason)] = count
	}
	if e := a.options.Events; e != nil {
		received, sent := e.received.Load(), e.sent.Load()
		r.EventsReceived, r.EventsSent = &received, &sent
	}
	for _, n := range a.options.Server.Namespaces() {
		if n.Name() != Topic {
			r.visit(n)
		}
	}
	r.cut()
	r.HeapBytes, r.Goroutines = runtimeFigures()
	return r
}

// visit adds what a namespace has.
func (r *nodeReport) visit(n *server.Namespace) {
	sockets := n.Sockets()
	rooms, count := n.LargestRooms(maxRooms)
	r.RoomCount += count
	r.Namespaces = append(r.Namespaces, namespaceReport{Name: n.Name(), Sockets: len(sockets), Rooms: count})
	for _, room := range rooms {
		r.Rooms = append(r.Rooms, roomReport{Namespace: n.Name(), Room: room.Room, Sockets: room.Sockets})
	}
	for _, s := range sockets {
		if waiting := s.QueuedBytes(); waiting > 0 {
			r.Queues = append(r.Queues, queueReport{Namespace: n.Name(), Socket: s.ID(), Bytes: waiting})
		}
	}
}

// cut keeps the largest of each kind.
func (r *nodeReport) cut() {
	r.Namespaces = largest(r.Namespaces, maxNamespaces, func(n namespaceReport) (int, string) { return n.Sockets, n.Name })
	r.Rooms = largest(r.Rooms, maxRooms, func(r roomReport) (int, string) { return r.Sockets, r.Room })
	r.Queues = largest(r.Queues, maxQueues, func(q queueReport) (int, string) { return q.Bytes, q.Socket })
}

// largest returns the n elements of the greatest size, by name where that is equal.
func largest[T any](list []T, n int, key func(T) (size int, name string)) []T {
	slices.SortFunc(list, func(a, b T) int {
		sizeA, nameA := key(a)
		sizeB, nameB := key(b)
		return cmp.Or(cmp.Compare(sizeB, sizeA), strings.Compare(nameA, nameB))
	})
	return list[:min(len(list), n)]
}

// runtimeFigures are what the process holds, which costs no stop of the world to read.
func runtimeFigures() (heap, goroutines uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
