package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Socket is one client in one namespace. A client that reconnects is another
// Socket. All methods are safe for concurrent use.
type Socket struct {
	id         string
	requested  string     // the namespace's name as the client asked for it
	namespace  *Namespace // set, with mu held, before middlewares run
	connection *connection
	auth       jsontext.Value
	dropped    bool          // no longer counted; guarded by the connection's lock
	refused    bool          // by a handler of OnConnect: no event is handled; only the socket's goroutine uses it
	state      atomic.Int32  // changed with mu held
	mode       atomic.Uint32 // as a receiver
	data       atomic.Pointer[data]
	recovery   *recovery // nil unless Options.Recovery is set
	claimed    bool      // the adapter hears of the room of its id as of any other; changed with mu held

	mu       sync.Mutex
	reason   DisconnectReason
	rooms    map[string]struct{} // beside the room of its own id; nil until the first
	acks     map[uint64]waiter
	inbox    *inbox // nil while no event waits
	running  bool   // the socket's goroutine is alive
	recorded bool   // the socket has ended, and its record is saved
	ended    bool   // the handlers of OnDisconnect have run, or run now
	ctx      context.Context
	cancel   context.CancelCauseFunc
}

// The states of a socket, in the only order in which they follow each other.
const (
	connecting   = iota // middlewares run
	connected           // the client may send events and gets broadcasts
	disconnected        // for good
)

// ID returns the socket's public id: 20 characters, different in each namespace.
// It is also the name of a room that holds just this socket.
func (s *Socket) ID() string { return s.id }

// Namespace returns the namespace to which the socket is connected.
func (s *Socket) Namespace() *Namespace { return s.namespace }

// Handshake returns what is known of the client from its first request and its
// auth payload.
func (s *Socket) Handshake() *Handshake {
	return &Handshake{Handshake: s.connection.session.Handshake(), Auth: s.auth}
}

// Transport returns how the client is connected at the moment: "polling" or
// "websocket".
func (s *Socket) Transport() string { return s.connection.session.Transport() }

// Connected says whether the client is connected.
func (s *Socket) Connected() bool { return s.state.Load() == connected }

// Context returns the context that the socket's handlers get. It ends when the
// socket disconnects; context.Cause then returns a *DisconnectError.
func (s *Socket) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		// Made on demand: most sockets of a large node never run a handler.
		s.ctx, s.cancel = context.WithCancelCause(s.connection.server.base)
		if s.state.Load() == disconnected {
			s.cancel(&DisconnectError{Reason: s.reason})
		}
	}
	return s.ctx
}

// Emit sends event with args to the client. It returns when the event is written
// or has its place in the client's send queue, or behind a broadcast that is being
// written; it does not wait for the client. It fails with ErrDisconnected, with
// ErrSlowConsumer when it finds the send queue full (the client is then being closed,
// as it is when the queue is found full later), and as Broadcast.Emit does for its arguments.
// With Options.Recovery it is a broadcast to the room of the socket's id, and fails
// like one: an event for a client that is away and may come back is kept for it.
func (s *Socket) Emit(event string, args ...any) error {
	p, err := s.event(event, args)
	if err != nil {
		return err
	}
	if s.connection.server.observer != nil {
		return s.only().emitObserved(s.namespace, event, &p)
	}
	return s.emit(&p, false, false, nil)
}

// emit sends an event that wants no acknowledgement.
func (s *Socket) emit(p *packet.Packet, volatile, uncompressed bool, r *running) error {
	if s.namespace.recoverable() && (s.Connected() || s.mayComeBack()) {
		b := Broadcast{one: s, volatile: volatile, uncompressed: uncompressed}
		return b.publish(s.namespace, p, r)
	}
	if !s.Connected() {
		return ErrDisconnected
	}
	if r != nil {
		r.Receivers = 1
	}
	if s.namespace.seesOutgoing() {
		s.namespace.announceOutgoing(p, []*Socket{s}, exclusion{})
	}
	return s.transmit(p, volatile, uncompressed)
}

// Volatile selects just this socket, for an event that the client may miss: it is
// dropped when the connection is not writable at the moment.
func (s *Socket) Volatile() Broadcast { return s.only().Volatile() }

// Compress selects just this socket, for an event that may be compressed or not.
// See Broadcast.Compress.
func (s *Socket) Compress(on bool) Broadcast { return s.only().Compress(on) }

// WithContext selects just this socket; see Broadcast.WithContext.
func (s *Socket) WithContext(ctx context.Context) Broadcast { return s.only().WithContext(ctx) }

// only selects the socket itself.
func (s *Socket) only() Broadcast {
	return Broadcast{namespace: s.namespace, one: s}
}

func (s *Socket) event(event string, args []any) (packet.Packet, error) {
	data, attachments, err := s.connection.server.encodeEvent(event, args)
	return packet.Packet{Type: packet.Event, Namespace: s.namespace.name, Data: data, Attachments: attachments}, err
}

// send encodes p for the client, behind all that was emitted before.
func (s *Socket) send(p *packet.Packet) error {
	if !s.Connected() {
		return ErrDisconnected
	}
	return s.transmit(p, false, false)
}

