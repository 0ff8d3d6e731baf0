// Package metrics tells Prometheus what a server of package server does: its clients,
// events, queues, limits, and its part of the cluster.
//
// New returns Metrics: its Observer goes into server.Options, and Attach gives it the server
// that was made with it. It is a prometheus.Collector, to be registered where the program's
// other metrics are; Handler serves it where there are none.
//
//	m := metrics.New(metrics.Options{Events: []string{"said"}})
//	srv, err := server.New(server.Options{Observer: m.Observer()})
//	m.Attach(srv)
//	http.Handle("/metrics", m.Handler())
//
// No label has a value that a client can choose: see Options. docs/operations.md lists the
// metrics and says what to do when they look bad.
package metrics
