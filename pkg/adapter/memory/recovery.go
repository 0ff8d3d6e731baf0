package memory

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// recoveryLink is a link to a topic with a log.
type recoveryLink struct {
	*link
	log       *broadcastLog
	retention adapter.Retention
	start     string
}

var _ adapter.RecoveryLink = (*recoveryLink)(nil)

// JoinRecoverable enters topic as self; see adapter.RecoveryStore. It blocks and
// fails as Join does. From then on the topic has a log: broadcasts to all that a
// node joined by Join publishes are logged and get an offset too. A message with To
// is not logged, whatever its kind.
//
// What is kept survives the last Close, so that another node of the process may
// go on with it, but is released only when somebody joins by JoinRecoverable
// again, or with the Adapter.
func (a *Adapter) JoinRecoverable(ctx context.Context, topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) (adapter.RecoveryLink, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: join %q: %w", topic, err)
	}
	l := a.enterLogged(topic, self, r, deliver)
	a.sweeper.enter()
	return l, nil
}

func (a *Adapter) enterLogged(topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) *recoveryLink {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.enter(topic, self, deliver)
	l.logged = true
	if l.topic.log == nil {
		l.topic.log = newBroadcastLog(a)
	}
	l.topic.log.retain(r)
	return &recoveryLink{link: l, log: l.topic.log, retention: r, start: l.topic.log.end()}
}

// sweep removes what is too old, and topics that nothing is left of. It returns
// how long the oldest that is left may stay, and false if nothing is.
func (a *Adapter) sweep() (stay time.Duration, left bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Since(a.started)
	stay, left = a.records.sweep(now)
	for _, t := range a.topics {
		if t.log == nil {
			continue
		}
		if this, kept := t.log.sweep(now); kept && (!left || this < stay) {
			stay, left = this, true
		}
		a.forget(t)
	}
	return stay, left
}

// Save keeps a copy of r; see adapter.RecoveryLink. It does not block.
func (l *recoveryLink) Save(ctx context.Context, r *adapter.Record) error {
	if err := l.usable(ctx); err != nil {
		return fmt.Errorf("memory: save a record in %q: %w", l.topic.name, err)
	}
	if int64(r.Size()) > l.retention.MaxRecordBytes {
		return fmt.Errorf("memory: save a record in %q: %w", l.topic.name, adapter.ErrTooLarge)
	}
	l.adapter.records.save(l.log, l.self, r, time.Since(l.adapter.started), l.retention)
	l.adapter.sweeper.wake(l.retention.Window)
	return nil
}

// Find returns a copy of a record; see adapter.RecoveryLink. An offset is good as
// long as all that followed it is in the log; it may be that of the newest
// broadcast, and its own broadcast may be gone. Find does not block.
func (l *recoveryLink) Find(ctx context.Context, privateID, offset string) (*adapter.Record, error) {
	if err := l.usable(ctx); err != nil {
		return nil, fmt.Errorf("memory: find a record in %q: %w", l.topic.name, err)
	}
	r, err := l.adapter.records.find(l.log, privateID, offset, time.Since(l.adapter.started))
	if err != nil {
		return nil, fmt.Errorf("memory: find a record in %q: %w", l.topic.name, err)
	}
	return r, nil
}

// Take takes a record out; see adapter.RecoveryLink. It does not block.
func (l *recoveryLink) Take(ctx context.Context, found *adapter.Record) (*adapter.Record, error) {
	if err := l.usable(ctx); err != nil {
		return nil, fmt.Errorf("memory: take a record in %q: %w", l.topic.name, err)
	}
	r, err := l.adapter.records.take(l.log, found, time.Since(l.adapter.started))
	if err != nil {
		return nil, fmt.Errorf("memory: take a record in %q: %w", l.topic.name, err)
	}
	return r, nil
}

// Missed reads the log; see adapter.RecoveryLink. No lock is held while a broadcast
// is yielded.
func (l *recoveryLink) Missed(ctx context.Context, offset string) iter.Seq2[*adapter.Message, error] {
	return func(yield func(*adapter.Message, error) bool) {
		err := l.usable(ctx)
		if err == nil {
			err = l.log.missed(ctx, offset, func(m *adapter.Message) bool { return yield(m, nil) })
		}
		if err != nil {
			yield(nil, fmt.Errorf("memory: read the log of %q: %w", l.topic.name, err))
		}
	}
}

// Start returns the log's end when the link joined; see adapter.RecoveryLink.
func (l *recoveryLink) Start() string { return l.start }

// Compare orders two offsets; see adapter.RecoveryLink.
func (l *recoveryLink) Compare(a, b string) int { return cmp.Compare(l.log.rank(a), l.log.rank(b)) }

// usable says why nothing can be kept or read for this link any more.
func (l *recoveryLink) usable(ctx context.Context) error {
	l.adapter.mu.RLock()
	defer l.adapter.mu.RUnlock()
	if _, joined := l.topic.links[l.link]; !joined {
		return adapter.ErrClosed
	}
	return ctx.Err()
}
