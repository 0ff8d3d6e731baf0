package adaptertest

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// onLog is a fault in a link to a topic with a log.
func onLog(spoil func(*fixtureLog)) func() fault {
	return func() fault { return fault{logged: spoil} }
}

// retaining is a fault in how long things are kept.
func retaining(change func(*adapter.Retention)) func() fault {
	return func() fault { return fault{retain: change} }
}

// recoveryFaults has an adapter that breaks one rule of recovery alone, for each.
var recoveryFaults = map[string]func() fault{
	"Recovery_OneOrder":                    onLog(oneAhead),
	"Recovery_OffsetIsItsOwn":              onLog(repeatedOffset),
	"Recovery_VolatileIsNotKept":           onLog(keepVolatile),
	"Recovery_OtherKinds":                  onLog(echoOtherKinds),
	"Recovery_MissedIsExact":               onLog(endEarly),
	"Recovery_StartIsWhereDeliveriesBegin": onLog(startAtTheBeginning),
	"Recovery_OffsetsCompare":              onLog(func(l *fixtureLog) { l.compare = strings.Compare }),
	"Recovery_StrangeOffset":               onLog(trimOffsets),
	"Recovery_LogBytes":                    retaining(func(r *adapter.Retention) { r.MaxLogBytes = 1 << 30 }),
	"Recovery_RecordIsWhole": onLog(func(l *fixtureLog) {
		save := l.save
		l.save = func(ctx context.Context, r *adapter.Record) error {
			spoilt := *r
			spoilt.Since = ""
			return save(ctx, &spoilt)
		}
	}),
	"Recovery_FindLeavesIt": onLog(func(l *fixtureLog) {
		find := l.find
		l.find = func(ctx context.Context, id, offset string) (*adapter.Record, error) {
			r, err := find(ctx, id, offset)
			if offset == "made up" {
				_, _ = l.take(ctx, later(id))
			}
			return r, err
		}
	}),
	"Recovery_TakenOnce": takenByBoth,
	"Recovery_TakeOfAnother": onLog(func(l *fixtureLog) {
		take := l.take
		l.take = func(ctx context.Context, found *adapter.Record) (*adapter.Record, error) {
			return take(ctx, &adapter.Record{PrivateID: found.PrivateID, Incarnation: l.owner(found.PrivateID)})
		}
	}),
	"Recovery_RecordOfItsTopic": findAnywhere,
	"Recovery_TooLargeRecord": retaining(func(r *adapter.Retention) {
		if r.MaxRecordBytes > 0 {
			r.MaxRecordBytes = 1 << 30
		}
	}),
	"Recovery_OldestRecordsGo": retaining(func(r *adapter.Retention) { r.MaxRecords = 1000 }),
	"Recovery_WindowEnds":      retaining(func(r *adapter.Retention) { r.Unnoticed = time.Hour }),
	"Recovery_JoinIsDegraded": onLog(func(l *fixtureLog) {
		if !l.fixture.reached() {
			l.start = func() string { return "" }
		}
	}),
	"Recovery_SavedAgain": onLog(func(l *fixtureLog) {
		save := l.save
		l.save = func(ctx context.Context, r *adapter.Record) error {
			if !r.First && l.owner(r.PrivateID) == r.Incarnation {
				return nil
			}
			return save(ctx, r)
		}
	}),

	"Keeper_RenewKeeps": onLog(func(l *fixtureLog) {
		l.renew = func(_ context.Context, records []*adapter.Record) (missing []int, err error) {
			for i, r := range records {
				if l.owner(r.PrivateID) != r.Incarnation {
					missing = append(missing, i)
				}
			}
			return missing, nil
		}
	}),
	"Keeper_RenewOfMissing": onLog(func(l *fixtureLog) {
		l.renew = func(ctx context.Context, records []*adapter.Record) ([]int, error) {
			missing, err := l.saveAgain(ctx, records)
			if err != nil || len(records) < 100 {
				return missing, err
			}
			return nil, adapter.ErrNoRecord
		}
	}),
	"Keeper_Forget": onLog(func(l *fixtureLog) {
		l.forget = func(_ context.Context, r *adapter.Record) error {
			if owner := l.owner(r.PrivateID); owner != "" && owner != r.Incarnation {
				return adapter.ErrTaken
			}
			return nil
		}
	}),
	"Keeper_LateSave": onLog(func(l *fixtureLog) {
		forgotten, forget := map[string]bool{}, l.forget
		l.forget = func(ctx context.Context, r *adapter.Record) error {
			forgotten[r.PrivateID] = true
			return forget(ctx, r)
		}
		l.save = func(ctx context.Context, r *adapter.Record) error {
			revived := *r
			revived.First = r.First || l.owner(r.PrivateID) == "" && !forgotten[r.PrivateID]
			return l.saveOwn(ctx, &revived)
		}
	}),
	"Keeper_OtherIncarnation": onLog(func(l *fixtureLog) {
		l.save = func(ctx context.Context, r *adapter.Record) error {
			forced := *r
			forced.First = r.First || l.owner(r.PrivateID) != ""
			return l.saveOwn(ctx, &forced)
		}
	}),
	"Keeper_ForgetOfAnother": onLog(func(l *fixtureLog) {
		l.forget = func(ctx context.Context, r *adapter.Record) error {
			found := &adapter.Record{PrivateID: r.PrivateID, Incarnation: l.owner(r.PrivateID)}
			if _, err := l.takeOnce(ctx, found); !errors.Is(err, adapter.ErrNoRecord) {
				return err
			}
			return nil
		}
	}),
	"Keeper_OutlivesItsNode": onLog(func(l *fixtureLog) {
		var own []*adapter.Record
		save, closeThis := l.save, l.close
		l.save = func(ctx context.Context, r *adapter.Record) error {
			own = append(own, r)
			return save(ctx, r)
		}
		l.close = func(ctx context.Context) error {
			for _, r := range own {
				_ = l.forget(ctx, r)
			}
			return closeThis(ctx)
		}
	}),

	"TotalOrder_OwnComeBack": onLog(func(l *fixtureLog) {
		deliver := l.deliver
		l.deliver = func(m *adapter.Message) {
			if m.From != l.self || l.retention != (adapter.Retention{}) || numberOf(m) < 50 {
				deliver(m)
			}
		}
	}),
	"TotalOrder_OwnChangesComeBack": onLog(func(l *fixtureLog) {
		deliver := l.deliver
		l.deliver = func(m *adapter.Message) {
			if m.Request == nil || m.From != l.self {
				deliver(m)
			}
		}
	}),
	"TotalOrder_NoRecords": retaining(func(r *adapter.Retention) { r.MaxRecordBytes = max(r.MaxRecordBytes, 1000) }),
}

