package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/order"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/stream"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
)

// How long a message is held that is ahead of others of its sender; see package order.
// The first is far above what Redis takes, and rarely waited for: pub/sub has to lose
// something first.
const (
	patience = time.Second
	strange  = 250 * time.Millisecond
)

// streamLink is one node's membership of a namespace whose broadcasts travel through a
// stream, and whose calls travel over pub/sub.
type streamLink struct {
	*link
	form     *streamForm
	streams  *StreamsAdapter
	log      *sharedLog
	listener *stream.Listener // nil to publish only
	inbox    *streamInbox
	sequence order.Sequencer[turn]
	away     func() bool // pub/sub is
	// retention is what JoinRecoverable was told; nil for a link of Join, to which its
	// own messages do not come.
	retention *adapter.Retention

	given sync.Once // the log was given back

	publishing sync.Mutex // held while a message gets its number and its place in a queue
	number     uint64     // of the last message to all; guarded by publishing
}

// received is what has arrived by either way.
type received struct {
	entry   *stream.Entry // of the stream
	arrival bus.Arrival   // of pub/sub
}

func (r *received) size() int {
	const overhead = 256
	if e := r.entry; e != nil {
		return len(e.UID) + len(e.Topic) + len(e.Data) + len(e.Own) + overhead
	}
	return len(r.arrival.Payload) + len(r.arrival.Channel) + overhead
}

// countingStreamLink also counts nodes of all kinds.
type countingStreamLink struct {
	*streamLink
	counter
}

var _ adapter.NodeCounter = (*countingStreamLink)(nil)

// turn is a message that waits for its turn.
type turn struct {
	message *adapter.Message // decoded already, or nil
	header  *wire.Header     // otherwise
	offset  string           // of an entry
	channel string           // to be named if it cannot be decoded
}

// join returns a link together with an error that wraps adapter.ErrDegraded while Redis
// is away, and no link with any other error.
func (a *StreamsAdapter) join(ctx context.Context, topic string, self adapter.NodeID, r *adapter.Retention, deliver func(*adapter.Message)) (*streamLink, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("redis: join %q: %w", topic, err)
	}
	l := a.newStreamLink(topic, self, r, deliver)
	err := l.listen(ctx)
	if l.listener != nil || deliver == nil {
		err = errors.Join(err, l.subscribe(ctx))
	}
	if err == nil {
		err = l.bus.Await(ctx) // for the log too, which is opened with its first link
	}
	if l.listener == nil && deliver != nil || errors.Is(err, context.Canceled) {
		_ = l.Close(ctx) // its caller has gone; what this does not wait for ends by itself
		return nil, fmt.Errorf("redis: join %q: %w", topic, err)
	}
	if err != nil && !errors.Is(err, adapter.ErrDegraded) { // ctx has ended
		err = fmt.Errorf("%w: %w", adapter.ErrDegraded, err)
	}
	if err != nil {
		err = fmt.Errorf("redis: join %q: %w", topic, err)
	}
	l.introduce()
	return l, err
}

// introduction begins what a link says of itself before anything else: who hears it has
// all its messages from the first one on. No message begins so.
const introduction = "\x00\x00"

// introduce says it. It may be lost; then this node is a stranger for a moment.
func (l *streamLink) introduce() {
	o := l.bus.Message()
	o.Channel = l.private
	o.Body = append(append(o.Body, introduction...), l.self...)
	if l.finish(o) != nil || l.bus.Enqueue(o) != nil {
		l.bus.Discard(o)
	}
}

// listen begins to read the stream, before anything is waited for.
func (l *streamLink) listen(ctx context.Context) (err error) {
	if l.retention != nil && l.retention.Window > 0 {
		l.log.KeepTail()
	}
	if l.deliver != nil {
		l.listener, err = l.log.Listen(ctx, l.topic, l.enter)
	}
	return err
}

