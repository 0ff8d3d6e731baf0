package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// reconnect connects a restored socket and sends what it missed. An error ends the
// client's session, and so another attempt of the client decides: another connection
// of it was faster, too much came meanwhile, or the log could not be read.
func (s *Socket) reconnect(c *catchUp) (err error) {
	n, f := s.namespace, s.connection.server.fanout
	attempt, end := s.attempt()
	defer end()
	done, err := n.server.turns.take(attempt)
	if err != nil && s.state.Load() != disconnected {
		s.connection.session.Close()
		n.server.recoveries.count(err)
	}
	if err != nil {
		return errGone
	}
	defer done()
	ctx, cancel := n.server.withPatience(attempt)
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
	back := s.recovery.comeback
	back.until, back.passed = strings.Clone(c.offset), make(chan struct{})
	if !s.register() {
		s.keepRecord(c.record)
		return errGone
	}
	defer n.unexpect(s)
	s.connection.settled()
	n.keeper.keep(s) // the record was taken: until it is written again the client could not come back
	if err := s.catchUp(ctx, c); err != nil {
		return err
	}
	s.mu.Lock()
	rooms := s.announced()
	s.mu.Unlock()
	if err := n.interest.announce(ctx, rooms); err != nil {
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

// errStaleRecord means that the record has changed since it was found, or that other
// attempts of the client were quicker again and again. Its rooms and data may be others now.
var errStaleRecord = errors.New("server: record has changed")

// claim takes the record that was found, if it is still the same.
func (s *Socket) claim(ctx context.Context, found *adapter.Record) error {
	taken, err := s.namespace.log.Take(ctx, found)
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
	r := s.recovery
	if s.namespace.log.Compare(c.offset, r.delivered) <= 0 {
		return c.read(ctx, r.delivered)
	}
	select {
	case <-r.comeback.passed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("server: wait for deliveries: %w", context.Cause(ctx))
	}
}
