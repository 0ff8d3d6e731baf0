package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/roomcast/roomcast/internal/cluster"
	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/internal/router"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Server is a Socket.IO server: one node of a cluster. It is an http.Handler, to
// be mounted under "/socket.io/", where clients look for it. All methods are safe
// for concurrent use.
type Server struct {
	options  Options
	limits   packet.Limits
	log      *slog.Logger
	base     context.Context // of handlers; it never ends, the sockets' own do
	life     context.Context // of what concerns no socket; it ends when Shutdown has closed the sockets
	end      context.CancelCauseFunc
	engine   *engine.Engine
	cluster  *cluster.Node
	router   *router.Router // nil without Options.ClusterSecret
	fanout   *fanout
	tasks    *tasks
	observer *Observer // nil if nobody wants to know of operations
	counters counters

	undeliverable atomic.Uint64 // messages of other nodes that were dropped here
	recoveries    recoveries
	turns         turns        // of clients that recover
	doorway       doorway      // of clients that come back
	silences      silences     // of nodes that were asked for their sockets
	client        *clientFiles // nil without Options.Client
	unobserve     func()       // ends what observe began
	renewing      sync.Once    // renewRecords has begun
	outage        outage
	drain         drain

	closing atomic.Bool // no new clients; those that are here are being closed
	closed  atomic.Bool // nothing can be emitted any more

	mu         sync.RWMutex
	namespaces map[string]*Namespace
	patterns   []*Namespace
	dynamic    int // namespaces that belong to a pattern
}

// New returns a server that is ready to be mounted. It fails for options that
// contradict each other, naming the field. With an adapter whose backend is away
// it succeeds: the node serves its own clients and joins the others later. It
// waits for the backend for 2 s at most. The namespace "/" exists from the start.
func New(options Options) (*Server, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	signer, err := options.newSigner()
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s := &Server{
		options: options, log: options.Logger, base: context.Background(), tasks: newTasks(), turns: newTurns(),
		namespaces: make(map[string]*Namespace), drain: drain{over: make(chan struct{})},
		limits: packet.Limits{
			MaxAttachments: options.MaxAttachments, MaxAttachmentBytes: options.MaxAttachmentBytes, MaxDepth: options.MaxJSONDepth,
		},
	}
	if o := options.Observer; o != nil && (o.Begin != nil || o.End != nil) {
		s.observer = o
	}
	s.doorway.tasks = s.tasks
	s.life, s.end = context.WithCancelCause(s.base)
	s.fanout = newFanout()
	e, err := engine.New(s.engineOptions(), s.newConnection)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.engine = e
	if options.Client != nil {
		s.client = newClientFiles(options.Client, e)
	}
	s.unobserve = s.observe()
	s.cluster, err = cluster.Start(s.base, withSigner(cluster.Options{
		Adapter: options.Adapter, Logger: options.Logger,
		HeartbeatInterval: options.HeartbeatInterval, HeartbeatTimeout: options.HeartbeatTimeout,
		RequestTimeout: options.RequestTimeout, Recovery: options.retention(), Application: options.Application,
	}, signer))
	if err != nil {
		s.unobserve()
		return nil, fmt.Errorf("server: %w", errors.Join(err, e.Close(s.base), s.tasks.dismiss(s.base)))
	}
	s.router = s.newRouter(signer)
	s.Of(packet.DefaultNamespace)
	if options.MaxConnectionAge > 0 {
		s.tasks.Go(s.retire)
	}
	return s, nil
}

// ServeHTTP serves one request of a client: a handshake, a poll, a post or an
// upgrade to WebSocket. With Options.Client it also serves the client's files.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.client != nil && s.client.serve(w, r) {
		return
	}
	if r = s.admit(w, r); r != nil {
		s.engine.ServeHTTP(w, r)
	}
}

// ConfigureHTTP sets the limits of an http.Server that a server needs against
// hostile clients, where they are not set: ReadHeaderTimeout 10 s, IdleTimeout
// 60 s, MaxHeaderBytes 16 KiB. Call it before the http.Server serves.
func ConfigureHTTP(h *http.Server) { engine.ConfigureServer(h) }

// Listen is net.Listen, made for crowds: on Linux a connection is accepted when its client
// has sent something, or after a second, so that those of a crowd that wait for their turn
// have neither goroutine nor buffers, and the node's memory does not grow with them. It is
// for protocols in which the client speaks first, as HTTP and TLS. ctx bounds only how long
// Listen itself takes. It fails as net.ListenConfig.Listen does.
func Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return engine.Listen(ctx, network, address)
}

// withPatience bounds ctx by RequestTimeout if it has no deadline.
func (s *Server) withPatience(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, s.options.RequestTimeout)
}

// NodeID returns the id of this node in its cluster; a restarted process has
// another one.
func (s *Server) NodeID() string { return string(s.cluster.ID()) }

// newID returns the id of a socket: 96 random bits, then the node's tag.
func (s *Server) newID() string {
	var id [15]byte
	_, _ = rand.Read(id[:12]) // it never fails
	tag := s.cluster.Tag()
	id[12], id[13], id[14] = byte(tag>>16), byte(tag>>8), byte(tag)
	return base64.URLEncoding.EncodeToString(id[:])
}

// Shutdown ends the server at once; Drain is gentler. It refuses new clients, closes all connections
// without telling the clients to stay away (so that they reconnect elsewhere),
// waits for handlers, and leaves the cluster. Sockets get ServerShutdown. What
// was emitted before is sent first, but to a client that polls only if its request
// waits. Shutdown waits no longer than ctx and then returns an error that wraps
// ctx's; handlers that ignore their context may then still run, and another call
// goes on waiting for them.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	sent := s.fanout.flush(ctx)
	passed := s.closeRouter(ctx)
	left := s.engine.Close(ctx)
	s.end(ErrServerClosed)
	handled := s.tasks.wait(ctx) // the handlers of OnDisconnect may still emit to other nodes
	s.closed.Store(true)
	errs := []error{sent, passed, left, handled, s.fanout.tasks.dismiss(ctx), s.cluster.Close(ctx)}
	s.tasks.Go(s.unobserve) // waits for the observer, and Shutdown no longer than ctx
	if err := errors.Join(append(errs, s.tasks.dismiss(ctx))...); err != nil {
		return fmt.Errorf("server: shutdown: %w", err)
	}
	return nil
}
