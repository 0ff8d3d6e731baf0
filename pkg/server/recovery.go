package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Recovery configures connection state recovery: a client that comes back within
// MaxDisconnectionDuration gets the same id, rooms and data, and the events that it
// missed, in order and once. Zero fields mean their default. See Options.Recovery
// and Socket.Recovered.
//
// Events that want an acknowledgement, volatile and Local ones are not kept. With
// recovery the receivers of a broadcast are those of the moment at which the
// adapter's log delivers it, which with package adapter/memory is within Emit.
//
// Where records outlive their node (adapter.RecordKeeper: Redis streams), a client whose
// node was killed comes back elsewhere, as it was up to 100 ms before. One that never got
// an event starts afresh. A connection that still stands when its client comes back is
// closed, with TransportClose.
type Recovery struct {
	// MaxDisconnectionDuration is how long a client may be away. Default 2 minutes.
	MaxDisconnectionDuration time.Duration
	// MaxRecords is the largest number of clients that are away and for which this
	// process keeps what they need to come back; with package adapter/memory the oldest go
	// first. Where records outlive their node it bounds those that wait to be written while
	// the backend is away. Default 10,000.
	MaxRecords int
	// MaxRecordBytes is the largest size of what is kept of one such client: ids,
	// rooms and data. A larger one starts afresh. Default 64 KiB.
	MaxRecordBytes int64
	// MaxPackets is the largest number of events that a client may have missed; with
	// more, or with more than half of MaxSendQueueBytes, it starts afresh. Default 10,000.
	MaxPackets int
	// MaxLogBytes bounds the events that a namespace keeps for those who are away;
	// the oldest go first. An adapter whose log has a bound of its own uses that.
	// Default 64 MiB.
	MaxLogBytes int64
	// SkipMiddlewares lets clients that recover past the middlewares of Use. These
	// then cannot refuse who has lost a right meanwhile.
	SkipMiddlewares bool
}

func (r *Recovery) withDefaults() *Recovery {
	o := *r
	o.MaxDisconnectionDuration = cmp.Or(o.MaxDisconnectionDuration, 2*time.Minute)
	o.MaxRecords = cmp.Or(o.MaxRecords, 10_000)
	o.MaxRecordBytes = cmp.Or(o.MaxRecordBytes, 64<<10)
	o.MaxPackets = cmp.Or(o.MaxPackets, 10_000)
	o.MaxLogBytes = cmp.Or(o.MaxLogBytes, 64<<20)
	return &o
}

// validate refuses what no default replaces, for a server with adapter a.
func (r *Recovery) validate(a adapter.Adapter) error {
	if r == nil {
		return nil
	}
	if _, keeps := a.(adapter.RecoveryStore); a != nil && !keeps {
		return fmt.Errorf("server: option Recovery needs an Adapter that keeps a log, as adapter/memory and the streams of adapter/redis do and %T does not", a)
	}
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"MaxDisconnectionDuration", int64(r.MaxDisconnectionDuration)},
		{"MaxRecords", int64(r.MaxRecords)},
		{"MaxRecordBytes", r.MaxRecordBytes},
		{"MaxPackets", int64(r.MaxPackets)},
		{"MaxLogBytes", r.MaxLogBytes},
	} {
		if field.value < 0 {
			return fmt.Errorf("server: option Recovery.%s is negative", field.name)
		}
	}
	return nil
}

// retention is what the adapter is told of it. What a client misses begins before
// the missing answer to a ping is noticed.
func (o *Options) retention() *adapter.Retention {
	r := o.Recovery
	if r == nil {
		return nil
	}
	return &adapter.Retention{
		Window: r.MaxDisconnectionDuration, Unnoticed: cmp.Or(o.PingInterval, 25*time.Second) + cmp.Or(o.PingTimeout, 20*time.Second),
		MaxRecords: r.MaxRecords, MaxRecordBytes: r.MaxRecordBytes, MaxLogBytes: r.MaxLogBytes,
	}
}

// recovery is what a socket has besides where clients can recover.
type recovery struct {
	privateID string
	since     string // the offset up to which nothing was meant for the socket
	delivered string // the offset at which a restored socket became a receiver
	recovered bool
	abandon   context.CancelCauseFunc // ends the attempt that goes on; nil without one
	comeback  *comeback               // nil for a new client, and once it is back

	incarnation string // of the record: no other socket's is the same
	upkeep      upkeep
}

// comeback is what a socket has while its client comes back, and not for longer: all those
// of a dead node can come at once, and stay.
type comeback struct {
	credentials
	until  string        // the offset up to which the client was read what it missed
	passed chan struct{} // closed when that has been delivered, if that is after delivered
	hold   hold
}

