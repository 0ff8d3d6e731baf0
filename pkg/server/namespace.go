package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/internal/cluster"
	"github.com/roomcast/roomcast/internal/room"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// emptyNamespaceLife is how long a dynamic namespace without sockets is kept, so
// that a client that comes and goes does not rebuild it each time.
const emptyNamespaceLife = 60 * time.Second

// leaveTimeout bounds the wait for the adapter when an empty namespace is removed.
const leaveTimeout = 5 * time.Second

// Namespace is an independent conversation that clients join over their one
// connection. Server.Of makes one by name; Server.OfFunc makes a pattern, whose
// handlers serve every namespace that its function accepts. All methods are safe
// for concurrent use. What is registered concerns clients that connect from then
// on, and events that arrive from then on. See Socket.IO v5, "Namespaces".
type Namespace struct {
	server   *Server
	name     string
	pattern  *pattern  // of which it is a child, or the pattern itself; nil for a static namespace
	handlers *handlers // shared with the pattern's other children

	ready     chan struct{} // closed when topic is set
	topic     *cluster.Topic
	sockets   room.Set[*Socket]
	rooms     *room.Index[*Socket]
	interest  interest
	ackIDs    atomic.Uint64
	events    serial   // of other nodes that want no answer
	callsHere parallel // events of other nodes that want one
	fetches   serial   // descriptions that other nodes want
	releases  parallel // sockets whose clients have come back elsewhere
	outgoing  serial   // what OnAnyOutgoing is to see of other nodes' broadcasts

	returns    bool                 // broadcasts of this node come back by the link, and are served then
	fence      *fence               // nil unless they take a while for that
	log        adapter.RecoveryLink // nil without recovery
	keeper     *keeper              // nil unless records outlive this node
	delivering sync.Mutex           // held while receivers of a broadcast of the log are resolved
	delivered  string               // the last offset that was delivered
	expected   []*Socket            // who waits for deliveries, by their offset; guarded by delivering

	mu     sync.Mutex
	users  int         // sockets of a dynamic namespace, also those that are connecting
	expiry *time.Timer // ends a dynamic namespace that stays without them
}

// pattern is what OfFunc registered.
type pattern struct {
	match func(ctx context.Context, name string, h *Handshake) bool
	label atomic.Pointer[string]

	mu       sync.Mutex
	children map[string]*Namespace
}

func newNamespace(s *Server, name string, h *handlers, p *pattern) *Namespace {
	return &Namespace{
		server: s, name: name, handlers: h, pattern: p,
		ready: make(chan struct{}), rooms: room.New[*Socket](),
	}
}

// Name returns the namespace's name, such as "/chat"; a pattern has none.
func (n *Namespace) Name() string { return n.name }

// Labeled names a pattern for metrics and traces, where its namespaces, whose names clients
// choose, would be too many: all are called label. The default is "dynamic". It returns n. A
// namespace that is no pattern is called by its own name, and so Labeled does nothing there.
func (n *Namespace) Labeled(label string) *Namespace {
	if n.pattern != nil {
		n.pattern.label.Store(&label)
	}
	return n
}

// label is what the namespace is called in metrics and traces.
func (n *Namespace) label() string {
	if n.pattern == nil {
		return n.name
	}
	if label := n.pattern.label.Load(); label != nil {
		return *label
	}
	return "dynamic"
}

// isPattern says whether n stands for its children.
func (n *Namespace) isPattern() bool { return n.name == "" }

// Use adds a middleware: it runs before a client is connected, in the order of
// registration, and refuses the client by returning an error: a *ConnectError
// reaches the client with its message and data, any other error as "internal
// error". The socket may join rooms there, but not emit. ctx ends when the client goes.
func (n *Namespace) Use(middleware func(ctx context.Context, s *Socket) error) {
	n.handlers.update(func(r *registry) { r.middlewares = appendCopy(r.middlewares, middleware) })
}

// OnConnect adds a handler that runs when a client has connected, before its
// first event. An error is logged and disconnects the socket, whose events are
// then not handled.
func (n *Namespace) OnConnect(handle func(ctx context.Context, s *Socket) error) {
	n.handlers.update(func(r *registry) { r.connect = appendCopy(r.connect, handle) })
}

// OnDisconnect adds a handler that runs once for each socket that was connected,
// as the last of its handlers: after the events that arrived before the
// disconnection. The socket gets no more broadcasts, but its Rooms can still be
// read. ctx is not ended by the disconnection.
func (n *Namespace) OnDisconnect(handle func(ctx context.Context, s *Socket, reason DisconnectReason)) {
	n.handlers.update(func(r *registry) { r.disconnect = appendCopy(r.disconnect, handle) })
}