func (a *StreamsAdapter) newStreamLink(topic string, self adapter.NodeID, r *adapter.Retention, deliver func(*adapter.Message)) *streamLink {
	l := &streamLink{
		link: newLink(a.Adapter, a.acquireBus(), topic, self, deliver), streams: a, log: a.acquireLog(topic), retention: r,
		sequence: order.Sequencer[turn]{Patience: patience, Introduction: strange},
	}
	l.form = l.link.form.(*streamForm)
	l.link.to, l.away = l, l.bus.Away
	l.inbox = newStreamInbox(l.handle, l.expire)
	l.sequence.Deliver = l.take
	return l
}

// Publish queues m; see adapter.Link.
func (l *streamLink) Publish(_ context.Context, m *adapter.Message) error {
	if l.closed.Load() {
		return fmt.Errorf("redis: publish to %q: %w", l.topic, adapter.ErrClosed)
	}
	l.publishing.Lock()
	defer l.publishing.Unlock()
	err := l.append(m)
	if err == wire.ErrNoForm {
		err = l.call(m)
	}
	if err != nil {
		return fmt.Errorf("redis: publish to %q: %w", l.topic, err)
	}
	return nil
}

// append writes m to the stream. It fails with ErrNoForm for what belongs on pub/sub. The
// caller holds publishing.
func (l *streamLink) append(m *adapter.Message) error {
	written, err := wire.NewEntry(l.self, l.topic, m, l.number+1)
	if err != nil {
		return err
	}
	if size := len(written.Data) + len(written.Own); int64(size) > l.adapter.opts.MaxMessageBytes {
		l.drop(bus.TooLarge, l.log.Name)
		return adapter.ErrTooLarge
	}
	e := &stream.Entry{UID: written.UID, Topic: written.Topic, Type: written.Type, Data: written.Data, Own: written.Own}
	if l.deliver != nil && l.retention != nil {
		own := m.Clone()
		own.From = l.self
		e.Value = own
	}
	if err := l.log.Append(e); err != nil {
		if errors.Is(err, adapter.ErrQueueFull) {
			l.drop(bus.QueueFull, l.log.Name)
		}
		return err
	}
	l.number++
	return nil
}

// call publishes m. The caller holds publishing.
func (l *streamLink) call(m *adapter.Message) error {
	o := l.bus.Message()
	next := l.number
	if m.To == "" {
		next++
	}
	err := l.form.writeNumbered(o, m, next)
	if err == wire.ErrNoForm {
		o.Body = binary.AppendUvarint(o.Body, next)
		err = l.writePrivate(o, m)
	}
	if err == nil {
		err = l.finish(o)
	}
	if err != nil || o.Channel == "" { // nobody is to hear of it
		l.bus.Discard(o)
		return err
	}
	if err := l.bus.Enqueue(o); err != nil {
		l.bus.Discard(o)
		return err
	}
	l.number = next
	return nil
}

// Receive implements bus.Receiver.
func (l *streamLink) Receive(a bus.Arrival) {
	if int64(len(a.Payload)) > l.adapter.opts.MaxMessageBytes {
		l.drop(bus.TooLarge, a.Channel)
		return
	}
	if !l.inbox.put(received{arrival: a}) {
		l.drop(bus.QueueFull, a.Channel)
	}
}

// enter takes an entry of the stream. It waits while the inbox is full: an entry that
// was left out would be missing under the next one's offset.
func (l *streamLink) enter(e *stream.Entry) { l.inbox.putWaiting(received{entry: e}) }

// handle takes what has arrived, in a goroutine of the inbox.
func (l *streamLink) handle(r received) {
	if r.entry != nil {
		l.handleEntry(r.entry)
		return
	}
	m, err := l.openCall(r.arrival)
	if err != nil {
		l.dropUnread(err, r.arrival.Channel)
		return
	}
	if m != nil {
		l.sequence.Call(*m, time.Now())
	}
}

