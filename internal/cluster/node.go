package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// membersTopic is where nodes greet, send heartbeats and say goodbye. Namespaces
// begin with a slash, so none has this name.
const membersTopic = "members"

// Node is this process's membership of the cluster. It is safe for concurrent use.
type Node struct {
	id       adapter.NodeID
	options  Options
	started  time.Time
	identity atomic.Pointer[identity]
	members  members
	calls    calls
	link     adapter.Link // of membersTopic

	heartbeat heartbeat
	strangers strangers
	traffic   traffic
	awaiting  atomic.Int64    // requests whose owner nobody has heard of
	ctx       context.Context // ends when Close begins
	stop      context.CancelFunc
	running   sync.WaitGroup // heartbeat's goroutine

	mu       sync.Mutex
	topics   map[*Topic]struct{}
	suffixes []string // of all tags that ids on this node may end in
	closed   bool
}

// identity is a tag in both of its forms.
type identity struct {
	tag    uint32
	suffix string
}

// Start makes this process a node: it draws an id and a tag, joins the others and
// greets them. It waits for the adapter no longer than ctx and JoinTimeout. A
// backend that is away (adapter.ErrDegraded) is no failure: the node greets when
// it comes. Start fails with ErrNoRecovery if Options.Recovery is set and the adapter
// is no adapter.RecoveryStore. Close ends what Start has started; the end of ctx does not.
func Start(ctx context.Context, o Options) (*Node, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("cluster: draw a node id: %w", err)
	}
	n := &Node{
		id:        adapter.NodeID(id.String()),
		options:   o,
		started:   time.Now(),
		heartbeat: newHeartbeat(),
		topics:    make(map[*Topic]struct{}),
	}
	n.take(drawTag(func(uint32) bool { return false }))
	n.ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.enter(ctx); err != nil {
		n.stop()
		return nil, err
	}
	n.running.Go(n.run)
	return n, nil
}

// enter joins the members' topic and says hello.
func (n *Node) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.options.JoinTimeout)
	defer cancel()
	link, err := n.options.Adapter.Join(ctx, membersTopic, n.id, n.receive)
	if link == nil {
		return fmt.Errorf("cluster: join the members: %w", err)
	}
	if err != nil {
		n.heartbeat.away = true
		n.options.Logger.Warn("cluster: starting without the other nodes", "error", err)
	}
	n.link = link
	n.say(ctx, adapter.KindHello, "")
	return nil
}

// ID names this node. Ids are drawn by Start, never reused, and sort by time.
func (n *Node) ID() adapter.NodeID { return n.id }

// Tag is the 24-bit number that ends the ids of this node's sockets and sessions.
// It changes if an older member turns out to have the same one, so it is to be
// read for each id.
func (n *Node) Tag() uint32 { return n.identity.Load().tag }

// TagSuffix is Tag as the last four characters of an id, in URL-safe base64.
func (n *Node) TagSuffix() string { return n.identity.Load().suffix }

// Members returns the other live nodes, sorted by id. Their lists of namespaces
// are not to be changed.
func (n *Node) Members() []Member { return n.members.list() }

// Status says whether the backend is reached. An adapter that does not report is
// up, and so is a node without one.
func (n *Node) Status() adapter.Status {
	if r, ok := n.options.Adapter.(adapter.Reporter); ok {
		return r.Status()
	}
	return adapter.Status{State: adapter.Up, Since: n.started}
}

// Close says goodbye, so that the others give this node up at once, ends calls with
// ErrClosed, closes all topics and waits for what the node has started, no longer than ctx for each of
// them. Closing twice is harmless; each call waits.
func (n *Node) Close(ctx context.Context) error {
	n.mu.Lock()
	first := !n.closed
	n.closed = true
	topics := make([]*Topic, 0, len(n.topics))
	for t := range n.topics {
		topics = append(topics, t)
	}
	n.mu.Unlock()

	n.stop()
	n.running.Wait()
	if first {
		n.say(ctx, adapter.KindGoodbye, "")
	}
	var errs []error
	for _, t := range topics {
		errs = append(errs, t.link.Close(ctx))
	}
	errs = append(errs, n.link.Close(ctx))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cluster: close: %w", err)
	}
	return nil
}