// OnAny adds a handler for every event, known or not, which runs before the
// event's own handlers. Acknowledgements are no events. An error is logged, and
// the event's own handlers do not run.
func (n *Namespace) OnAny(handle func(ctx context.Context, s *Socket, event string, args Args) error) {
	n.handlers.update(func(r *registry) { r.any = appendCopy(r.any, handle) })
}

// UseEvent adds a middleware for events: it runs for each event of a client, after
// the handlers of OnAny and before the event's own, in the order of registration.
// An error drops the event: it is logged and, for a client that wants an
// acknowledgement, acknowledged as EventError says. ctx is that of the handlers.
func (n *Namespace) UseEvent(middleware func(ctx context.Context, s *Socket, event string, args Args) error) {
	n.handlers.update(func(r *registry) { r.eventMiddlewares = appendCopy(r.eventMiddlewares, middleware) })
}

// OnAnyOutgoing adds a function that sees each event that goes out, once for each
// socket of this node that is to get it, before it is sent: those of Emit, of
// Broadcast.Emit wherever it was called, of Call and of CallAll. It runs in the
// goroutine that emits, so it has to be quick. What other nodes emit, and with
// Options.Recovery or an adapter.TotalOrder what this one does, it sees in order but in a goroutine of its own,
// perhaps a moment later; if it does not keep up, it misses what is beyond 10,000
// events or 64 MiB. What a recovered client had missed it does not see again.
func (n *Namespace) OnAnyOutgoing(see func(s *Socket, event string, args Args)) {
	n.handlers.update(func(r *registry) { r.outgoing = appendCopy(r.outgoing, see) })
}

// seesOutgoing says whether there is anything to call announceOutgoing for.
func (n *Namespace) seesOutgoing() bool { return len(n.handlers.current.Load().outgoing) > 0 }

// announceOutgoing shows p to the functions of OnAnyOutgoing.
func (n *Namespace) announceOutgoing(p *packet.Packet, receivers []*Socket, except exclusion) {
	list := n.handlers.current.Load().outgoing
	if len(list) == 0 {
		return
	}
	name, _ := packet.EventName(p.Data)
	values, err := p.Args()
	if err != nil {
		return // other nodes send nothing else than events
	}
	for _, s := range receivers {
		if except.has(s) {
			continue
		}
		for _, see := range list {
			s.guard("outgoing", func() error {
				see(s, string(name), Args{values: values})
				return nil
			})
		}
	}
}

// announceApart is announceOutgoing for what other nodes emit: it must not end the
// goroutine that delivers, which runtime.Goexit would.
func (n *Namespace) announceApart(p *packet.Packet, receivers []*Socket, except exclusion) {
	if len(receivers) > 0 && n.seesOutgoing() {
		n.outgoing.addHolding(n.server.tasks, packetSize(p), func() { n.announceOutgoing(p, receivers, except) })
	}
}

// Sockets returns the sockets of this node that are connected to the namespace.
// For a pattern it returns those of all its namespaces.
func (n *Namespace) Sockets() []*Socket {
	if !n.isPattern() {
		return append([]*Socket(nil), n.sockets.Members()...)
	}
	var all []*Socket
	for _, child := range n.pattern.namespaces() {
		all = append(all, child.sockets.Members()...)
	}
	return all
}

// To selects the sockets that are in any of rooms, on every node. Each socket is
// in the room of its own id.
func (n *Namespace) To(rooms ...string) Broadcast { return n.All().To(rooms...) }

// Except selects all sockets but those that are in any of rooms.
func (n *Namespace) Except(rooms ...string) Broadcast { return n.All().Except(rooms...) }

// Local selects all sockets of this node.
func (n *Namespace) Local() Broadcast { return n.All().Local() }

// Volatile selects all sockets; those that are not writable at the moment miss
// the event.
func (n *Namespace) Volatile() Broadcast { return n.All().Volatile() }

// Compress selects all sockets; see Broadcast.Compress.
func (n *Namespace) Compress(on bool) Broadcast { return n.All().Compress(on) }

// Emit sends event to all sockets of the namespace, on every node. See Broadcast.Emit.
func (n *Namespace) Emit(event string, args ...any) error { return n.All().Emit(event, args...) }

// WithContext selects all sockets; see Broadcast.WithContext.
func (n *Namespace) WithContext(ctx context.Context) Broadcast { return n.All().WithContext(ctx) }

// All selects all sockets of the namespace, on every node.
func (n *Namespace) All() Broadcast { return Broadcast{namespace: n} }

