// Package admin serves what an operator asks of a node, on a listener of its own
// that the public never reaches: health, metrics, profiles, and what the cluster is
// doing. See docs/adr/0017-admin-listener.md for who may see and do what.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// MinTokenLength is the least length of Options.Token, in characters: it can be
// tried from everywhere that reaches the listener.
const MinTokenLength = 16

// Options configures the admin listener of one node.
type Options struct {
	// Server is the node. Required.
	Server *server.Server
	// Name is what people call the node. Default: its id.
	Name string
	// Token is the credential for actions, and off loopback for profiles. Empty:
	// there are no actions, and profiles only where the listener is on loopback.
	Token string
	// Metrics answers /metrics. Nil: there is no such page.
	Metrics http.Handler
	// Events counts the node's events for the cluster page. Nil: they are not counted.
	Events *Events
	// Drain begins to drain the node and to end it, and returns at once. Nil: that is no
	// action.
	Drain func()
	// Logger gets the log, every action and every wrong credential among it. Nil:
	// slog.Default().
	Logger *slog.Logger
}

// Admin is a running admin listener. All methods are safe for concurrent use.
type Admin struct {
	options  Options
	log      *slog.Logger
	loopback bool // only this machine reaches the listener
	addr     net.Addr
	http     http.Server
	serving  sync.WaitGroup

	started time.Time
	topic   *server.Namespace
	own     recent[nodeReport]

	mu      sync.Mutex
	err     error    // why serving ended by itself
	inquiry *inquiry // the newest; nil before the first
}

// Start serves on l, which it takes over. It fails, with l closed, for a Token that
// is too short. Shutdown ends what it has started.
func Start(l net.Listener, o Options) (*Admin, error) {
	if o.Token != "" && len(o.Token) < MinTokenLength {
		return nil, errors.Join(fmt.Errorf("admin: Token has fewer than %d characters", MinTokenLength), l.Close())
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Name == "" {
		o.Name = o.Server.NodeID()
	}
	a := &Admin{options: o, log: o.Logger, addr: l.Addr(), loopback: isLoopback(l.Addr()), started: time.Now()}
	a.joinCluster()
	a.http = http.Server{Handler: a.handler(), ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug)}
	server.ConfigureHTTP(&a.http)
	a.serving.Go(func() {
		if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("admin listener ended", "error", err)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.err = fmt.Errorf("admin: serve: %w", err)
		}
	})
	return a, nil
}

// Addr returns where the listener is.
func (a *Admin) Addr() net.Addr { return a.addr }

// Shutdown stops listening, lets requests finish until ctx ends, and cuts off those
// that have not. It returns an error if it had to, or if serving had ended by itself.
func (a *Admin) Shutdown(ctx context.Context) error {
	err := a.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("admin: shutdown: %w", err), a.http.Close())
	}
	a.serving.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(err, a.err)
}

// handler has all pages. The patterns name methods: "GET" answers HEAD too.
func (a *Admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", a.live)
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("GET /debug/nodes", a.nodes)
	mux.HandleFunc("GET /debug/sockets", a.listSockets)
	mux.HandleFunc("POST /actions", a.act)
	mux.HandleFunc("POST /credential", a.checkCredential)
	if a.options.Metrics != nil {
		mux.Handle("GET /metrics", a.options.Metrics)
	}
	a.profiles(mux)
	a.page(mux)
	// Browsers say which site a request comes from; what changes something is refused
	// to all but our own.
	return a.guard(http.NewCrossOriginProtection().Handler(mux))
}
