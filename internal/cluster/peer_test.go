package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

// peer is another node in the namespace "/" that only the test speaks for.
type peer struct {
	*witness
	id    adapter.NodeID
	topic adapter.Link

	mu       sync.Mutex
	messages []*adapter.Message
}

// meet adds a peer that has announced the namespace.
func meet(t *testing.T, hub *memory.Adapter, id adapter.NodeID) *peer {
	t.Helper()
	p := stranger(t, hub, id)
	p.announce("/other", "/")
	return p
}

// stranger adds a peer that is no member.
func stranger(t *testing.T, hub *memory.Adapter, id adapter.NodeID) *peer {
	t.Helper()
	p := &peer{witness: watch(t, hub, id), id: id}
	link, err := hub.Join(t.Context(), "/", id, func(m *adapter.Message) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.messages = append(p.messages, m)
	})
	if err != nil {
		t.Fatal(err)
	}
	p.topic = link
	t.Cleanup(func() { _ = link.Close(context.Background()) })
	return p
}

// announce is a heartbeat with these namespaces.
func (p *peer) announce(namespaces ...string) {
	p.t.Helper()
	p.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: 1, Namespaces: namespaces}})
}

// arrived returns what came in the namespace since the last call.
func (p *peer) arrived() []*adapter.Message {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	messages := p.messages
	p.messages = nil
	return messages
}

// request returns the one request that has come.
func (p *peer) request() *adapter.Message {
	p.t.Helper()
	messages := p.arrived()
	if len(messages) != 1 || messages[0].Kind != adapter.KindRequest {
		p.t.Fatalf("%s got %d messages of kinds %v, want one request", p.id, len(messages), kinds(messages))
	}
	return messages[0]
}

// answer sends r, which answers m.
func (p *peer) answer(m *adapter.Message, r adapter.Response) {
	p.t.Helper()
	r.ID, r.Action = m.Request.ID, m.Request.Action
	p.publish(&adapter.Message{To: m.From, Kind: adapter.KindResponse, Response: &r})
}

func (p *peer) publish(m *adapter.Message) {
	p.t.Helper()
	if err := p.topic.Publish(p.t.Context(), m); err != nil {
		p.t.Fatal(err)
	}
	synctest.Wait()
}

// asking is a call under way.
type asking struct {
	t     *testing.T
	began time.Time
	got   []*adapter.Response
	ended chan struct{}
	took  time.Duration
	err   error
}

// ask begins a call and waits for it in a goroutine.
func ask(ctx context.Context, t *testing.T, topic *Topic, action adapter.Action) *asking {
	t.Helper()
	a := &asking{t: t, began: time.Now(), ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		a.err = topic.Ask(ctx, &adapter.Request{Action: action}, func(r *adapter.Response) { a.got = append(a.got, r) })
		a.took = time.Since(a.began)
	}()
	synctest.Wait()
	return a
}

// pending fails the test if the call has ended.
func (a *asking) pending(when string) {
	a.t.Helper()
	synctest.Wait()
	select {
	case <-a.ended:
		a.t.Fatalf("%s: the call has ended after %v with %v", when, a.took, a.err)
	default:
	}
}

// ends waits for the call's end and checks when it was.
func (a *asking) ends(after time.Duration) {
	a.t.Helper()
	<-a.ended
	if a.took != after {
		a.t.Errorf("the call took %v, want %v", a.took, after)
	}
}

// succeeds is ends after no time and without an error.
func (a *asking) succeeds() {
	a.t.Helper()
	a.ends(time.Since(a.began))
	if a.err != nil {
		a.t.Errorf("got %v, want no error", a.err)
	}
}

// isPartial checks whose answers are missing and why.
func isPartial(t *testing.T, err, cause error, unnamed int, missing ...adapter.NodeID) {
	t.Helper()
	var partial *PartialError
	if !errors.As(err, &partial) {
		t.Fatalf("got %v, want a PartialError", err)
	}
	if !slices.Equal(partial.Missing, missing) || partial.Unnamed != unnamed || !errors.Is(err, cause) {
		t.Errorf("got %q, want nodes %v and %d unnamed ones missing because of: %v", err, missing, unnamed, cause)
	}
}

// rooms are the names in the answers, in order of arrival.
func (a *asking) rooms() []string {
	var rooms []string
	for _, r := range a.got {
		rooms = append(rooms, r.Rooms...)
	}
	return rooms
}

func (n *Node) pendingCalls() int {
	n.calls.mu.Lock()
	defer n.calls.mu.Unlock()
	return len(n.calls.byID)
}
