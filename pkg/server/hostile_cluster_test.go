package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/server"
)

// rogue joins "/" as somebody who is no node and says what he likes. What he hears
// goes to hear.
func rogue(t *testing.T, bus adapter.Adapter, hear func(*adapter.Message)) adapter.Link {
	t.Helper()
	link, err := bus.Join(t.Context(), "/", "rogue", hear)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func deaf(*adapter.Message) {}

// packetOf is an event packet of "/".
func packetOf(data string) packet.Packet {
	return packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(data)}
}

func ask(t *testing.T, link adapter.Link, r adapter.Request) {
	t.Helper()
	if err := link.Publish(t.Context(), &adapter.Message{Kind: adapter.KindRequest, Request: &r}); err != nil {
		t.Fatal(err)
	}
}

// A call that somebody has made up may want its answers for centuries. Clients that do
// not acknowledge owe them for an hour, and can be called again.
func TestHostileCluster_TimeoutsOfCenturies(t *testing.T) {
	bus := memory.New()
	inClusterBubble(t, 1, server.Options{Adapter: bus, MaxPendingAcks: 100}, func(t *testing.T, nodes []node) {
		c, _ := nodes[0].member(t)
		link := rogue(t, bus, deaf)
		defer func() { _ = link.Close(context.Background()) }()
		event := packetOf(`["ask"]`)
		for n := range 150 {
			ask(t, link, adapter.Request{ID: fmt.Sprint(n), Action: adapter.ActionCall, Packet: event, Timeout: 1 << 62})
		}
		for range 100 {
			expectCall(t, c, `["ask"]`)
		}
		call := func() *server.Answers[int] { return server.CallAll[int](t.Context(), nodes[0].Of("/").All(), "own") }
		if got, err := call().Wait(); err != nil || len(got) != 0 {
			t.Errorf("while the client owes as much as it may: %v, %v", got, err)
		}
		for range 361 { // pings are answered by who reads
			time.Sleep(10 * time.Second)
			c.ExpectNothing("/")
		}
		answers := call()
		answerCall(t, c, `["own"]`, "7")
		if got, err := answers.Wait(); err != nil || len(got) != 1 {
			t.Errorf("an hour later: %v, %v", got, err)
		}
	})
}

// A million rooms in one request are no more work for a thousand sockets than for one.
func TestHostileCluster_RequestsOfAMillionRooms(t *testing.T) {
	bus := memory.New()
	v := besiege(t, server.Options{Adapter: bus})
	link := rogue(t, bus, deaf)
	defer func() { _ = link.Close(context.Background()) }()
	clients := make([]*rawclient.Client, 200)
	for i := range clients {
		clients[i] = v.join(t)
		if err := receive(t, v.sockets).Join(t.Context(), "crowd"); err != nil {
			t.Fatal(err)
		}
	}
	rooms := make([]string, 1<<20)
	for i := range rooms {
		rooms[i] = fmt.Sprint(i)
	}
	crowd := []string{"crowd"}
	for name, r := range map[string]adapter.Request{
		"join":                 {Action: adapter.ActionJoin, Rooms: crowd, Targets: rooms},
		"leave":                {Action: adapter.ActionLeave, Rooms: crowd, Targets: rooms},
		"selection":            {Action: adapter.ActionLeave, Rooms: append(rooms[:len(rooms):len(rooms)], crowd...), Targets: crowd[:0]},
		"exception":            {Action: adapter.ActionLeave, Rooms: crowd, Except: rooms, Targets: crowd[:0]},
		"disconnection of all": {Action: adapter.ActionDisconnect, Rooms: rooms},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			ask(t, link, r)
			b := adapter.Broadcast{Packet: packetOf(`["after"]`), Rooms: crowd}
			if err := link.Publish(t.Context(), &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &b}); err != nil {
				t.Fatal(err)
			}
			for _, c := range clients {
				c.Expect(`2["after"]`)
			}
			if took := time.Since(begin); took > worstEcho {
				t.Errorf("the next broadcast came after %v", took)
			}
			v.unharmed(t)
		})
	}
	sockets, err := v.server.To("crowd").FetchSockets(t.Context())
	if err != nil || len(sockets) != len(clients) || len(sockets[0].Rooms) != 2 {
		t.Errorf("%d sockets are left, %v", len(sockets), err)
	}
}

// Requests come faster than they can be answered: nobody waits for the answers but who
// asked, and what they take in memory is bounded.
func TestHostileCluster_FloodOfRequests(t *testing.T) {
	const flood = 200
	bus := memory.New()
	v := besiege(t, server.Options{Adapter: bus, RequestTimeout: time.Minute})
	answers := make(chan struct{}, 5*flood)
	link := rogue(t, bus, func(m *adapter.Message) {
		if m.Response != nil && m.Response.Done {
			answers <- struct{}{}
		}
	})
	defer func() { _ = link.Close(context.Background()) }()
	for range 100 {
		v.join(t)
		server.SetData(receive(t, v.sockets), strings.Repeat("data", 1000))
	}
	for name, r := range map[string]adapter.Request{
		"descriptions": {Action: adapter.ActionFetch}, "rooms": {Action: adapter.ActionRooms},
		"events": {Action: adapter.ActionEvent, Packet: packetOf(`["nobody listens"]`)},
		"joins":  {Action: adapter.ActionJoin, Rooms: []string{"nobody"}, Targets: []string{"new"}},
		"calls":  {Action: adapter.ActionCall, Rooms: []string{"nobody"}, Packet: packetOf(`["ask"]`)},
	} {
		t.Run(name, func(t *testing.T) {
			most := peaks(func() {
				for n := range flood {
					r.ID = fmt.Sprint(n)
					ask(t, link, r)
				}
				for range flood { // however long all take, the next is not long in coming
					receive(t, answers)
				}
			})
			t.Logf("memory grew by %d MiB for a moment", most>>20)
			if most > 64<<20 {
				t.Errorf("memory grew by %d MiB for a moment", most>>20)
			}
			v.unharmed(t)
		})
	}
}
