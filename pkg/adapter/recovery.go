package adapter

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Errors of a RecoveryLink; test for them with errors.Is.
var (
	// ErrNoRecord means that there is no record of that private session id: there
	// never was one, it was restored before, or its time is over.
	ErrNoRecord = errors.New("adapter: no recovery record")
	// ErrNoOffset means that an offset is not one of this log, or that what
	// followed it is no longer kept.
	ErrNoOffset = errors.New("adapter: offset is not in the log")
	// ErrTaken means that a record was taken or forgotten since it was saved: the
	// client has moved to another socket, or will not come back.
	ErrTaken = errors.New("adapter: recovery record was taken")
)

// RecoveryStore is implemented by an Adapter that keeps what clients miss while
// they are away: a log of each namespace's broadcasts, and records of the sockets
// that were disconnected.
type RecoveryStore interface {
	// JoinRecoverable is Adapter.Join for a namespace whose broadcasts are kept.
	// Each broadcast but the volatile ones gets an Offset. All links of the topic,
	// also that of the broadcast's sender, get the topic's broadcasts in one order,
	// which is the log's: what comes later has the later offset. Nodes that join
	// the same topic do so with the same retention. With the zero Retention each
	// record is too large to be saved: the log is for the order alone, see TotalOrder.
	//
	// It waits and fails as Join does, also with a working link and ErrDegraded.
	JoinRecoverable(ctx context.Context, topic string, self NodeID, r Retention, deliver func(*Message)) (RecoveryLink, error)
}

// RecoveryLink is a Link whose topic has a log.
type RecoveryLink interface {
	Link
	// Save keeps r until it is taken or the retention's window is over. It
	// fails with ErrTooLarge for a record beyond the retention's limit. A RecordKeeper
	// fails with ErrTaken, unless it is the incarnation's first, when the record was
	// taken or forgotten, or is another incarnation's.
	Save(ctx context.Context, r *Record) error
	// Find returns the record of that private session id and leaves it where it is.
	// It fails with ErrNoRecord, and with ErrNoOffset when the log cannot say what
	// followed offset. Both come from a client and may be any text: of an offset that
	// this log has never given out, the log may say what followed if it knows that
	// place, but never of one behind its end.
	Find(ctx context.Context, privateID, offset string) (*Record, error)
	// Take takes a record that was found out of the store: at most one call gets it, on
	// all nodes together, until it is saved again. Of found it looks at PrivateID and
	// Incarnation alone. It fails with ErrNoRecord, and with ErrTaken, leaving it, when
	// the record is another incarnation's by now.
	Take(ctx context.Context, found *Record) (*Record, error)
	// Missed yields the broadcasts that follow offset in the log, in order, until
	// the log's end at the time it is reached, which may be ahead of what this link
	// has delivered. An error ends it; ErrNoOffset means that some of them are no
	// longer kept. Many may read the log at a time, and what is yielded is theirs all: it
	// must not be changed, also not the message itself.
	Missed(ctx context.Context, offset string) iter.Seq2[*Message, error]
	// Start returns the offset behind which the deliveries of this link begin: the
	// log's end when it joined, which need not be that of a broadcast of its topic. It
	// is empty while that is not known, because the backend was away then.
	Start() string
	// Compare returns a negative number if offset a comes before b in the log, zero if
	// they are the same, and a positive number otherwise. The empty text comes before
	// all offsets. Both are offsets that this log gave out.
	Compare(a, b string) int
}

// TotalOrder is implemented by a RecoveryStore whose log is how its broadcasts travel:
// all nodes, the sender's included, have them in one order. Requests that change
// sockets (ActionJoin, ActionLeave, ActionDisconnect) and are not addressed to one node
// have their place in it, and reach the sender too. The server then joins
// namespaces by JoinRecoverable, also where clients do not recover.
type TotalOrder interface {
	RecoveryStore
	// TotalOrder does nothing; that it is there says it all.
	TotalOrder()
}

// RecordKeeper is implemented by a RecoveryLink whose records outlive the node that
// has saved them. The server then keeps a record of each socket while it is
// connected, so that its client recovers when the node is killed.
type RecordKeeper interface {
	// Renew keeps records for another window of the retention. Of each it looks at
	// PrivateID and Incarnation alone. missing are the indexes, in order, of those that
	// are not there, or are another incarnation's; Save says which.
	Renew(ctx context.Context, records []*Record) (missing []int, err error)
	// Forget removes a record, whose client will not come back, for good: it cannot be
	// saved later. It looks at PrivateID and Incarnation alone, and fails with ErrTaken for
	// another incarnation's record. It is no error that there is none.
	Forget(ctx context.Context, r *Record) error
}

// Retention bounds what a RecoveryStore keeps for one topic. What is kept outside of
// the program has that backend's bounds instead of MaxRecords and MaxLogBytes, and its
// broadcasts may be kept for longer.
type Retention struct {
	// Window is how long records are kept.
	Window time.Duration
	// Unnoticed is how long a client may have been gone when its record is saved.
	// Broadcasts are kept for Window and that.
	Unnoticed time.Duration
	// MaxRecords is the largest number of records that a node keeps in its memory, of
	// all its topics together; the oldest go first.
	MaxRecords int
	// MaxRecordBytes is the largest size of a record, by Record.Size.
	MaxRecordBytes int64
	// MaxLogBytes bounds the broadcasts that are kept in memory, by Message.Size; the
	// oldest go first.
	MaxLogBytes int64
}

// Record is what is kept of a disconnected socket.
type Record struct {
	// PrivateID is the private session id, a secret of the client's.
	PrivateID string
	// SocketID is the socket's public id.
	SocketID string
	// Node is the node on which the socket was, or is, or empty if that is not known.
	Node NodeID
	// Incarnation tells apart the sockets that were let in under one private session id
	// one after the other: random, of at most 16 characters.
	Incarnation string
	// First says that nothing was saved for this incarnation before.
	First bool
	// Since is an offset: nothing up to it was meant for the socket, which was not
	// connected then.
	Since string
	// Rooms are the rooms that the socket was in, that of its own id included.
	Rooms []string
	// Data is the JSON of what the program has attached to the socket, or nil.
	Data []byte
}
