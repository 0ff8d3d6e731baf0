package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/server"
)

// balancer is an HTTP load balancer for the demo: it deals each request to the next
// node, whoever it is from.
type balancer struct {
	listener net.Listener
	path     string // of the Socket.IO endpoint
	nodes    []*url.URL
	proxy    *httputil.ReverseProxy
	http     *http.Server

	sessions atomic.Uint64 // requests for a new session, which have their own turn
	others   atomic.Uint64
	serving  sync.WaitGroup // the server, and the connections that became WebSockets
}

// newBalancer makes a balancer on a listener, which it takes over.
func newBalancer(l net.Listener, path string, nodes []*node, log *slog.Logger) *balancer {
	b := &balancer{listener: l, path: path}
	for _, n := range nodes {
		b.nodes = append(b.nodes, &url.URL{Scheme: "http", Host: reachable(n.listener.Addr().(*net.TCPAddr))})
	}
	quiet := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	b.proxy = &httputil.ReverseProxy{
		Rewrite:   b.rewrite,
		Transport: &http.Transport{MaxIdleConnsPerHost: maxIdleConns},
		ErrorLog:  quiet,
	}
	b.http = &http.Server{Handler: b, ErrorLog: quiet}
	server.ConfigureHTTP(b.http)
	return b
}

// maxIdleConns is how many connections to a node are kept for the next requests.
const maxIdleConns = 64

// rewrite sends a request to the node whose turn it is.
func (b *balancer) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(b.next(r.In))
	r.SetXForwarded()
	r.Out.Host = r.In.Host
}

// next is the node whose turn it is. New sessions are dealt among themselves, so that
// two tabs are on two nodes, however many files each page has loaded.
func (b *balancer) next(r *http.Request) *url.URL {
	turn := &b.others
	if strings.HasPrefix(r.URL.Path, b.path) && !r.URL.Query().Has("sid") {
		turn = &b.sessions
	}
	return b.nodes[(turn.Add(1)-1)%uint64(len(b.nodes))]
}

// ServeHTTP passes a request on, and a WebSocket until it ends.
func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.serving.Add(1)
	defer b.serving.Done()
	b.proxy.ServeHTTP(w, r)
}

// start serves until stop. fail is called when serving ends by itself.
func (b *balancer) start(fail context.CancelCauseFunc) {
	b.serving.Go(func() {
		if err := b.http.Serve(b.listener); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("balancer: %w", err))
		}
	})
}

// stop ends the balancer, after its nodes have: they end the WebSockets that it carries.
func (b *balancer) stop() error {
	err := b.http.Close()
	b.serving.Wait()
	b.proxy.Transport.(*http.Transport).CloseIdleConnections()
	return err
}
