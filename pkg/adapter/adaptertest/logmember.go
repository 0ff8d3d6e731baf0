package adaptertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// ample is a retention that the checks do not exceed unless they mean to.
var ample = adapter.Retention{Window: time.Minute, MaxRecords: 1000, MaxRecordBytes: 1 << 16, MaxLogBytes: 1 << 24}

// logMember is a node's link to a namespace whose broadcasts are kept.
type logMember struct {
	*member
	log adapter.RecoveryLink
}

// joinLog enters a namespace with a retention and collects what arrives.
func (n *node) joinLog(namespace string, r adapter.Retention) *logMember {
	n.Helper()
	m := &logMember{member: &member{node: n, topic: namespace, inbox: newMailbox()}}
	n.must("JoinRecoverable", n.call(func(ctx context.Context) error { return m.enter(ctx, r) }))
	return m
}

// enter joins the topic; the check's end closes the link if there is one.
func (m *logMember) enter(ctx context.Context, r adapter.Retention) (err error) {
	store, ok := m.adapter.(adapter.RecoveryStore)
	if !ok {
		return errors.New("Config.New returned a RecoveryStore once, and then another adapter")
	}
	m.log, err = store.JoinRecoverable(ctx, m.topic, m.id, r, m.inbox.put)
	if m.log != nil {
		m.link = m.log
		m.Cleanup(m.leave)
	}
	return err
}

// logged joins n new nodes to a namespace with a log.
func (tr *trial) logged(n int, r adapter.Retention) []*logMember {
	tr.Helper()
	namespace := tr.namespace()
	members := make([]*logMember, n)
	for i := range members {
		members[i] = tr.node().joinLog(namespace, r)
	}
	return members
}

// tellEach publishes broadcasts with the numbers, and returns them as they come
// back to the sender.
func (m *logMember) tellEach(numbers ...uint32) []*adapter.Message {
	m.Helper()
	var back []*adapter.Message
	for _, number := range numbers {
		m.publish(event(m.topic, number))
		got := m.next()
		if numberOf(got) != number {
			m.Fatalf("the sender heard broadcast %d, want its own %d", numberOf(got), number)
		}
		back = append(back, got)
	}
	return back
}

// missed returns the numbers that follow offset, and what ended them.
func (m *logMember) missed(offset string) (numbers []uint32, err error) {
	m.Helper()
	err = m.call(func(ctx context.Context) error {
		for message, err := range m.log.Missed(ctx, offset) {
			if err != nil {
				return err
			}
			numbers = append(numbers, numberOf(message))
		}
		return nil
	})
	return numbers, err
}

func (m *logMember) wantMissed(offset string, want ...uint32) {
	m.Helper()
	if got, err := m.missed(offset); err != nil || !slices.Equal(got, want) {
		m.Errorf("after offset %q: got %v and %v, want %v", offset, got, err, want)
	}
}

func (m *logMember) wantGap(offset string) {
	m.Helper()
	if got, err := m.missed(offset); !errors.Is(err, adapter.ErrNoOffset) {
		m.Errorf("after offset %.40q: got %v and %v, want ErrNoOffset", offset, got, err)
	}
}

// secret returns the private session id that a check calls by name: the backend is
// shared, and such ids are never used again.
func (m *logMember) secret(name string) string { return name + m.run }

// named returns r as a check knows it.
func (m *logMember) named(r *adapter.Record) *adapter.Record {
	if r == nil {
		return nil
	}
	known := *r
	known.PrivateID = strings.TrimSuffix(r.PrivateID, m.run)
	return &known
}

// save keeps a first record of that private session id.
func (m *logMember) save(name string) {
	m.Helper()
	m.must("Save", m.saveAs(&adapter.Record{PrivateID: name, SocketID: "s", Incarnation: "first", First: true}))
}

func (m *logMember) saveAs(r *adapter.Record) error {
	saved := *r
	saved.PrivateID = m.secret(r.PrivateID)
	return m.call(func(ctx context.Context) error { return m.log.Save(ctx, &saved) })
}

func (m *logMember) find(name, offset string) (r *adapter.Record, err error) {
	err = m.call(func(ctx context.Context) (err error) {
		r, err = m.log.Find(ctx, m.secret(name), offset)
		return err
	})
	return m.named(r), err
}

// take takes a record as save and later have it.
func (m *logMember) take(name string) (*adapter.Record, error) { return m.takeAs(later(name)) }

func (m *logMember) takeAs(found *adapter.Record) (r *adapter.Record, err error) {
	known := &adapter.Record{PrivateID: m.secret(found.PrivateID), Incarnation: found.Incarnation}
	err = m.call(func(ctx context.Context) (err error) {
		r, err = m.log.Take(ctx, known)
		return err
	})
	return m.named(r), err
}

// wants fails the check unless err is want.
func (m *logMember) wants(what string, err, want error) {
	m.Helper()
	if !errors.Is(err, want) {
		m.Errorf("%s: got %v, want %v", what, err, want)
	}
}
