package server

import (
	"context"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// record returns what is kept of s, which has just ended, or nil if its client
// cannot come back. The caller holds mu.
func (s *Socket) record(before int32) *adapter.Record {
	if before != connected || s.recovery == nil || s.recovery.privateID == "" || !s.reason.recoverable() {
		return nil
	}
	return s.portrait()
}

// snapshot returns what is to be kept of s as it is, or nil if it is not connected.
func (s *Socket) snapshot() *adapter.Record {
	s.mu.Lock()
	if s.state.Load() != connected {
		s.mu.Unlock()
		return nil
	}
	record := s.portrait()
	s.mu.Unlock()
	s.addData(record)
	return record
}

// portrait returns the record of s without its data. The caller holds mu.
func (s *Socket) portrait() *adapter.Record {
	since := s.recovery.since
	if since == "" { // when s connected the adapter did not know
		since = s.namespace.log.Start()
	}
	return &adapter.Record{
		PrivateID: s.recovery.privateID, SocketID: s.id, Node: s.connection.server.cluster.ID(),
		Incarnation: s.recovery.incarnation, Since: since, Rooms: append(s.others(), s.id),
	}
}

// named returns what a RecordKeeper has to know of the record of s, without what it holds.
func (s *Socket) named() *adapter.Record {
	return &adapter.Record{PrivateID: s.recovery.privateID, Incarnation: s.recovery.incarnation}
}

// addData adds the data of s. The program's own methods may run, and end the goroutine.
func (s *Socket) addData(record *adapter.Record) {
	if s.data.Load() != nil {
		s.connection.server.tasks.await(func() { record.Data = s.encodeData() })
	}
}

// save keeps the record of a client that may come back. Without a record it will not.
func (s *Socket) save(before int32, record *adapter.Record) {
	if record != nil {
		s.addData(record)
	}
	switch {
	case before == connected && s.namespace.keeper != nil:
		s.namespace.keeper.finish(s, record)
	case record != nil:
		s.keepRecord(record)
	}
}

// keepRecord keeps a record that is in no store.
func (s *Socket) keepRecord(record *adapter.Record) {
	record.First = true
	n := s.namespace
	ctx, cancel := context.WithTimeout(n.server.base, leaveTimeout)
	defer cancel()
	if err := n.log.Save(ctx, record); err != nil {
		n.server.log.Warn("client cannot recover", "namespace", clip(n.name), "socket", s.id, "error", err)
	}
}

// changed has the record of s written again, where it is kept while s is connected.
func (s *Socket) changed() {
	if s.recovery != nil && s.namespace.keeper != nil {
		s.namespace.keeper.change(s)
	}
}
