package metrics

import (
	"cmp"
	"maps"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/server"
)

// scrape is what the server says at one moment.
type scrape struct {
	stats  server.Stats
	health server.Health
}

// sessions is their sum over the transports.
func (s *scrape) sessions() (n int64) {
	for _, sessions := range s.stats.Sessions {
		n += sessions
	}
	return n
}

// emit takes a value and those of its labels.
type emit func(value float64, labels ...string)

// polled is a metric that is asked for.
type polled struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*scrape, emit)
}

func gauge(name, help string, read func(*scrape, emit), labels ...string) polled {
	return polled{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, read}
}

func counter(name, help string, read func(*scrape, emit), labels ...string) polled {
	return polled{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue, read}
}

// all are the metrics that are asked for, but for histograms and panics.
var all = []polled{
	gauge("sio_connections", "Open sessions.", func(s *scrape, put emit) { each(s.stats.Sessions, put) }, "transport"),
	gauge("sio_sessions", "Open sessions of all transports.", func(s *scrape, put emit) { put(float64(s.sessions())) }),
	gauge("sio_sockets", "Sockets that are connected to a namespace.", func(s *scrape, put emit) {
		for namespace, n := range s.stats.Namespaces {
			put(float64(n.Sockets), namespace)
		}
	}, "namespace"),
	gauge("sio_rooms", "Rooms with members on this node.", func(s *scrape, put emit) {
		for namespace, n := range s.stats.Namespaces {
			put(float64(n.Rooms), namespace)
		}
	}, "namespace"),
	counter("sio_connections_total", "Sessions that were opened, by their first transport.", func(s *scrape, put emit) { each(s.stats.Opened, put) }, "transport"),
	counter("sio_closed_total", "Sessions that ended.", func(s *scrape, put emit) { each(s.stats.Closed, put) }, "reason"),
	counter("sio_disconnections_total", "Sockets that left a namespace.", func(s *scrape, put emit) { each(s.stats.Disconnections, put) }, "reason"),
	counter("sio_handshake_rejected_total", "Requests that were refused.", func(s *scrape, put emit) { each(s.stats.Refused, put) }, "reason"),
	counter("sio_recovered_total", "Clients that came back, by what became of it.", func(s *scrape, put emit) { each(s.stats.Recoveries, put) }, "result"),
	counter("sio_bytes_received_total", "Bytes of clients, inflated and without framing.", func(s *scrape, put emit) { each(s.stats.Received, put) }, "transport"),
	counter("sio_bytes_sent_total", "Bytes that were handed to clients' connections.", func(s *scrape, put emit) { each(s.stats.Sent, put) }, "transport"),
	counter("sio_packets_invalid_total", "Packets that closed a session.", func(s *scrape, put emit) { each(s.stats.Invalid, put) }, "kind"),
	counter("sio_limited_total", "What was refused, closed or held back at a limit.", func(s *scrape, put emit) { each(s.stats.Limited, put) }, "limit"),
	gauge("sio_send_queue_used_bytes", "Bytes that wait in all send queues.", func(s *scrape, put emit) { put(float64(s.stats.SendQueues.Bytes)) }),
	gauge("sio_send_queue_longest_bytes", "Bytes that wait in the longest send queue.", func(s *scrape, put emit) { put(float64(s.stats.SendQueues.Longest)) }),
	counter("sio_slow_consumers_total", "Clients that were closed because they did not read.", func(s *scrape, put emit) { put(float64(s.stats.SlowConsumers)) }),
	counter("sio_volatile_dropped_total", "Volatile events that sockets have missed.", func(s *scrape, put emit) { put(float64(s.stats.VolatileDropped)) }),
	gauge("sio_bus_state", "1 if the adapter's backend is reached, 0 if not.", func(s *scrape, put emit) { put(flag(s.health.Bus == adapter.Up.String())) }),
	counter("sio_bus_reconnects_total", "How often the backend was lost.", func(s *scrape, put emit) { put(float64(s.health.BusInterruptions)) }),
	counter("sio_bus_gaps_total", "Times in which messages of other nodes may have been missed.", func(s *scrape, put emit) { put(float64(s.health.BusGaps)) }),
	counter("sio_bus_stream_gaps_total", "How often a log had lost its oldest entries before they were read.", func(s *scrape, put emit) { put(float64(s.health.LogGaps)) }),
	counter("sio_bus_stream_resets_total", "How often a log was found empty, or another one.", func(s *scrape, put emit) { put(float64(s.health.LogResets)) }),
	counter("sio_bus_published_total", "Messages that were given to the adapter.", bus(func(b server.BusStats) uint64 { return b.Published }), "kind"),
	counter("sio_bus_received_total", "Messages that the adapter has brought.", bus(func(b server.BusStats) uint64 { return b.Received }), "kind"),
	counter("sio_bus_discarded_total", "Messages that concerned no socket of this node.", bus(func(b server.BusStats) uint64 { return b.Discarded }), "kind"),
	counter("sio_bus_dropped_total", "Messages that did not travel, or could not be carried out.", func(s *scrape, put emit) { each(withZeros(s.health.BusDropped, dropReasons), put) }, "reason"),
	gauge("sio_bus_subscriptions", "Channels of the backend that this node is subscribed to.", func(s *scrape, put emit) {
		each(withZeros(s.stats.BusSubscriptions, []string{"channel", "pattern"}), put)
	}, "kind"),
	counter("sio_forwarded_total", "Requests for sessions of other nodes, by what became of them.", func(s *scrape, put emit) {
		f := s.stats.Forwarding
		each(map[string]uint64{"answered": f.Forwarded, "relayed": f.Relayed, "unreachable": f.Unreachable, "full": f.Full}, put)
	}, "result"),
	gauge("sio_relays", "WebSockets that this node passes on for other nodes.", func(s *scrape, put emit) { put(float64(s.stats.Forwarding.Relays)) }),
	counter("sio_forward_admitted_total", "Requests that other nodes have sent to this one.", func(s *scrape, put emit) { put(float64(s.stats.Forwarding.Admitted)) }),
	counter("sio_forward_refused_total", "Requests that claimed to come from another node and were not good.", func(s *scrape, put emit) {
		each(withZeros(s.stats.Forwarding.Refused, forwardReasons), put)
	}, "reason"),
	gauge("sio_cluster_nodes", "Nodes that are known to live, this one included.", func(s *scrape, put emit) { put(float64(len(s.health.Nodes) + 1)) }),
	gauge("sio_drain_remaining", "Clients that a drain has not yet let go; 0 while none runs.", func(s *scrape, put emit) { put(float64(s.stats.Draining)) }),
	gauge("sio_build_info", "1; the labels say what runs.", func(_ *scrape, put emit) { put(1, version(), runtime.Version(), "5") }, "version", "go", "protocol"),
}

