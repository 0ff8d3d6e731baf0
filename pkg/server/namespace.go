package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/internal/cluster"
	"github.com/roomcast/roomcast/internal/engine"
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

	ready    chan struct{} // closed when topic is set
	topic    *cluster.Topic
	sockets  room.Set[*Socket]
	rooms    *room.Index[*Socket]
	interest interest
	ackIDs   atomic.Uint64

	mu     sync.Mutex
	users  int         // sockets of a dynamic namespace, also those that are connecting
	expiry *time.Timer // ends a dynamic namespace that stays without them
}

// pattern is what OfFunc registered.
type pattern struct {
	match func(ctx context.Context, name string, h *Handshake) bool

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
func (n *Namespace) To(rooms ...string) Broadcast { return n.all().To(rooms...) }

// Except selects all sockets but those that are in any of rooms.
func (n *Namespace) Except(rooms ...string) Broadcast { return n.all().Except(rooms...) }

// Local selects all sockets of this node.
func (n *Namespace) Local() Broadcast { return n.all().Local() }

// Volatile selects all sockets; those that are not writable at the moment miss
// the event.
func (n *Namespace) Volatile() Broadcast { return n.all().Volatile() }

// Compress selects all sockets; see Broadcast.Compress.
func (n *Namespace) Compress(on bool) Broadcast { return n.all().Compress(on) }

// Emit sends event to all sockets of the namespace, on every node. See Broadcast.Emit.
func (n *Namespace) Emit(event string, args ...any) error { return n.all().Emit(event, args...) }

func (n *Namespace) all() Broadcast { return Broadcast{namespace: n} }

// join enters the adapter's topic. It waits for the backend for the cluster's
// join timeout at most; a backend that is away is joined in the background.
func (n *Namespace) join(ctx context.Context) {
	defer close(n.ready)
	topic, err := n.server.cluster.Join(ctx, n.name, n.deliver)
	if err != nil {
		n.server.log.Warn("namespace is not connected to the cluster", "namespace", clip(n.name), "error", err)
	}
	n.topic = topic
	n.interest.topic = topic
}

// deliver takes a broadcast of another node to this node's sockets. One with too
// many attachments is dropped: it would cost all of them their connections.
func (n *Namespace) deliver(b *adapter.Broadcast) {
	if err := n.server.checkAttachments(b.Packet.Attachments); err != nil {
		n.server.undeliverable.Add(1)
		n.server.log.Warn("broadcast of another node dropped", "namespace", clip(n.name), "error", err)
		return
	}
	receivers, except := n.resolve(b.Rooms, b.Except)
	if len(receivers) == 0 {
		return
	}
	n.server.fanout.add(delivery{
		message: encode(&b.Packet, b.Uncompressed), sockets: receivers, except: except, volatile: b.Volatile,
	})
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

// texts are buffers in which packets are written before they become messages.
var texts = sync.Pool{New: func() any { return new([]byte) }}

// largestText is the size up to which such a buffer is kept.
const largestText = 16 << 10

// encode makes the wire forms that all receivers of p share.
func encode(p *packet.Packet, uncompressed bool) *engine.Message {
	buffer := texts.Get().(*[]byte)
	text := p.AppendText((*buffer)[:0])
	m := engine.NewMessage(text, p.Attachments...)
	if uncompressed {
		m = m.Uncompressed()
	}
	if cap(text) <= largestText {
		*buffer = text
		texts.Put(buffer)
	}
	return m
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
