package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/roomcast/roomcast/internal/admin"
	"github.com/roomcast/roomcast/pkg/adminui"
	"github.com/roomcast/roomcast/pkg/metrics"
	"github.com/roomcast/roomcast/pkg/server"
)

const (
	// stopTimeout bounds the stop of a node beyond its drain: with what the process itself
	// takes it is less than 5 s.
	stopTimeout = 4500 * time.Millisecond
	// requestTimeout bounds what requests may take that are left then, of pages or of
	// clients that have not yet said what they want.
	requestTimeout = 500 * time.Millisecond
	// forwardTimeout bounds what requests for other nodes' sessions may take that this node
	// has when it stops listening.
	forwardTimeout = 1500 * time.Millisecond
)

// node is one running server: its listener, its HTTP server and its chat.
type node struct {
	name     string
	listener net.Listener
	path     string
	server   *server.Server
	metrics  *metrics.Metrics
	events   *admin.Events
	bus      *bus
	admin    *admin.Admin // nil without an admin listener
	ui       *adminui.UI  // nil unless the official admin UI may connect
	log      *slog.Logger

	http    *http.Server
	end     context.CancelFunc
	running sync.WaitGroup
}

// newNode makes a node on a listener, which it takes over. ui may be nil.
func newNode(name string, l net.Listener, f *serverFlags, b *bus, ui *adminui.UI, log *slog.Logger) (*node, error) {
	options := f.options(log)
	m := metrics.New(metrics.Options{Events: chatEvents})
	events := &admin.Events{}
	observers := []*server.Observer{m.Observer(), events.Observer()}
	if ui != nil {
		observers = append(observers, ui.Observer())
	}
	n := &node{name: name, listener: l, path: f.Endpoint.Path, metrics: m, events: events, ui: ui, bus: b, log: log}
	options.Adapter, options.Observer = b.adapter, server.JoinObservers(observers...)
	options.Drained = func(ctx context.Context) { _ = n.closeWeb(ctx, forwardTimeout) } // what is left then is cut off, and stop says so
	s, err := server.New(options)
	if err != nil {
		return nil, errors.Join(err, l.Close(), b.close())
	}
	n.server = s
	m.Attach(s)
	return n, nil
}

// port is where the node listens.
func (n *node) port() int { return n.listener.Addr().(*net.TCPAddr).Port }

// start serves the Socket.IO endpoint, and the chat page for all the rest. nodes
// are those that the page links to, this one among them. fail is called when
// serving ends by itself.
func (n *node) start(nodes []pageNode, fail context.CancelCauseFunc) error {
	pages, err := page{Node: n.name, Nodes: nodes, Path: n.path}.handler()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(n.path, n.server)
	mux.Handle("/", pages)
	n.http = &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)}
	server.ConfigureHTTP(n.http)

	ctx, end := context.WithCancel(context.Background())
	n.end = end
	c := mountChat(n.server.Of("/"), n.name, n.log)
	n.running.Go(func() { c.run(ctx) })
	if n.ui != nil {
		n.ui.Attach(n.server)
		n.running.Go(func() { n.ui.Run(ctx) })
	}
	n.running.Go(func() {
		if err := n.http.Serve(n.listener); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("serve: %w", err))
		}
	})
	return nil
}

// stop ends the node in order: nobody new is let in and clients are let go over window,
// the listener closes, the bus closes. It waits for all that was started.
func (n *node) stop(window time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), window+stopTimeout)
	defer cancel()
	err := n.server.Drain(ctx, window)
	if n.http == nil {
		return errors.Join(err, n.listener.Close(), n.stopAdmin(ctx), n.bus.close())
	}
	if slow := n.closeWeb(ctx, requestTimeout); slow != nil {
		n.log.Warn("requests were cut off", "error", slow)
		err = errors.Join(err, n.http.Close())
	}
	n.end()
	n.running.Wait()
	return errors.Join(err, n.stopAdmin(ctx), n.bus.close())
}

// closeWeb ends the public listener, and waits for the requests that it has brought.
func (n *node) closeWeb(ctx context.Context, timeout time.Duration) error {
	if n.http == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return n.http.Shutdown(ctx)
}

// stopAdmin ends the admin listener, last: until then it says that the node is not ready.
func (n *node) stopAdmin(ctx context.Context) error {
	if n.admin == nil {
		return nil
	}
	return n.admin.Shutdown(ctx)
}