// join enters the adapter's topic. It waits for the backend for the cluster's
// join timeout at most; a backend that is away is joined in the background.
func (n *Namespace) join(ctx context.Context) {
	defer close(n.ready)
	topic, err := n.server.cluster.Join(ctx, n.name, cluster.Handler{Broadcast: n.deliver, Request: n.serve})
	if err != nil {
		n.server.log.Warn("namespace is not connected to the cluster", "namespace", clip(n.name), "error", err)
	}
	n.topic = topic
	n.interest.topic = topic
	if topic != nil {
		n.returns, n.log = topic.Returns(), topic.Recovery()
		n.keeper = newKeeper(n)
		if topic.Ordered() {
			n.fence = newFence(n.server)
		}
	}
}

// deliver takes a broadcast of another node, or of the log, to this node's
// sockets. One with too many attachments or with a reserved name is dropped: it
// would cost all of them their connections.
func (n *Namespace) deliver(b *adapter.Broadcast, offset string, own bool) {
	if own && n.fence != nil {
		defer n.fence.returned()
	}
	selection := Broadcast{rooms: b.Rooms, except: b.Except, volatile: b.Volatile, uncompressed: b.Uncompressed}
	if offset != "" {
		n.pass(offset, false)
	}
	receivers, except := n.resolveAt(offset, selection)
	if len(receivers) == 0 {
		n.server.counters.discarded.Add(1)
	}
	err := n.server.checkForeign(&b.Packet)
	if err == nil && len(receivers) > 0 {
		r := n.beginDelivery(&b.Packet, b.Trace)
		r.reach(receivers, except)
		defer func() { r.end(err) }()
		err = n.fanOut(&b.Packet, selection, receivers, except, offset)
		n.announceApart(&b.Packet, receivers, except)
	}
	if offset != "" {
		n.pass(offset, true)
	}
	if err != nil {
		n.server.undeliverable.Add(1)
		n.server.log.Warn("broadcast of another node dropped", "namespace", clip(n.name), "error", err)
	}
}

// resolveAt resolves the receivers of a broadcast in one step with noting its offset.
func (n *Namespace) resolveAt(offset string, b Broadcast) ([]*Socket, exclusion) {
	if offset != "" {
		n.delivering.Lock()
		defer n.delivering.Unlock()
		n.delivered = offset
	}
	return n.resolve(b.rooms, b.except)
}

// emitHere gives p to the sockets of this node that b selects.
func (n *Namespace) emitHere(p *packet.Packet, b Broadcast, r *running) error {
	receivers, except := n.resolve(b.selected(), b.except)
	r.reach(receivers, except)
	if len(receivers) == 0 {
		return nil
	}
	n.announceOutgoing(p, receivers, except)
	return n.fanOut(p, b, receivers, except, "")
}

// fanOut encodes p and gives it to receivers.
func (n *Namespace) fanOut(p *packet.Packet, b Broadcast, receivers []*Socket, except exclusion, offset string) error {
	if n.recoverable() {
		p = withOffset(p, offset)
	}
	m, err := n.server.encode(p, b.uncompressed)
	if err != nil {
		return err
	}
	n.server.fanout.add(delivery{
		message: m, sockets: receivers, except: except, volatile: b.volatile, offset: offset,
	})
	return nil
}

// resolve returns the sockets in any of rooms, or all without rooms, and the set
// of those to leave out. What it returns is shared and must not be changed.
func (n *Namespace) resolve(rooms, except []string) (receivers []*Socket, without exclusion) {
	if len(rooms) == 0 {
		receivers = n.sockets.Members()
	} else {
		receivers = n.rooms.Select(rooms)
	}
	if len(except) > 0 && len(receivers) > 0 {
		without = newExclusion(n.rooms, except)
	}
	return receivers, without
}

// add makes s a receiver of the namespace's broadcasts.
func (n *Namespace) add(s *Socket) {
	n.rooms.Add(s.id, s)
	n.sockets.Add(s)
}

func (n *Namespace) remove(s *Socket) {
	n.sockets.Remove(s)
	n.rooms.Remove(s.id, s)
}

func (n *Namespace) isReady() bool {
	select {
	case <-n.ready:
		return true
	default:
		return false
	}
}

// close leaves the adapter's topic.
func (n *Namespace) close() {
	if n.topic == nil {
		return
	}
	ctx, cancel := context.WithTimeout(n.server.base, leaveTimeout)
	defer cancel()
	if err := n.topic.Close(ctx); err != nil {
		n.server.log.Warn("namespace did not leave the cluster cleanly", "namespace", clip(n.name), "error", err)
	}
}