// begin notes from where on the socket receives. The caller holds delivering.
func (s *Socket) begin() {
	n, r := s.namespace, s.recovery
	r.delivered = strings.Clone(n.position()) // which may be a part of much that the adapter has read
	switch {
	case !r.recovered:
		r.since = r.delivered
	case n.log.Compare(r.comeback.until, r.delivered) > 0:
		n.expect(s)
	}
}

// recoverable says whether the namespace's broadcasts are kept for clients that
// are away.
func (n *Namespace) recoverable() bool { return n.log != nil }

// position returns the offset up to which this node has delivered, or empty if the
// adapter does not know yet where its deliveries begin. The caller holds delivering.
func (n *Namespace) position() string {
	if start := n.log.Start(); n.log.Compare(start, n.delivered) > 0 {
		return start
	}
	return n.delivered
}

// withOffset returns p with its offset as the last argument. Without one, nothing
// may look like an offset to the client, which takes any last argument for it that is
// a string: null is put behind that.
func withOffset(p *packet.Packet, offset string) *packet.Packet {
	end := len(p.Data) - 1
	if end < 1 || p.HasID {
		return p
	}
	more := `null`
	switch {
	case offset != "":
		more = `"` + offset + `"`
	case p.Data[end-1] != '"':
		return p
	}
	q := *p
	q.Data = make(jsontext.Value, 0, len(p.Data)+len(more)+1)
	q.Data = append(append(append(append(q.Data, p.Data[:end]...), ','), more...), ']')
	return &q
}

// newPrivateID returns a secret of 120 random bits.
func newPrivateID() string {
	var id [15]byte
	_, _ = rand.Read(id[:]) // it never fails
	return base64.URLEncoding.EncodeToString(id[:])
}

// Recovered says whether the client has come back and the socket has the id, the
// rooms and the data of the one that it had before. What it missed is sent before
// anything else.
func (s *Socket) Recovered() bool { return s.recovery != nil && s.recovery.recovered }

// comesBack says whether the client says that it was here before.
func (s *Socket) comesBack() bool { return s.recovery != nil && s.recovery.comeback != nil }

// restore makes s what its client's socket was before the disconnection, and
// returns what was missed since, or nil if the client starts afresh.
func (s *Socket) restore() *catchUp {
	n := s.namespace
	if s.recovery == nil || !n.recoverable() {
		return nil
	}
	s.recovery.incarnation = rand.Text()[:16]
	s.identify(&adapter.Record{SocketID: s.id, PrivateID: newPrivateID()}, false)
	if !s.comesBack() {
		return nil
	}
	c, err := s.findMissed(s.recovery.comeback.credentials)
	if err == nil {
		err = s.enter(c.rooms())
	}
	if err != nil {
		n.server.log.Debug("client starts afresh", "namespace", clip(n.name), "error", clip(err.Error()))
		n.server.recoveries.count(err)
		s.recovery.comeback = nil
		return nil
	}
	s.identify(c.record, true)
	if !n.server.cluster.Owns(s.id) {
		s.claimRoom()
	}
	if c.record.Data != nil {
		s.data.Store(&data{json: c.record.Data})
	}
	return c
}

// findMissed is Namespace.findPatiently when it is this client's turn.
func (s *Socket) findMissed(who credentials) (*catchUp, error) {
	n := s.namespace
	attempt, end := s.attempt()
	defer end()
	done, err := n.server.turns.take(attempt)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := n.server.withPatience(attempt)
	defer cancel()
	return n.findPatiently(ctx, who)
}

// attempt returns a context that ends with s, and what ends it when the attempt is over.
// It is not the socket's own: that one would stay, with all that was ever waited for.
func (s *Socket) attempt() (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(s.connection.server.base)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recovery.abandon = cancel
	if s.state.Load() == disconnected {
		cancel(&DisconnectError{Reason: s.reason})
	}
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.recovery.abandon = nil
	}
}

// identify gives s its ids.
func (s *Socket) identify(r *adapter.Record, recovered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = r.SocketID
	s.recovery.privateID, s.recovery.since, s.recovery.recovered = r.PrivateID, r.Since, recovered
}

// mayComeBack says that s has ended in a way after which its client may recover:
// what is emitted to it until then is kept.
func (s *Socket) mayComeBack() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Load() == disconnected && s.recovery != nil && s.recovery.privateID != "" && s.reason.recoverable()
}

// recoverable says whether a client that was disconnected for that reason may
// recover. See "Connection state recovery".
func (r DisconnectReason) recoverable() bool {
	switch r {
	case TransportClose, TransportError, PingTimeout, ForcedClose, ServerShutdown:
		return true
	}
	return false
}

// recoveries counts how attempts to recover ended.
type recoveries struct{ complete, unknown, tooMuch atomic.Uint64 }

func (r *recoveries) count(err error) {
	switch {
	case err == nil:
		r.complete.Add(1)
	case errors.Is(err, errMissedTooMuch):
		r.tooMuch.Add(1)
	default:
		r.unknown.Add(1)
	}
}
