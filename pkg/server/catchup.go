package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// errMissedTooMuch means that a client starts afresh because of Recovery's limits.
var errMissedTooMuch = errors.New("server: more was missed than is sent again")

// catchUp is what a client that comes back has missed, as far as the log was read.
// See docs/adr/0009-connection-state-recovery.md.
type catchUp struct {
	namespace *Namespace
	record    *adapter.Record
	offset    string // of the last broadcast that was read
	messages  []*engine.Message
	bytes     int64
}

// read goes on reading the log, up to the offset until or, if that is empty, to its end.
func (c *catchUp) read(ctx context.Context, until string) error {
	if c.offset == until {
		return nil
	}
	log := c.namespace.log
	for m, err := range log.Missed(ctx, c.offset) {
		if err == nil && until != "" && log.Compare(m.Offset, until) > 0 {
			return nil
		}
		if err == nil {
			err = c.take(m)
		}
		if err != nil || m.Offset == until {
			return err
		}
	}
	return nil
}

// take adds one broadcast, if it was meant for the client.
func (c *catchUp) take(m *adapter.Message) error {
	c.offset = m.Offset
	if c.namespace.log.Compare(m.Offset, c.record.Since) <= 0 {
		return nil // it is of an earlier session of the client
	}
	b := m.Broadcast
	if b == nil || !c.selects(b) || c.namespace.server.checkForeign(&b.Packet) != nil {
		return nil
	}
	message, err := c.namespace.server.encode(withOffset(&b.Packet, m.Offset), b.Uncompressed)
	if err != nil {
		return nil // nobody got it
	}
	c.messages = append(c.messages, message)
	c.bytes += int64(message.Size())
	o := &c.namespace.server.options
	if len(c.messages) > o.Recovery.MaxPackets || c.bytes > o.MaxSendQueueBytes/2 {
		return errMissedTooMuch
	}
	return nil
}

// selects says whether b was meant for who was in the record's rooms.
func (c *catchUp) selects(b *adapter.Broadcast) bool {
	in := func(room string) bool { return slices.Contains(c.record.Rooms, room) }
	return (len(b.Rooms) == 0 || slices.ContainsFunc(b.Rooms, in)) && !slices.ContainsFunc(b.Except, in)
}

// rooms returns the rooms of the record, beside the socket's own.
func (c *catchUp) rooms() []string {
	return slices.DeleteFunc(slices.Clone(c.record.Rooms), func(room string) bool { return room == c.record.SocketID })
}

// errNoPosition means that the adapter does not know yet where deliveries begin.
var errNoPosition = errors.New("server: the log is not read yet")

// findMissed finds the record of a client that comes back, once whoever has its socket
// has let go of it, and what the client missed.
func (n *Namespace) findMissed(ctx context.Context, who credentials) (*catchUp, error) {
	if n.log.Start() == "" {
		return nil, errNoPosition
	}
	record, err := n.log.Find(ctx, who.privateID, who.offset)
	if err != nil {
		return nil, err
	}
	c := &catchUp{namespace: n, record: record, offset: who.offset}
	if err := c.settleOwner(ctx, who.offset); err != nil {
		return nil, err
	}
	return c, c.read(ctx, "")
}

// outagePatience is how long a client that comes back waits for a backend that is away:
// what cut it off may have cut the node off too, and is often over in a moment.
const outagePatience = 2 * time.Second

// findPatiently is findMissed, again when the backend is back if it was away. What fails
// for another reason is tried once more, since that may be how an outage begins.
func (n *Namespace) findPatiently(ctx context.Context, who credentials) (*catchUp, error) {
	waiting, cancel := context.WithTimeout(ctx, outagePatience)
	defer cancel()
	for attempt := 1; ; attempt++ {
		c, err := n.findMissed(ctx, who)
		switch {
		case err == nil, errors.Is(err, adapter.ErrNoRecord), errors.Is(err, adapter.ErrNoOffset), errors.Is(err, errMissedTooMuch):
			return c, err
		case attempt > 1 && !errors.Is(err, adapter.ErrDegraded) && !errors.Is(err, errNoPosition):
			return nil, err
		}
		if n.keeper == nil || !n.server.awaitBus(waiting) { // in memory there is nothing to wait for
			return nil, err
		}
	}
}

// expect makes s wait until what its client knows has been delivered. The caller holds
// delivering.
func (n *Namespace) expect(s *Socket) {
	at, _ := slices.BinarySearchFunc(n.expected, s.recovery.comeback.until, func(other *Socket, until string) int {
		return n.log.Compare(other.recovery.comeback.until, until)
	})
	n.expected = slices.Insert(n.expected, at, s)
}

// unexpect ends that wait.
func (n *Namespace) unexpect(s *Socket) {
	n.delivering.Lock()
	defer n.delivering.Unlock()
	n.expected = slices.DeleteFunc(n.expected, func(other *Socket) bool { return other == s })
}

// pass says that what has that offset has been given to the fan-out, whoever it was
// for, or, unless it is included, that it is about to be. The clients that were waiting
// for it, or for less, know everything up to it.
func (n *Namespace) pass(offset string, included bool) {
	n.delivering.Lock()
	count := 0
	for count < len(n.expected) {
		order := n.log.Compare(n.expected[count].recovery.comeback.until, offset)
		if order > 0 || order == 0 && !included {
			break
		}
		count++
	}
	waiting := slices.Clone(n.expected[:count])
	n.expected = slices.Delete(n.expected, 0, count)
	n.delivering.Unlock()
	for _, s := range waiting {
		n.server.fanout.add(delivery{one: s, known: true})
		close(s.recovery.comeback.passed)
	}
}