// oneAhead delivers one of many senders' broadcasts before the one in front of it.
func oneAhead(l *fixtureLog) {
	n, deliver := 0, l.deliver
	var held *adapter.Message
	l.deliver = func(m *adapter.Message) {
		if n++; n == 150 && l.crowded() {
			held = m
			return
		}
		deliver(m)
		if held != nil {
			deliver(held)
			held = nil
		}
	}
}

// crowded says whether the log has broadcasts of several senders.
func (l *fixtureLog) crowded() bool {
	senders := map[adapter.NodeID]bool{}
	for m, err := range l.RecoveryLink.Missed(context.Background(), l.RecoveryLink.Start()) {
		if err == nil {
			senders[m.From] = true
		}
	}
	return len(senders) > 1
}

// repeatedOffset gives broadcast 8 the offset of the one before, if it is the ninth.
func repeatedOffset(l *fixtureLog) {
	n, eighth, deliver := 0, "", l.deliver
	l.deliver = func(m *adapter.Message) {
		switch n++; {
		case n == 8:
			eighth = m.Offset
		case n == 9 && numberOf(m) == 8 && len(m.Broadcast.Packet.Attachments) == 0:
			m.Offset = eighth
		}
		deliver(m)
	}
}

func keepVolatile(l *fixtureLog) {
	publish := l.publish
	l.publish = func(ctx context.Context, m *adapter.Message) error {
		kept := m.Clone()
		if kept.Broadcast != nil {
			kept.Broadcast.Volatile = false
		}
		return publish(ctx, kept)
	}
}

func echoOtherKinds(l *fixtureLog) {
	publish := l.publish
	l.publish = func(ctx context.Context, m *adapter.Message) error {
		if m.Heartbeat != nil && m.To == "" {
			l.deliver(m.Clone())
		}
		return publish(ctx, m)
	}
}

// endEarly takes two hundred and ninety for the whole log.
func endEarly(l *fixtureLog) {
	missed := l.missed
	l.missed = func(ctx context.Context, offset string) iter.Seq2[*adapter.Message, error] {
		return func(yield func(*adapter.Message, error) bool) {
			n := 0
			for m, err := range missed(ctx, offset) {
				if n++; n > 290 || !yield(m, err) {
					return
				}
			}
		}
	}
}

// startAtTheBeginning takes the log's first offset for that of each link.
func startAtTheBeginning(l *fixtureLog) {
	start := l.start
	l.start = func() string {
		epoch, _, _ := strings.Cut(start(), "-")
		return epoch + "-0"
	}
}

// trimOffsets forgives spaces.
func trimOffsets(l *fixtureLog) {
	missed := l.missed
	l.missed = func(ctx context.Context, offset string) iter.Seq2[*adapter.Message, error] {
		return missed(ctx, strings.TrimSpace(offset))
	}
}

// takenByBoth gives a record to one that wanted it at the same time, too.
func takenByBoth() fault {
	var mu sync.Mutex
	var asking atomic.Int32
	taken := map[string]*adapter.Record{}
	return fault{logged: func(l *fixtureLog) {
		take := l.take
		l.take = func(ctx context.Context, found *adapter.Record) (*adapter.Record, error) {
			asking.Add(1)
			defer asking.Add(-1)
			_ = wait(ctx, time.Microsecond) // so that all who ask at the same time are here
			mu.Lock()
			defer mu.Unlock()
			r, err := take(ctx, found)
			if err == nil && asking.Load() > 1 {
				taken[l.topic+found.PrivateID] = r
			} else if late := taken[l.topic+found.PrivateID]; late != nil {
				delete(taken, l.topic+found.PrivateID)
				return late, nil
			}
			return r, err
		}
	}}
}

// findAnywhere looks into the other topics' records too.
func findAnywhere() fault {
	var mu sync.Mutex
	var logs []*fixtureLog
	return fault{logged: func(l *fixtureLog) {
		mu.Lock()
		defer mu.Unlock()
		logs = append(logs, l)
		find := l.find
		l.find = func(ctx context.Context, id, offset string) (*adapter.Record, error) {
			r, err := find(ctx, id, offset)
			mu.Lock()
			defer mu.Unlock()
			for _, other := range logs {
				if errors.Is(err, adapter.ErrNoRecord) && other.topic != l.topic {
					r, err = other.RecoveryLink.Find(ctx, id, other.RecoveryLink.Start())
				}
			}
			return r, err
		}
	}}
}

// owner returns whose record the store has, as an incarnation.
func (l *fixtureLog) owner(privateID string) string {
	t := l.fixture.tombs
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live[l.topic+privateID]
}
