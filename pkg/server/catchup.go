package server

import (
	"context"
	"errors"
	"slices"

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

// read goes on reading the log, up to the offset until or to its end, and says
// whether it has found until.
func (c *catchUp) read(ctx context.Context, until string) (found bool, err error) {
	if c.offset == until {
		return true, nil
	}
	for m, err := range c.namespace.log.Missed(ctx, c.offset) {
		if err == nil {
			err = c.take(m)
		}
		if err != nil {
			return false, err
		}
		if c.offset == until {
			return true, nil
		}
	}
	return false, nil
}

// take adds one broadcast, if it was meant for the client.
func (c *catchUp) take(m *adapter.Message) error {
	c.offset = m.Offset
	if m.Offset == c.record.Since { // what was before is of another session of the client
		c.messages, c.bytes = nil, 0
		return nil
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

// findMissed finds the record of a client that comes back, and what it missed.
func (n *Namespace) findMissed(ctx context.Context, privateID, offset string) (*catchUp, error) {
	record, err := n.log.Find(ctx, privateID, offset)
	if err != nil {
		return nil, err
	}
	c := &catchUp{namespace: n, record: record, offset: offset}
	_, err = c.read(ctx, "")
	return c, err
}

// finish reads what came after the first reading, up to what the namespace had
// delivered when the socket became a receiver. If that is not found it lies
// before: then what the first reading has found is still to be delivered, and ahead
// is true.
func (c *catchUp) finish(ctx context.Context, delivered string) (ahead bool, err error) {
	messages := len(c.messages)
	found, err := c.read(ctx, delivered)
	if err != nil || found {
		return false, err
	}
	c.messages = c.messages[:min(messages, len(c.messages))]
	return true, nil
}

// expect makes s wait for the delivery of an offset that its client knows. The caller
// holds delivering.
func (n *Namespace) expect(s *Socket) {
	if n.expected == nil {
		n.expected = make(map[string][]*Socket)
	}
	until := s.recovery.until
	n.expected[until] = append(n.expected[until], s)
}

// unexpect ends that wait.
func (n *Namespace) unexpect(s *Socket) {
	n.delivering.Lock()
	defer n.delivering.Unlock()
	until := s.recovery.until
	rest := slices.DeleteFunc(n.expected[until], func(other *Socket) bool { return other == s })
	if len(rest) == 0 {
		delete(n.expected, until)
	} else {
		n.expected[until] = rest
	}
}

// pass says that what has that offset has been given to the fan-out, whoever it was
// for. The clients that were expecting it know everything up to it.
func (n *Namespace) pass(offset string) {
	n.delivering.Lock()
	waiting := n.expected[offset]
	delete(n.expected, offset)
	n.delivering.Unlock()
	for _, s := range waiting {
		n.server.fanout.add(delivery{one: s, known: true})
		close(s.recovery.passed)
	}
}