// The metrics of Collect that are not among all.
var (
	panicsDesc = prometheus.NewDesc("sio_handler_panics_total", "Panics, by the event whose handler it was.", []string{"event"}, nil)
	queuesDesc = prometheus.NewDesc("sio_send_queue_bytes", "Send queues, all of which each scrape observes.", nil, nil)
	lagDesc    = prometheus.NewDesc("sio_bus_lag_seconds", "How long a message to the backend and back takes.", nil, nil)
)

// dropReasons are those of server.Health.BusDropped.
var dropReasons = []string{"queue_full", "expired", "too_large", "malformed", "foreign", "unsigned", "refused"}

// forwardReasons are those of server.Forwarding.Refused.
var forwardReasons = []string{"malformed", "signature", "addressee", "time", "repeated"}

// withZeros returns values with a zero for each label that is missing: a counter that begins
// with its first event hides that event from rate().
func withZeros[V int | uint64](values map[string]V, labels []string) map[string]V {
	all := make(map[string]V, len(labels))
	for _, label := range labels {
		all[label] = 0
	}
	maps.Copy(all, values)
	return all
}

// each emits a map by its keys.
func each[K ~string, V int | int64 | uint64](values map[K]V, put emit) {
	for label, value := range values {
		put(float64(value), string(label))
	}
}

func bus(read func(server.BusStats) uint64) func(*scrape, emit) {
	return func(s *scrape, put emit) {
		for kind, b := range s.stats.Bus {
			put(float64(read(b)), kind)
		}
	}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// version returns that of this module, as far as the build tells.
func version() string {
	const module = "github.com/roomcast/roomcast"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			return cmp.Or(m.Version, "unknown")
		}
	}
	return "unknown"
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, p := range all {
		descs <- p.desc
	}
	descs <- panicsDesc
	descs <- queuesDesc
	descs <- lagDesc
	m.observed.each(func(c prometheus.Collector) { c.Describe(descs) })
}

// Collect implements prometheus.Collector. Before Attach there is nothing but what
// operations have added.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	m.observed.each(func(c prometheus.Collector) { c.Collect(metrics) })
	s := m.server.Load()
	if s == nil {
		return
	}
	now := &scrape{stats: s.Stats(), health: s.Health()}
	now.stats.Namespaces = m.boundNamespaces(now.stats.Namespaces)
	for _, p := range all {
		p.read(now, func(value float64, labels ...string) {
			metrics <- prometheus.MustNewConstMetric(p.desc, p.kind, value, labels...)
		})
	}
	m.collectPanics(now, metrics)
	metrics <- m.sampleQueues(now.stats.SendQueues)
	metrics <- lag(now.stats.BusRoundTrips)
}

// boundNamespaces sums up the namespaces that are too many for a label.
func (m *Metrics) boundNamespaces(all map[string]server.NamespaceStats) map[string]server.NamespaceStats {
	bounded := make(map[string]server.NamespaceStats, len(all))
	for name, n := range all {
		name = m.spaces.bounded(name)
		sum := bounded[name]
		sum.Sockets += n.Sockets
		sum.Rooms += n.Rooms
		bounded[name] = sum
	}
	return bounded
}

// collectPanics adds the panics that no event had.
func (m *Metrics) collectPanics(now *scrape, metrics chan<- prometheus.Metric) {
	m.mu.Lock()
	panics := maps.Clone(m.panics)
	m.mu.Unlock()
	panics[other] += now.stats.Panics - now.stats.EventPanics
	for event, n := range panics {
		metrics <- prometheus.MustNewConstMetric(panicsDesc, prometheus.CounterValue, float64(n), event)
	}
}

func lag(r adapter.RoundTrips) prometheus.Metric {
	within := make(map[float64]uint64, len(r.Within))
	for i, bound := range adapter.RoundTripBounds {
		within[bound.Seconds()] = r.Within[i]
	}
	return prometheus.MustNewConstHistogram(lagDesc, r.Count, r.Sum.Seconds(), within)
}

// samples is what all scrapes have seen of the send queues.
type samples struct {
	count  uint64
	sum    float64
	within map[float64]uint64
}

func newSamples() samples { return samples{within: make(map[float64]uint64)} }

// sampleQueues adds what this scrape sees.
func (m *Metrics) sampleQueues(q server.SendQueues) prometheus.Metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues.count += q.Sessions
	m.queues.sum += float64(q.Bytes)
	for bound, n := range q.Within {
		m.queues.within[float64(bound)] += n
	}
	return prometheus.MustNewConstHistogram(queuesDesc, m.queues.count, m.queues.sum, maps.Clone(m.queues.within))
}
