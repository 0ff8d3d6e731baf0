package redis_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// nodeJS is what a Node.js server sends, by hand.
type nodeJS struct {
	t      *testing.T
	client *goredis.Client
}

func (s nodeJS) publish(channel, payload string) {
	s.t.Helper()
	if err := s.client.Publish(s.t.Context(), channel, payload).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// emit sends an event to a room of "/", or to all.
func (s nodeJS) emit(event, room string) {
	s.t.Helper()
	channel, rooms := "socket.io#/#", "\x90"
	if room != "" {
		channel += room + "#"
		rooms = "\x91" + packedText(room)
	}
	s.publish(channel, "\x93\xa6abc-_1\x83\xa4type\x02\xa4data\x91"+packedText(event)+"\xa3nsp\xa1/\x83\xa5rooms"+rooms+"\xa6except\x90\xa5flags\x80")
}

// packedText is a string of at most 31 bytes in MessagePack.
func packedText(text string) string { return string([]byte{0xa0 + byte(len(text))}) + text }

// listen subscribes to a channel with a client of its own.
func listen(t *testing.T, client *goredis.Client, channel string) <-chan *goredis.Message {
	t.Helper()
	heard := client.Subscribe(t.Context(), channel)
	t.Cleanup(func() { _ = heard.Close() })
	if _, err := heard.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return heard.Channel()
}

// patterns returns how many patterns all connections together are subscribed to.
func patterns(t *testing.T, client *goredis.Client) int {
	t.Helper()
	list, err := client.Do(t.Context(), "client", "list", "type", "pubsub").Text()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for word := range strings.FieldsSeq(list) {
		var n int
		if _, err := fmt.Sscanf(word, "psub=%d", &n); err == nil {
			sum += n
		}
	}
	return sum
}

const idOfA, idOfB = "a-socket-of-nodeAAAA", "a-socket-of-nodeBBBB"

func TestMixed_NodesThatHearNodeJSGoBackToTheCompatibleWay(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	foreign := nodeJS{t, client}
	log := &lines{}
	logged := func() *redis.Adapter {
		return newAdapterWith(t, newClient(t, server.Addr()), redis.Options{InterestRouting: true, Logger: slog.New(slog.NewTextHandler(log, nil))})
	}
	a, b := join(t, logged(), "/", "node a"), join(t, logged(), "/", "node b") // b is told by a
	a.occupy(t, "before")
	a.own(t, "AAAA")
	b.own(t, "BBBB")

	foreign.emit("from Node.js", "before")
	a.expect(t, "from Node.js")
	eventually(t, "falling back", func() bool { return log.count("unset the option InterestRouting") == 2 })
	a.occupy(t, "after")
	b.occupy(t, "anything") // which waits until b hears everything

	foreign.emit("to an id", idOfA)
	foreign.emit("to the room before", "before")
	foreign.emit("to the room after", "after")
	foreign.emit("to all", "")
	b.emit(t, "b to an id", idOfA)
	b.emit(t, "b to the room before", "before")
	b.emit(t, "b to the room after", "after")
	b.emit(t, "end")
	a.expect(t, "end")
	want := "[from Node.js to an id to the room before to the room after to all b to an id b to the room before b to the room after end]"
	if got := fmt.Sprint(a.heard); got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
	foreign.emit("to b's id", idOfB)
	b.expect(t, "to b's id")
	a.observer().RoomEmpty("before")
	foreign.emit("to nobody", "before")
	foreign.emit("really the end", "")
	a.expect(t, "really the end")
	if a.count("to nobody") != 0 || log.count("unset the option") != 2 || len(a.adapter.Status().Dropped) != 0 {
		t.Errorf("heard %v, dropped %v; the log says:\n%s", a.heard, a.adapter.Status().Dropped, &log.buf)
	}
}

func TestMixed_WhatNodeJSHearsIsPublishedAfterwards(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newInterested(t, server.Addr()), "/", "node a")
	heard := listen(t, client, "socket.io#/#"+idOfB+"#")
	notices := listen(t, client, "socket.io-roomcast#/#")
	nodeJS{t, client}.publish("socket.io-request#/#", `{"uid":"abc-_1","type":5,"requestId":"r","opts":{"rooms":[],"except":[]}}`)
	a.expect(t, "request 4 of nodejs:5:abc-_1")
	<-notices
	a.emit(t, "hello", idOfB)
	if m := <-heard; m.Channel != "socket.io#/#"+idOfB+"#" {
		t.Errorf("got %v", m)
	}
}