// openCall reads what has come over pub/sub, as far as its number. It returns nil for
// this node's own message.
func (l *streamLink) openCall(a bus.Arrival) (*order.Message[turn], error) {
	if err := l.unseal(&a); err != nil {
		return nil, err
	}
	if a.Kind == routeTopic || a.Kind == routeNode {
		return l.openPrivate(a)
	}
	h, err := l.form.header(a)
	if h == nil || err != nil {
		return nil, err
	}
	return &order.Message[turn]{
		Sender: h.UID, Number: h.Order, Aside: a.Kind == routeResponses, Value: turn{header: h, channel: a.Channel},
	}, nil
}

// openPrivate reads a message in our own form, which follows its number.
func (l *streamLink) openPrivate(a bus.Arrival) (*order.Message[turn], error) {
	if who, ok := strings.CutPrefix(a.Payload, introduction); ok && a.Kind == routeTopic {
		l.sequence.Meet(who)
		return nil, nil
	}
	number, n := binary.Uvarint([]byte(a.Payload[:min(len(a.Payload), binary.MaxVarintLen64)]))
	if n <= 0 {
		return nil, adapter.ErrMalformed
	}
	a.Payload = a.Payload[n:]
	m, err := l.readPrivate(a)
	if m == nil || err != nil {
		return nil, err
	}
	return &order.Message[turn]{
		Sender: string(m.From), Number: number, Aside: m.To != "", Value: turn{message: m, channel: a.Channel},
	}, nil
}

// handleEntry reads an entry as far as its number. One that cannot be read is counted
// and left out.
func (l *streamLink) handleEntry(e *stream.Entry) {
	own := e.UID == string(l.self)
	if own && l.retention == nil {
		return
	}
	if m, ok := e.Value.(*adapter.Message); own && ok {
		l.sequence.Entry(order.Message[turn]{Sender: e.UID, Value: turn{message: m, offset: e.ID}}, time.Now())
		return
	}
	h, err := headerOf(e)
	if err != nil {
		l.dropUnread(err, l.log.Name)
		return
	}
	if h.FromNodeJS() {
		l.adapter.nodeJSHeard()
	}
	number := h.Order
	if own {
		number = 0 // one's own calls do not come back
	}
	l.sequence.Entry(order.Message[turn]{
		Sender: e.UID, Number: number, Value: turn{header: h, offset: e.ID, channel: l.log.Name},
	}, time.Now())
}

// headerOf reads an entry without decoding its event.
func headerOf(e *stream.Entry) (*wire.Header, error) {
	written := wireEntry(e)
	h, err := written.Header()
	return &h, err
}

// expire lets go what was held for too long. Nothing is held while pub/sub is away: what
// it has lost does not come.
func (l *streamLink) expire(now time.Time) time.Time {
	return l.sequence.Expire(now, l.away())
}

// take passes on a message whose turn it is, unless the link was closed meanwhile: one
// message may let go many.
func (l *streamLink) take(t turn) {
	if l.closed.Load() {
		return
	}
	m := t.message
	if m == nil {
		var err error
		if m, err = l.form.message(t.header); err != nil {
			l.dropUnread(err, t.channel)
		}
		if m == nil {
			return
		}
	}
	if m.Kind == adapter.KindBroadcast && !m.Broadcast.Volatile && l.retention != nil {
		m.Offset = t.offset
	}
	l.deliver(m)
}

// Close leaves the topic; see adapter.Link. It hands what is queued to Redis.
func (l *streamLink) Close(ctx context.Context) error {
	l.leave()
	err := l.inbox.close(ctx)
	if l.listener != nil {
		err = errors.Join(err, l.listener.Close(ctx))
	}
	if err == nil {
		err = l.flush(ctx)
	}
	l.given.Do(func() { err = errors.Join(err, l.streams.releaseLog(ctx, l.log)) })
	err = errors.Join(err, l.letGo(ctx))
	if err != nil {
		return fmt.Errorf("redis: close %q: %w", l.topic, err)
	}
	return nil
}

// flush waits until Redis has what is queued, or is known to be away.
func (l *streamLink) flush(ctx context.Context) error {
	if err := l.log.Flush(ctx); err != nil && !errors.Is(err, adapter.ErrDegraded) {
		return err
	}
	return l.bus.Flush(ctx)
}
