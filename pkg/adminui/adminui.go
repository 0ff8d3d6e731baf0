package adminui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/internal/loglimit"
	"github.com/roomcast/roomcast/pkg/server"
)

// MinPasswordLength is the least length of Options.Password, in characters: every client
// that reaches the server can try one, though of each address, and of all together, only few
// in a time.
const MinPasswordLength = 16

// Options configures a UI.
type Options struct {
	// Username and Password are what has to be typed into the page. Both are required, and
	// the same on all nodes. Password has MinPasswordLength characters or more.
	Username, Password string
	// ReadOnly leaves out all actions: emitting, joining and leaving rooms, disconnecting.
	ReadOnly bool
	// Development also shows every socket, room and event, up to 1,000 sockets of a node and
	// 500 events in two seconds. The page then shows what clients send and what the program
	// has attached to them. Only for clusters with few clients.
	Development bool
	// Namespace is where the page connects. Default "/admin".
	Namespace string
	// Hidden are names of namespaces that are not shown.
	Hidden []string
	// ServerID tells nodes apart; nodes with the same one look like one. Default: host name,
	// process id and the end of the node's id.
	ServerID string
	// Logger gets the log, every action and at most ten refused logins a second among it.
	// Nil: slog.Default().
	Logger *slog.Logger
}

// UI serves the official admin UI on one node. All methods are safe for concurrent use.
type UI struct {
	options Options
	log     *slog.Logger
	refused *slog.Logger // of logins, which clients can make as many of as they like
	events  counter
	started time.Time

	server   *server.Server
	ns       *server.Namespace
	attempts attempts
	asked    atomic.Int64 // when somebody was last known to look, in Unix nanoseconds
	looks    chan look
	feed     *feed // nil without Development
}

// New returns a UI that waits for its server. It fails for missing or short credentials.
func New(o Options) (*UI, error) {
	switch {
	case o.Username == "":
		return nil, errors.New("adminui: Username is missing")
	case len(o.Password) < MinPasswordLength:
		return nil, fmt.Errorf("adminui: Password has fewer than %d characters", MinPasswordLength)
	}
	o.Namespace = cmp.Or(o.Namespace, "/admin")
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	u := &UI{options: o, log: o.Logger, started: time.Now(), looks: make(chan look)}
	u.refused = slog.New(loglimit.New(o.Logger.Handler(), refusalsLogged))
	if o.Development {
		u.feed = newFeed()
	}
	return u, nil
}

// Observer returns what counts the node's events. It has to be, perhaps with
// server.JoinObservers, in the options of the server that Attach gets.
func (u *UI) Observer() *server.Observer { return &server.Observer{End: u.events.count} }

// Attach lets pages connect to s, and must be called once, before Run.
func (u *UI) Attach(s *server.Server) {
	u.server, u.ns = s, s.Of(u.options.Namespace)
	if u.options.ServerID == "" {
		u.options.ServerID = serverID(s)
	}
	u.ns.Use(u.authenticate)
	u.ns.OnConnect(u.greet)
	server.OnServerSide(u.ns, eventLook, func(context.Context, struct{}) error {
		u.asked.Store(time.Now().UnixNano())
		return nil
	})
	if u.options.Development {
		server.HandleServerSide(u.ns, eventDescribe, u.describe)
	}
	if !u.options.ReadOnly {
		u.registerCommands()
	}
}

// Run reports to the pages until ctx ends. It must be called once, after Attach; pages stay
// connected after it, and hear nothing more.
func (u *UI) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last totals
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-u.looks:
			u.feed.follow(u)
			q.answer <- u.feed.sockets()
			tick.Reset(every)
		case <-tick.C:
			last = u.report(ctx, last)
		}
	}
}

// serverID is different for each node, and tells a person where it is.
func serverID(s *server.Server) string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	id := s.NodeID()
	return fmt.Sprintf("%s#%d#%s", host, os.Getpid(), id[max(0, len(id)-8):])
}

// The features that the page offers as the server names them.
var (
	actionFeatures = []string{"EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"}
	totalsFeature  = "AGGREGATED_EVENTS"
	eventsFeature  = "ALL_EVENTS"
)

// config tells the page what it can show and do.
type config struct {
	SupportedFeatures []string `json:"supportedFeatures"`
}

func (u *UI) config() config {
	features := []string{totalsFeature}
	if !u.options.ReadOnly {
		features = append(features, actionFeatures...)
	}
	if u.options.Development {
		features = append(features, eventsFeature)
	}
	return config{SupportedFeatures: features}
}

// greet gives a page that has connected what it begins with.
func (u *UI) greet(ctx context.Context, s *server.Socket) error {
	var c credentials
	if err := s.Handshake().DecodeAuth(&c); err == nil && u.isLogin(c) {
		if err := s.Emit("session", u.newSession(time.Now())); err != nil {
			return err
		}
	}
	if err := s.Emit("config", u.config()); err != nil {
		return err
	}
	u.look(ctx)
	stats, _ := u.stats(nil)
	if err := s.Emit("server_stats", stats); err != nil {
		return err
	}
	if u.options.Development {
		return s.Emit("all_sockets", u.allSockets(ctx))
	}
	return nil
}
