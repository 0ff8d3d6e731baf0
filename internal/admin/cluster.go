package admin

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// Topic is the namespace in which admin listeners ask each other. Clients are told that
// it does not exist.
const Topic = "/roomcast-admin"

// The events that nodes send each other there.
const (
	askReport  = "report"
	askSockets = "sockets"
	askAction  = "action"
)

// askTimeout is how long the other nodes may take: a page is waiting.
const askTimeout = 2 * time.Second

// overviewAge is how old an overview may be, so that many who look cost as much as one.
const overviewAge = time.Second

// joinCluster makes this node answer the others. Without a credential of its own it does
// nothing that they ask: switching actions off has to hold for all ways to them.
func (a *Admin) joinCluster() {
	a.topic = a.options.Server.Of(Topic)
	a.topic.Use(func(context.Context, *server.Socket) error {
		return &server.ConnectError{Message: "Invalid namespace"}
	})
	server.HandleServerSide(a.topic, askReport, func(context.Context, server.Args) (nodeReport, error) {
		return a.own.get(a.report), nil
	})
	server.HandleServerSide(a.topic, askSockets, func(_ context.Context, q socketQuery) (socketList, error) {
		return a.sockets(q), nil
	})
	if a.options.Token != "" {
		server.HandleServerSide(a.topic, askAction, func(ctx context.Context, act action) (outcome, error) {
			return a.serveAction(ctx, act), nil
		})
	}
}

// overview is the answer of /debug/nodes.
type overview struct {
	// Node is the id of the node that was asked.
	Node  string       `json:"node"`
	Nodes []nodeReport `json:"nodes"`
	// Silent are the ids of live nodes that have not answered: they were too slow, or have
	// no admin listener.
	Silent []string `json:"silent"`
	// AskedMillis is how long it took to hear all nodes, in milliseconds.
	AskedMillis float64 `json:"askedMillis"`
}

// inquiry is an overview in the making.
type inquiry struct {
	began time.Time
	done  chan struct{}
	// result is set when done is closed.
	result overview
}

// lookAround returns an overview that is not older than overviewAge: the one that
// somebody else is waiting for, or one of its own.
func (a *Admin) lookAround(ctx context.Context) (overview, error) {
	a.mu.Lock()
	q := a.inquiry
	if q == nil || time.Since(q.began) > overviewAge {
		q = &inquiry{began: time.Now(), done: make(chan struct{})}
		a.inquiry = q
		detached := context.WithoutCancel(ctx) // others wait for it too
		a.serving.Go(func() {
			defer close(q.done)
			q.result = a.askAll(detached)
		})
	}
	a.mu.Unlock()
	select {
	case <-q.done:
		return q.result, nil
	case <-ctx.Done():
		return overview{}, context.Cause(ctx)
	}
}

// askAll asks every node how it is.
func (a *Admin) askAll(ctx context.Context) overview {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	began := time.Now()
	reports, err := server.CallServers[nodeReport](ctx, a.topic, askReport)
	o := overview{Node: a.options.Server.NodeID(), AskedMillis: float64(time.Since(began).Microseconds()) / 1000, Silent: []string{}}
	if err != nil {
		a.log.LogAttrs(ctx, slog.LevelDebug, "nodes did not answer the admin listener", slog.Any("error", err))
	}
	o.Nodes = append(reports, a.own.get(a.report))
	slices.SortFunc(o.Nodes, func(x, y nodeReport) int { return strings.Compare(x.Name+x.ID, y.Name+y.ID) })
	for _, id := range a.options.Server.Health().Nodes {
		if !slices.ContainsFunc(o.Nodes, func(r nodeReport) bool { return r.ID == id }) {
			o.Silent = append(o.Silent, id)
		}
	}
	return o
}

// nodes answers with what all nodes say of themselves.
func (a *Admin) nodes(w http.ResponseWriter, r *http.Request) {
	o, err := a.lookAround(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer(w, http.StatusOK, o)
}