// transmit is send in any state.
func (s *Socket) transmit(p *packet.Packet, volatile, uncompressed bool) error {
	m, err := s.connection.server.encode(p, uncompressed)
	if err != nil {
		return err
	}
	return s.write(delivery{one: s, message: m, volatile: volatile})
}

// write takes d to the fan-out.
func (s *Socket) write(d delivery) error {
	err := s.connection.server.fanout.send(d)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, engine.ErrClosed):
		return ErrDisconnected
	}
	return fmt.Errorf("server: send: %w", err)
}

// To selects the sockets in any of rooms, but not s itself.
func (s *Socket) To(rooms ...string) Broadcast { return s.Broadcast().To(rooms...) }

// Broadcast selects all sockets of the namespace but s itself.
func (s *Socket) Broadcast() Broadcast {
	return Broadcast{namespace: s.namespace, except: []string{s.id}}
}

// Rooms returns the rooms of the socket, that of its own id first. In a handler of
// OnDisconnect these are the rooms that it had.
func (s *Socket) Rooms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := make([]string, 1, 1+len(s.rooms))
	rooms[0] = s.id
	for room := range s.rooms {
		rooms = append(rooms, room)
	}
	return rooms
}

// Join puts the socket into rooms. It is a member at once; Join returns when
// broadcasts of other nodes will arrive too, or with ctx's error, or at once with
// an error that wraps ErrDegraded while the adapter's backend is away; in both
// cases the socket stays a member, and those broadcasts arrive as soon as the
// backend is back. It fails with ErrDisconnected, and with ErrTooManyRooms without
// having joined any.
func (s *Socket) Join(ctx context.Context, rooms ...string) error {
	if err := s.enter(rooms); err != nil {
		return err
	}
	if err := s.namespace.interest.announce(ctx, rooms); err != nil {
		return fmt.Errorf("server: join: %w", err)
	}
	return nil
}

// enter makes s a local member of rooms.
func (s *Socket) enter(rooms []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state.Load()
	if state == disconnected {
		return ErrDisconnected
	}
	limit := s.connection.server.options.MaxRoomsPerSocket
	if most := len(s.rooms) + len(rooms); exceeds(most, limit) && exceeds(len(s.rooms)+s.unknown(rooms), limit) {
		s.connection.server.hit(limitRoomsPerSocket)
		return fmt.Errorf("%w: at most %d", ErrTooManyRooms, limit)
	}
	before := len(s.rooms)
	if s.rooms == nil && len(rooms) > 0 {
		s.rooms = make(map[string]struct{}, len(rooms))
	}
	for _, room := range rooms {
		if _, member := s.rooms[room]; member || room == s.id {
			continue
		}
		s.rooms[room] = struct{}{}
		s.namespace.interest.acquire(room)
		if state == connected {
			s.namespace.rooms.Add(room, s)
		}
	}
	if len(s.rooms) > before {
		s.changed()
	}
	return nil
}

// unknown counts the different rooms that s is not in.
func (s *Socket) unknown(rooms []string) int {
	others := make(map[string]struct{})
	for _, room := range rooms {
		if _, member := s.rooms[room]; !member && room != s.id {
			others[room] = struct{}{}
		}
	}
	return len(others)
}

// Leave takes the socket out of rooms, at once. The room of its own id cannot be left.
func (s *Socket) Leave(rooms ...string) {
	s.mu.Lock()
	var left []string
	for _, room := range rooms {
		if _, member := s.rooms[room]; member && s.state.Load() != disconnected {
			delete(s.rooms, room)
			s.namespace.rooms.Remove(room, s)
			left = append(left, room)
		}
	}
	if len(left) > 0 {
		s.changed()
	}
	s.mu.Unlock()
	for _, room := range left {
		s.namespace.interest.release(room)
	}
}

// claimRoom has the adapter hear of the room of s's own id like of any other: it knows
// the ids of this node's sockets by what they end in, but not those of restored ones, and
// some adapters cannot. The caller goes on to announce it.
func (s *Socket) claimRoom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed || s.state.Load() == disconnected {
		return
	}
	s.claimed = true
	s.namespace.interest.acquire(s.id)
}

// announced returns the rooms of s that the adapter hears of. The caller holds mu.
func (s *Socket) announced() []string {
	rooms := s.others()
	if s.claimed {
		rooms = append(rooms, s.id)
	}
	return rooms
}

// register makes s connected and a receiver of broadcasts, unless it has ended.
func (s *Socket) register() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != connecting {
		return false
	}
	s.state.Store(connected)
	if s.recovery != nil {
		// What is delivered from now on is for s, and nothing before.
		s.namespace.delivering.Lock()
		defer s.namespace.delivering.Unlock()
		s.begin()
	}
	s.namespace.add(s)
	for room := range s.rooms {
		s.namespace.rooms.Add(room, s)
	}
	s.changed()
	return true
}

func (s *Socket) unregister() {
	s.namespace.keeper.leave(s) // before the rooms, where else it is looked for
	for room := range s.rooms {
		s.namespace.rooms.Remove(room, s)
	}
	s.namespace.remove(s)
}

// others returns the rooms beside the socket's own.
func (s *Socket) others() []string {
	if len(s.rooms) == 0 {
		return nil
	}
	return slices.Collect(maps.Keys(s.rooms))
}
