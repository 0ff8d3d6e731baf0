package metrics

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/roomcast/roomcast/pkg/server"
)

// Options configures Metrics. The zero value is a good choice.
type Options struct {
	// Events are the names of events that have a label of their own although the server has
	// no handler for them, such as those that it only emits. An event that has a handler
	// needs no mention; all others are called "other".
	Events []string
}

// Metrics is what Prometheus gets to know of one server. It is a prometheus.Collector and
// safe for concurrent use.
type Metrics struct {
	server   atomic.Pointer[server.Server] // nil before Attach
	events   names
	spaces   names
	listed   map[string]struct{}
	observed vectors

	mu     sync.Mutex
	panics map[string]uint64 // by event
	queues samples
}

// vectors are the metrics that operations add to.
type vectors struct {
	received, sent        *prometheus.CounterVec
	handled, acknowledged *prometheus.HistogramVec
	asked                 *prometheus.HistogramVec
	partial               *prometheus.CounterVec
}

func (v *vectors) each(f func(prometheus.Collector)) {
	for _, c := range []prometheus.Collector{v.received, v.sent, v.handled, v.acknowledged, v.asked, v.partial} {
		f(c)
	}
}

// New returns Metrics of a server that is yet to be made.
func New(o Options) *Metrics {
	m := &Metrics{listed: make(map[string]struct{}), panics: make(map[string]uint64), queues: newSamples()}
	for _, event := range o.Events {
		m.listed[event] = struct{}{}
	}
	byEvent := []string{"namespace", "event"}
	m.observed = vectors{
		received:     counters("sio_events_received_total", "Events of clients that were handled.", byEvent),
		sent:         counters("sio_events_sent_total", "Events that were sent to this node's sockets, once for each.", byEvent),
		handled:      seconds("sio_handler_duration_seconds", "How long the handlers of an event took.", byEvent),
		acknowledged: seconds("sio_ack_duration_seconds", "How long Call and CallAll waited for acknowledgements.", byEvent),
		asked:        seconds("sio_cluster_request_duration_seconds", "How long requests to other nodes took.", []string{"op"}),
		partial:      counters("sio_cluster_request_partial_total", "Requests to other nodes that not all of them answered.", []string{"op"}),
	}
	for _, op := range []string{"join", "leave", "disconnect", "fetch", "rooms", "event", "call", "release"} {
		m.observed.asked.WithLabelValues(op)
		m.observed.partial.WithLabelValues(op)
	}
	return m
}

func counters(name, help string, labels []string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func seconds(name, help string, labels []string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, labels)
}

// Observer returns what tells m of a server's operations. It is for one server, the one of
// Attach; server.JoinObservers combines it with others.
func (m *Metrics) Observer() *server.Observer {
	return &server.Observer{End: m.end}
}

// Attach has scrapes ask s, which was made with m's Observer.
func (m *Metrics) Attach(s *server.Server) { m.server.Store(s) }

// Handler returns what serves m, and metrics of the Go runtime and of the process, to
// Prometheus.
func (m *Metrics) Handler() http.Handler {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r})
}

// end takes what an operation was.
func (m *Metrics) end(_ context.Context, o *server.Operation) {
	switch o.Kind {
	case server.OperationEvent:
		namespace, event := m.spaces.bounded(o.Namespace), m.event(o)
		m.observed.received.WithLabelValues(namespace, event).Inc()
		m.observed.handled.WithLabelValues(namespace, event).Observe(o.Duration.Seconds())
		if o.Panicked {
			m.mu.Lock()
			m.panics[event]++
			m.mu.Unlock()
		}
	case server.OperationEmit, server.OperationDeliver:
		m.count(o)
	case server.OperationCall:
		m.count(o)
		if o.Err == nil {
			m.observed.acknowledged.WithLabelValues(m.spaces.bounded(o.Namespace), m.event(o)).Observe(o.Duration.Seconds())
		}
	case server.OperationRequest:
		m.observed.asked.WithLabelValues(o.Action).Observe(o.Duration.Seconds())
		if partial := (*server.PartialError)(nil); errors.As(o.Err, &partial) {
			m.observed.partial.WithLabelValues(o.Action).Inc()
		}
	}
}

// count counts what was sent.
func (m *Metrics) count(o *server.Operation) {
	if o.Receivers > 0 {
		m.observed.sent.WithLabelValues(m.spaces.bounded(o.Namespace), m.event(o)).Add(float64(o.Receivers))
	}
}

// event returns the label of an event.
func (m *Metrics) event(o *server.Operation) string {
	if _, listed := m.listed[o.Event]; listed || o.Registered {
		return m.events.bounded(o.Event)
	}
	return other
}

// other is the label of whatever has none of its own.
const other = "other"

// maxNames bounds the values of a label.
const maxNames = 1000

// names are the values that a label has had. It is safe for concurrent use.
type names struct {
	mu    sync.RWMutex
	known map[string]struct{}
}

// bounded returns name, or other when there are too many already.
func (n *names) bounded(name string) string {
	n.mu.RLock()
	_, known := n.known[name]
	n.mu.RUnlock()
	if known {
		return name
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.known[name]; known {
		return name
	}
	if len(n.known) >= maxNames {
		return other
	}
	if n.known == nil {
		n.known = make(map[string]struct{})
	}
	n.known[name] = struct{}{}
	return name
}
