//go:build integration

package interop

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/packet"
)

// member is a roomcast node without a server: it answers for one socket that it
// makes up, and keeps what else it hears.
type member struct {
	id      string
	link    adapter.Link
	changed chan struct{} // one token: something was heard

	serving sync.Mutex // held while it answers
	left    bool

	mu         sync.Mutex
	requests   []*adapter.Message
	responses  []*adapter.Message
	broadcasts []*adapter.Message
}

// form is a way in which the servers of a cluster speak.
type form struct {
	name    string
	adapter string // as openAdapter of adapters.mjs calls it
	option  string // of peer.mjs
}

// In the classic adapter "specific" has answers go to who has asked alone; the others do
// that in any case. An option of the sharded one is its mode.
var forms = []form{
	{"classic", "classic", ""}, {"classic, specific", "classic", "specific"},
	{"sharded", "sharded", "dynamic"}, {"sharded, private", "sharded", "dynamic-private"}, {"streams", "streams", ""},
}

// open makes an adapter of that form.
func (f form) open(client goredis.UniversalClient) (adapter.Adapter, error) {
	options := redis.Options{NodeJS: true, PublishOnSpecificResponseChannel: f.option == "specific", Logger: slog.New(slog.DiscardHandler)}
	switch f.adapter {
	case "sharded":
		mode := redis.Dynamic
		if f.option == "dynamic-private" {
			mode = redis.DynamicPrivate
		}
		return redis.NewSharded(client, redis.ShardedOptions{Options: options, SubscriptionMode: mode})
	case "streams":
		return redis.NewStreams(client, redis.StreamsOptions{Options: options})
	}
	return redis.New(client, options)
}

// joinMember enters "/" with an adapter of its own, until the test ends.
func joinMember(t *testing.T, id, redisAddr string, f form) *member {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: redisAddr})
	t.Cleanup(func() { _ = client.Close() })
	bus, err := f.open(client)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{id: id, changed: make(chan struct{}, 1)}
	open := make(chan struct{}) // answers need the link
	m.link, err = join(t.Context(), bus, adapter.NodeID(id), func(received *adapter.Message) {
		<-open
		m.hear(t, received)
	})
	if err != nil {
		t.Fatal(err)
	}
	close(open)
	t.Cleanup(func() {
		m.serving.Lock() // who has all answers need not wait for the end of the last one
		m.left = true
		m.serving.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := m.link.Close(ctx); err != nil {
			t.Error(err)
		}
		if dropped := bus.(adapter.Reporter).Status().Dropped; len(dropped) > 0 {
			t.Errorf("%s dropped %v", id, dropped)
		}
	})
	return m
}

// join enters "/" as a server without recovery does.
func join(ctx context.Context, bus adapter.Adapter, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	if log, ok := bus.(adapter.TotalOrder); ok {
		return log.JoinRecoverable(ctx, "/", self, adapter.Retention{}, deliver)
	}
	return bus.Join(ctx, "/", self, deliver)
}

func (m *member) hear(t *testing.T, received *adapter.Message) {
	m.mu.Lock()
	switch {
	case received.Request != nil:
		m.requests = append(m.requests, received)
	case received.Response != nil:
		m.responses = append(m.responses, received)
	case received.Broadcast != nil:
		m.broadcasts = append(m.broadcasts, received)
	}
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default:
	}
	if received.Request != nil {
		m.serve(t, received.From, received.Request)
	}
}

// serve answers as a server with one socket would.
func (m *member) serve(t *testing.T, from adapter.NodeID, r *adapter.Request) {
	m.serving.Lock()
	defer m.serving.Unlock()
	if m.left {
		return
	}
	answer := func(a adapter.Response) {
		a.ID, a.Action = r.ID, r.Action
		if err := m.link.Publish(t.Context(), &adapter.Message{To: from, Kind: adapter.KindResponse, Response: &a}); err != nil {
			t.Error(err)
		}
	}
	reply := &packet.Packet{Type: packet.Ack, Data: fmt.Appendf(nil, `[{"from":%q,"argument":1},"more"]`, m.id)}
	switch r.Action {
	case adapter.ActionFetch:
		answer(adapter.Response{Done: true, Receivers: 1, Sockets: []adapter.Socket{{
			ID: "socket of " + m.id, Rooms: []string{"socket of " + m.id}, Handshake: []byte(`{"address":"::1"}`), Data: []byte(`{"owner":"` + m.id + `"}`),
		}}})
	case adapter.ActionRooms:
		answer(adapter.Response{Done: true, Rooms: []string{"room of " + m.id}})
	case adapter.ActionEvent:
		if r.ID != "" {
			answer(adapter.Response{Done: true, Answer: reply})
		}
	case adapter.ActionCall:
		answer(adapter.Response{Receivers: 2})
		answer(adapter.Response{Answer: reply})
		answer(adapter.Response{Answer: reply})
		answer(adapter.Response{Done: true})
	}
}

// ask publishes a request.
func (m *member) ask(t *testing.T, r adapter.Request) {
	t.Helper()
	if err := m.link.Publish(t.Context(), &adapter.Message{Kind: adapter.KindRequest, Request: &r}); err != nil {
		t.Fatal(err)
	}
}

// answers waits until there are n responses to the request id.
func (m *member) answers(t *testing.T, id string, n int) []*adapter.Message {
	t.Helper()
	return m.await(t, &m.responses, n, func(r *adapter.Message) bool { return r.Response.ID == id })
}

// asked waits until another server has sent a request of that kind.
func (m *member) asked(t *testing.T, action adapter.Action) *adapter.Request {
	t.Helper()
	return m.await(t, &m.requests, 1, func(r *adapter.Message) bool { return r.Request.Action == action && r.From != adapter.NodeID(m.id) })[0].Request
}

// await waits until n messages of a list match.
func (m *member) await(t *testing.T, list *[]*adapter.Message, n int, matches func(*adapter.Message) bool) []*adapter.Message {
	t.Helper()
	deadline := time.After(patience)
	for {
		var found []*adapter.Message
		m.mu.Lock()
		for _, one := range *list {
			if matches(one) {
				found = append(found, one)
			}
		}
		m.mu.Unlock()
		if len(found) >= n {
			return found
		}
		select {
		case <-m.changed:
		case <-deadline:
			t.Fatalf("%s: %d messages, want %d", m.id, len(found), n)
		}
	}
}