// Nodes that join, or did not hear of it, go on sending the other way until they are told.
func TestMixed_NodesThatDoNotKnowAreToldAndHeard(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newInterested(t, server.Addr()), "/", "node a")
	a.own(t, "AAAA")
	nodeJS{t, client}.emit("from Node.js", "")
	a.expect(t, "from Node.js")

	late := join(t, newInterested(t, server.Addr()), "/", "late")
	late.own(t, "CCCC")
	const idOfLate = "a-socket-of-nodeCCCC"
	eventually(t, "telling a node that joins", func() bool { return patterns(t, client) == 2 })
	late.occupy(t, "anything")
	a.emit(t, "to the late one", idOfLate)
	late.expect(t, "to the late one")

	notices := listen(t, client, "socket.io-roomcast#/#")
	const unaware = "\x93\xa7unaware\x83\xa4type\x02\xa4data\x91\xa3old\xa3nsp\xa1/\x83\xa5rooms\x91\xb4" + idOfA + "\xa6except\x90\xa5flags\x80"
	nodeJS{t, client}.publish("socket.io-roomcast-ids#/#AAAA#", unaware)
	a.expect(t, "old")
	if m := <-notices; m.Payload != "\x00nodejs" {
		t.Errorf("who did not know is told %q", m.Payload)
	}
}

func TestMixed_LinksOfOtherNamespacesFallBackToo(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	shared := newInterested(t, server.Addr())
	root, other := join(t, shared, "/", "node a"), join(t, shared, "/other", "node a")
	peer := join(t, newInterested(t, server.Addr()), "/other", "node b")
	other.own(t, "AAAA")
	peer.own(t, "BBBB")
	nodeJS{t, client}.emit("from Node.js", "")
	root.expect(t, "from Node.js")
	other.occupy(t, "x")
	eventually(t, "telling the nodes of the other namespace", func() bool { return patterns(t, client) == 3 })
	peer.occupy(t, "x")
	other.emit(t, "hello", idOfB)
	peer.expect(t, "hello")
	joined := join(t, shared, "/third", "node a") // begins the compatible way
	if err := joined.observer().RoomOccupied(t.Context(), "y"); err != nil {
		t.Error(err)
	}
	if n := patterns(t, client); n != 4 {
		t.Errorf("%d patterns, want 4", n)
	}
}

// Emitters are no servers, and roomcast nodes have another form of id.
func TestMixed_OnlyNodeJSServersCount(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newInterested(t, server.Addr()), "/", "node a")
	b := join(t, newInterested(t, server.Addr()), "/", "node b")
	foreign := nodeJS{t, client}
	foreign.publish("socket.io#/#", "\x93\xa7emitter\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\x83\xa5rooms\x90\xa5flags\x80\xa6except\x90")
	foreign.publish("socket.io-request#/#", `{"type":2,"opts":{"rooms":["r"],"except":[]},"rooms":["s"]}`)
	if err := b.link.Publish(t.Context(), &adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{Action: adapter.ActionRooms, ID: "1"}}); err != nil {
		t.Fatal(err)
	}
	b.emit(t, "end")
	a.expect(t, "end")
	if n := patterns(t, client); n != 0 {
		t.Errorf("%d patterns, want none", n)
	}
}
