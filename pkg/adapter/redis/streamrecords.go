package redis

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/stream"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
)

// recoveryLink is a streamLink whose broadcasts are kept.
type recoveryLink struct{ *streamLink }

// countingRecoveryLink also counts nodes of all kinds.
type countingRecoveryLink struct {
	*recoveryLink
	counter
}

var (
	_ adapter.RecoveryLink = (*recoveryLink)(nil)
	_ adapter.RecordKeeper = (*recoveryLink)(nil)
	_ adapter.NodeCounter  = (*countingRecoveryLink)(nil)
)

// Save keeps a record; see adapter.RecoveryLink and adapter.RecordKeeper.
func (l *recoveryLink) Save(ctx context.Context, r *adapter.Record) error {
	return l.wrap("save a record", l.save(ctx, r))
}

func (l *recoveryLink) save(ctx context.Context, r *adapter.Record) error {
	if err := l.reachable(ctx); err != nil {
		return err
	}
	if int64(r.Size()) > l.retention.MaxRecordBytes {
		return adapter.ErrTooLarge
	}
	key := l.recordKey(r.PrivateID)
	value, err := wire.EncodeRecord(l.adapter.opts.HMACKey, key, l.topic, r)
	if err != nil {
		return err
	}
	return l.streams.records.Save(ctx, key, value, wire.RecordPrefix(r.Incarnation), r.First, l.retention.Window)
}

// Find returns a record and leaves it where it is; see adapter.RecoveryLink.
func (l *recoveryLink) Find(ctx context.Context, privateID, offset string) (*adapter.Record, error) {
	r, err := l.find(ctx, privateID)
	if err == nil {
		err = l.log.Covers(ctx, offset)
	}
	if err != nil {
		return nil, l.wrap("find a record", err)
	}
	return r, nil
}

func (l *recoveryLink) find(ctx context.Context, privateID string) (*adapter.Record, error) {
	if err := l.reachable(ctx); err != nil {
		return nil, err
	}
	key := l.recordKey(privateID)
	value, err := l.streams.records.Find(ctx, key)
	if err != nil {
		return nil, err
	}
	return l.openRecord(key, privateID, value)
}

// Take takes a record out; see adapter.RecoveryLink.
func (l *recoveryLink) Take(ctx context.Context, found *adapter.Record) (*adapter.Record, error) {
	r, err := l.takeOut(ctx, found)
	if err != nil {
		return nil, l.wrap("take a record", err)
	}
	return r, nil
}

// takeOut looks before it takes: another namespace's record stays where it is.
func (l *recoveryLink) takeOut(ctx context.Context, found *adapter.Record) (*adapter.Record, error) {
	if _, err := l.find(ctx, found.PrivateID); err != nil {
		return nil, err
	}
	key, owner := l.recordKey(found.PrivateID), stream.Owner{Prefix: wire.RecordPrefix(found.Incarnation)}
	if found.Incarnation == "" { // as in the records of Node.js servers, and in one of ours that names none
		owner.Any = wire.OwnedPrefix
	}
	value, err := l.streams.records.Take(ctx, key, owner, l.retention.Window)
	if err != nil {
		return nil, err
	}
	return l.openRecord(key, found.PrivateID, value)
}

// Renew keeps records for another window; see adapter.RecordKeeper.
func (l *recoveryLink) Renew(ctx context.Context, records []*adapter.Record) (missing []int, err error) {
	if err := l.reachable(ctx); err != nil {
		return nil, l.wrap("renew records", err)
	}
	owned := make([]stream.Owned, len(records))
	for i, r := range records {
		owned[i] = stream.Owned{Key: l.recordKey(r.PrivateID), Prefix: wire.RecordPrefix(r.Incarnation)}
	}
	missing, err = l.streams.records.Keep(ctx, owned, l.retention.Window)
	return missing, l.wrap("renew records", err)
}

// Forget removes a record; see adapter.RecordKeeper.
func (l *recoveryLink) Forget(ctx context.Context, r *adapter.Record) error {
	err := l.reachable(ctx)
	if err == nil {
		err = l.streams.records.Forget(ctx, l.recordKey(r.PrivateID), wire.RecordPrefix(r.Incarnation), l.retention.Window)
	}
	return l.wrap("forget a record", err)
}

// Missed reads the log; see adapter.RecoveryLink.
func (l *recoveryLink) Missed(ctx context.Context, offset string) iter.Seq2[*adapter.Message, error] {
	return func(yield func(*adapter.Message, error) bool) {
		if err := l.reachable(ctx); err != nil {
			yield(nil, l.wrap("read the log", err))
			return
		}
		for e, err := range l.log.Read(ctx, offset, l.topic) {
			if err != nil {
				yield(nil, l.wrap("read the log", err))
				return
			}
			if m := keptBroadcast(e); m != nil && !yield(m, nil) {
				return
			}
		}
	}
}

// keptBroadcast returns the broadcast that an entry is, or nil if it is none, or one
// that is not for those who were away. Of many who read it from memory one decodes it,
// and all get the same message: a copy for each would be most of what a node allocates
// when thousands come back at once.
func keptBroadcast(e *stream.Entry) *adapter.Message {
	m, known := e.Remembered().(*adapter.Message)
	if !known {
		m = decodeKept(e)
		e.Remember(m)
	}
	return m
}

// decodeKept decodes an entry. One that cannot be read nobody has got.
func decodeKept(e *stream.Entry) *adapter.Message {
	h, err := headerOf(e)
	if err != nil || h.Kind() != adapter.KindBroadcast {
		return nil
	}
	m, err := h.Message()
	if err != nil || m == nil || m.Broadcast.Volatile {
		return nil
	}
	m.Offset = e.ID
	return m
}

// Start returns where the link's deliveries begin; see adapter.RecoveryLink. It is empty
// for a link that only publishes.
func (l *recoveryLink) Start() string {
	if l.listener == nil {
		return ""
	}
	return l.listener.Start()
}

// Compare orders two offsets; see adapter.RecoveryLink.
func (l *recoveryLink) Compare(a, b string) int { return stream.Compare(a, b) }

// outage is how long is waited for a log that is known to be away: what cuts a node from
// Redis often cuts clients too, and they are back in a moment.
const outage = time.Second

// reachable returns when the log works, or says why nothing can be kept or read.
func (l *recoveryLink) reachable(ctx context.Context) error {
	if l.closed.Load() {
		return adapter.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, outage)
	defer cancel()
	return l.log.Await(ctx)
}

func (l *recoveryLink) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %s of %q: %w", what, l.topic, err)
}

func (l *recoveryLink) recordKey(privateID string) string {
	return l.streams.options.SessionKeyPrefix + privateID
}

// openRecord reads what is kept under key. What is another namespace's, somebody else's,
// or cannot be read is no record; a Node.js server does not say the namespace.
func (l *recoveryLink) openRecord(key, privateID, value string) (*adapter.Record, error) {
	topic, r, err := wire.DecodeRecord(l.adapter.opts.HMACKey, key, value)
	if err != nil || topic != "" && topic != l.topic || r.PrivateID != privateID {
		return nil, adapter.ErrNoRecord
	}
	return r, nil
}
