package server_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	gosync "sync"
	"testing"
	"testing/synctest"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// store is a node's view of a memory adapter in which things go as they may go in a
// backend: deliveries lag behind the log, and steps fail or take long.
type store struct {
	*memory.Adapter
	saved chan string // private ids of records, once they are kept

	mu     gosync.Mutex
	before func(step, privateID string) error // asked before each step; nil: nothing is special
	valves []*valve
}

var errStore = errors.New("store: out of order")

func newStore(bus *memory.Adapter) *store {
	return &store{Adapter: bus, saved: make(chan string, 100_000)}
}

// recovering runs a node with recovery.
func recovering(t testing.TB, options server.Options) (*server.Server, string, *store) {
	t.Helper()
	s := newStore(memory.New())
	node, url := s.serve(t, options)
	return node, url, s
}

// serve runs a node that sees the backend as s does.
func (s *store) serve(t testing.TB, options server.Options) (*server.Server, string) {
	t.Helper()
	options.Adapter = s
	if options.Recovery == nil {
		options.Recovery = &server.Recovery{}
	}
	node, url := start(t, options)
	joining(node.Of("/"))
	return node, url
}

// recoveringInBubble runs a node with recovery on a network of pipes with fake time.
func recoveringInBubble(t *testing.T, options server.Options, test func(t *testing.T, s *server.Server, kept *store, dial rawclient.Dialer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		kept := newStore(memory.New())
		options.Adapter, options.Logger = kept, quiet
		if options.Recovery == nil {
			options.Recovery = &server.Recovery{}
		}
		s, err := server.New(options)
		if err != nil {
			t.Fatal(err)
		}
		network := pipenet.New()
		web := &http.Server{Handler: s}
		var serving gosync.WaitGroup
		serving.Go(func() { _ = web.Serve(network) })
		defer func() {
			errs(t, s.Shutdown(context.Background()), web.Close())
			serving.Wait()
		}()
		sync(s.Of("/"))
		test(t, s, kept, network.Dial)
	})
}

// intervene makes before be asked before each step: "save", "find", "take",
// "missed"; after a record was "taken"; and, for each broadcast, after it was "read".
func (s *store) intervene(before func(step, privateID string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *store) step(name, privateID string) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(name, privateID)
}

// JoinRecoverable puts a valve before deliver.
func (s *store) JoinRecoverable(ctx context.Context, topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) (adapter.RecoveryLink, error) {
	v := &valve{deliver: deliver}
	link, err := s.Adapter.JoinRecoverable(ctx, topic, self, r, v.put)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.valves = append(s.valves, v)
	return &storeLink{link, s}, nil
}

// lag makes deliveries wait for flow.
func (s *store) lag() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.valves {
		v.shut()
	}
}

// open lets deliveries pass again, those that wait first.
func (s *store) open() {
	s.mu.Lock()
	valves := s.valves
	s.mu.Unlock()
	for _, v := range valves {
		v.flow(0, true)
	}
}

// flow waits for the next n deliveries of the namespace "/" and passes them on.
func (s *store) flow(t testing.TB, n int) {
	t.Helper()
	s.mu.Lock()
	v := s.valves[0]
	s.mu.Unlock()
	eventually(t, "deliveries", func() bool { return v.flow(n, false) })
}

// valve keeps deliveries back while it is closed.
type valve struct {
	deliver func(*adapter.Message)

	mu      gosync.Mutex // held while deliver runs: one call at a time
	closed  bool
	waiting []*adapter.Message
}

func (v *valve) put(m *adapter.Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		v.waiting = append(v.waiting, m)
		return
	}
	v.deliver(m)
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
}

// flow passes on n deliveries if there are as many, or all that there are and those
// to come.
func (v *valve) flow(n int, all bool) (done bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if all {
		v.closed, n = false, len(v.waiting)
	}
	if len(v.waiting) < n {
		return false
	}
	for _, m := range v.waiting[:n] {
		v.deliver(m)
	}
	v.waiting = v.waiting[n:]
	return true
}

// storeLink is a link whose steps are announced.
type storeLink struct {
	adapter.RecoveryLink
	store *store
}

func (l *storeLink) Save(ctx context.Context, r *adapter.Record) error {
	if err := l.store.step("save", r.PrivateID); err != nil {
		return err
	}
	err := l.RecoveryLink.Save(ctx, r)
	l.store.saved <- r.PrivateID
	return err
}

func (l *storeLink) Find(ctx context.Context, privateID, offset string) (*adapter.Record, error) {
	if err := l.store.step("find", privateID); err != nil {
		return nil, err
	}
	return l.RecoveryLink.Find(ctx, privateID, offset)
}

func (l *storeLink) Take(ctx context.Context, found *adapter.Record) (*adapter.Record, error) {
	if err := l.store.step("take", found.PrivateID); err != nil {
		return nil, err
	}
	r, err := l.RecoveryLink.Take(ctx, found)
	if err == nil {
		err = l.store.step("taken", found.PrivateID)
	}
	return r, err
}

func (l *storeLink) Missed(ctx context.Context, offset string) iter.Seq2[*adapter.Message, error] {
	return func(yield func(*adapter.Message, error) bool) {
		if err := l.store.step("missed", ""); err != nil {
			yield(nil, err)
			return
		}
		for m, err := range l.RecoveryLink.Missed(ctx, offset) {
			if err == nil {
				err = l.store.step("read", "")
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}
