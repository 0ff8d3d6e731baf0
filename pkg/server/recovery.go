package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/internal/engine"
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
type Recovery struct {
	// MaxDisconnectionDuration is how long a client may be away. Default 2 minutes.
	MaxDisconnectionDuration time.Duration
	// MaxRecords is the largest number of clients that are away and for which this node
	// keeps what they need to come back; the oldest go first. Default 10,000.
	MaxRecords int
	// MaxRecordBytes is the largest size of what is kept of one such client: ids,
	// rooms and data. A larger one starts afresh. Default 64 KiB.
	MaxRecordBytes int64
	// MaxPackets is the largest number of events that a client may have missed; with
	// more, or with more than half of MaxSendQueueBytes, it starts afresh. Default 10,000.
	MaxPackets int
	// MaxLogBytes bounds the events that a namespace keeps for those who are away;
	// the oldest go first. Default 64 MiB.
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
		return fmt.Errorf("server: option Recovery needs an Adapter that keeps a log, which %T does not", a)
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
	comesBack credentials
	privateID string
	since     string        // the offset up to which nothing was meant for the socket
	delivered string        // the offset at which a restored socket became a receiver
	until     string        // the offset up to which its client was read what it missed
	passed    chan struct{} // closed when that has been delivered, if that was after delivered
	recovered bool
	hold      hold
}

// begin notes from where on the socket receives. The caller holds delivering.
func (s *Socket) begin(delivered string) {
	r := s.recovery
	r.delivered = delivered
	if r.recovered {
		s.namespace.expect(s)
	} else {
		r.since = delivered
	}
}

// recoverable says whether the namespace's broadcasts are kept for clients that
// are away.
func (n *Namespace) recoverable() bool { return n.log != nil }

// startLog begins to deliver from a log, or without one if link is nil.
func (n *Namespace) startLog(link adapter.RecoveryLink) {
	if link == nil {
		return
	}
	n.log = link
	n.delivering.Lock()
	defer n.delivering.Unlock()
	if n.delivered == "" { // nothing came before the join had returned
		n.delivered = link.Start()
	}
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

// restore makes s what its client's socket was before the disconnection, and
// returns what was missed since, or nil if the client starts afresh.
func (s *Socket) restore() *catchUp {
	n := s.namespace
	if s.recovery == nil || !n.recoverable() {
		return nil
	}
	s.identify(&adapter.Record{SocketID: s.id, PrivateID: newPrivateID()}, false)
	who := s.recovery.comesBack
	if who.privateID == "" || who.offset == "" {
		return nil
	}
	ctx, cancel := n.server.withPatience(s.Context())
	defer cancel()
	c, err := n.findMissed(ctx, who.privateID, who.offset)
	if err == nil {
		err = s.enter(slices.DeleteFunc(slices.Clone(c.record.Rooms), func(room string) bool { return room == c.record.SocketID }))
	}
	if err != nil {
		n.server.log.Debug("client starts afresh", "namespace", clip(n.name), "error", clip(err.Error()))
		n.server.recoveries.count(err)
		return nil
	}
	s.identify(c.record, true)
	if c.record.Data != nil {
		s.data.Store(&data{json: c.record.Data})
	}
	return c
}

// identify gives s its ids.
func (s *Socket) identify(r *adapter.Record, recovered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = r.SocketID
	s.recovery.privateID, s.recovery.since, s.recovery.recovered = r.PrivateID, r.Since, recovered
}

// reconnect connects a restored socket and sends what it missed. An error ends the
// client's session, and so another attempt of the client decides: another connection
// of it was faster, too much came meanwhile, or the log could not be read.
func (s *Socket) reconnect(c *catchUp) (err error) {
	n, f := s.namespace, s.connection.server.fanout
	ctx, cancel := n.server.withPatience(s.Context())
	defer cancel()
	if s.state.Load() == disconnected || !f.hold(s) {
		return errGone
	}
	defer func() {
		if err != nil {
			f.deafen(s)
			s.end(ForcedClose)
			s.connection.session.Close()
			n.server.recoveries.count(err)
		}
	}()
	if err := s.claim(ctx, c.record); err != nil {
		return err
	}
	s.recovery.until, s.recovery.passed = c.offset, make(chan struct{})
	if !s.register() {
		s.keepRecord(c.record)
		return errGone
	}
	defer n.unexpect(s)
	s.connection.settled()
	if err := s.catchUp(ctx, c); err != nil {
		return err
	}
	if err := n.interest.announce(ctx, c.record.Rooms); err != nil {
		n.server.log.Warn("recovered client", "namespace", clip(n.name), "error", err)
	}
	reply, err := s.connectReply()
	if err != nil {
		return err
	}
	n.server.recoveries.count(nil) // before the client can know
	f.add(delivery{one: s, message: engine.Join(append(c.messages, reply)), release: true})
	return nil
}

// errStaleRecord means that the client has come and gone by another attempt, since
// its record was found. Its rooms and data may be others now.
var errStaleRecord = errors.New("server: record has changed")

// claim takes the record that was found, if it is still the same.
func (s *Socket) claim(ctx context.Context, found *adapter.Record) error {
	taken, err := s.namespace.log.Take(ctx, found.PrivateID)
	switch {
	case err != nil:
		return err
	case taken.Since != found.Since, !slices.Equal(taken.Rooms, found.Rooms), !bytes.Equal(taken.Data, found.Data):
		s.keepRecord(taken)
		return errStaleRecord
	}
	return nil
}

// catchUp completes what was missed until s became a receiver. If the client knows
// more than this node has delivered, it waits for those deliveries, since what s is
// sent until then the client knows.
func (s *Socket) catchUp(ctx context.Context, c *catchUp) error {
	ahead, err := c.finish(ctx, s.recovery.delivered)
	if err != nil || !ahead {
		return err
	}
	select {
	case <-s.recovery.passed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("server: wait for deliveries: %w", context.Cause(ctx))
	}
}

// record returns what is kept of s, which has just ended, or nil if its client
// cannot come back. The caller holds mu.
func (s *Socket) record(before int32) *adapter.Record {
	if before != connected || s.recovery == nil || s.recovery.privateID == "" || !s.reason.recoverable() {
		return nil
	}
	return &adapter.Record{
		PrivateID: s.recovery.privateID, SocketID: s.id, Node: s.connection.server.cluster.ID(),
		Since: s.recovery.since, Rooms: append(s.others(), s.id),
	}
}

// save keeps the record of a client that may come back.
func (s *Socket) save(record *adapter.Record) {
	s.connection.server.tasks.await(func() { record.Data = s.encodeData() })
	s.keepRecord(record)
}

func (s *Socket) keepRecord(record *adapter.Record) {
	n := s.namespace
	ctx, cancel := context.WithTimeout(n.server.base, leaveTimeout)
	defer cancel()
	if err := n.log.Save(ctx, record); err != nil {
		n.server.log.Warn("client cannot recover", "namespace", clip(n.name), "socket", s.id, "error", err)
	}
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
