package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

func TestInterest_BroadcastToARoomTravelsToItsNodesOnly(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	var nodes []*node
	for i := range 4 {
		nodes = append(nodes, join(t, newInterested(t, server.Addr()), "/", fmt.Sprint("node", i)))
	}
	nodes[1].occupy(t, "red")
	nodes[2].occupy(t, "blue")
	subscribers, err := client.PubSubNumSub(t.Context(), "socket.io#/#red#").Result()
	if err != nil || subscribers["socket.io#/#red#"] != 1 {
		t.Errorf("got %v, %v, want one subscriber", subscribers, err)
	}
	nodes[0].emit(t, "to red", "red")
	nodes[0].emit(t, "to all")
	for _, n := range nodes[1:] {
		n.expect(t, "to all")
	}
	if nodes[1].count("to red") != 1 || nodes[2].count("to red")+nodes[3].count("to red") != 0 {
		t.Errorf("a broadcast to a room: heard %v", []int{nodes[1].count("to red"), nodes[2].count("to red"), nodes[3].count("to red")})
	}
}

func TestInterest_SocketIDsCostOneChannel(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newInterested(t, server.Addr()), "/chat?[x]*", "a")
	b := join(t, newInterested(t, server.Addr()), "/chat?[x]*", "b")
	a.own(t, "A-*?")
	before := channels(t, client)
	for i := range 1000 {
		a.occupy(t, fmt.Sprintf("%016dA-*?", i))
	}
	patterns, err := client.PubSubNumPat(t.Context()).Result()
	if now := channels(t, client); err != nil || patterns != 0 || len(now) != len(before) {
		t.Errorf("1,000 ids: %d patterns (%v), channels %v", patterns, err, now)
	}
	b.emit(t, "to an id", "0000000000000007A-*?")
	b.emit(t, "to another's", "0000000000000007A-xy")
	b.emit(t, "to a longer one", "x0000000000000007A-*?")
	b.emit(t, "to several", "x", "0000000000000007A-*?")
	b.emit(t, "end")
	a.expect(t, "end")
	if a.count("to an id") != 1 || a.count("to several") != 1 || len(a.heard) != 3 {
		t.Errorf("heard %v", a.heard)
	}
}

// What has the form of an id is routed as one: a socket that was restored with the id that
// another node gave it, and any room that has a name of that length.
func TestInterest_PrivateRoomsAreHeardByWhoeverHasThem(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newInterested(t, server.Addr()), "/", "a")
	b := join(t, newInterested(t, server.Addr()), "/", "b")
	c := join(t, newInterested(t, server.Addr()), "/", "c")
	const own, restored, other = "an-id-of-node-a-AAAA", "restored-on-b---AAAA", "twenty-characters-ok"
	a.own(t, "AAAA")
	b.own(t, "BBBB")
	b.occupy(t, restored, other, "another-of-that-"+"AAAA")
	c.emit(t, "to a", own)
	c.emit(t, "to the restored", restored)
	c.emit(t, "to the room", other)
	c.emit(t, "end")
	a.expect(t, "end")
	b.expect(t, "end")
	if got := fmt.Sprint(a.heard, b.heard); got != "[to a to the restored end] [to the restored to the room end]" {
		t.Errorf("heard %s", got)
	}
	b.observer().RoomEmpty(restored)
	b.observer().RoomEmpty(restored)
	c.emit(t, "to nobody on b", restored)
	b.observer().RoomEmpty("another-of-that-" + "AAAA")
	eventually(t, "leaving the tag of no room", func() bool { return subscribers(t, client, "socket.io-roomcast-ids#/#AAAA#") == 1 })
	c.emit(t, "still", own)
	a.expect(t, "still")
	if b.count("to nobody on b") != 0 {
		t.Error("a room that has emptied was heard")
	}
}

func TestInterest_SuffixesEndInATag(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	a := join(t, newInterested(t, server.Addr()), "/", "a")
	b := join(t, newInterested(t, server.Addr()), "/", "b")
	for _, suffix := range []string{"AAA", "", strings.Repeat("A", 21)} {
		if err := a.observer().SocketIDs(t.Context(), suffix); err == nil {
			t.Errorf("the suffix %q was accepted", suffix)
		}
	}
	a.own(t, "xAAAA")
	a.own(t, "AAAA") // which covers the same ids
	a.own(t, "AAAA")
	b.emit(t, "one", "never-announced-AAAA")
	b.emit(t, "end")
	a.expect(t, "end")
	if got := a.count("one"); got != 1 {
		t.Errorf("it was heard %d times, want once", got)
	}
}

func TestInterest_RoomThatFillsAgainCostsNothing(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newInterested(t, server.Addr()), "/", "a")
	a.occupy(t, "busy", "quiet")
	before := calls(t, client, "subscribe")
	for range 1000 {
		a.observer().RoomEmpty("busy")
		a.occupy(t, "busy")
	}
	if got := calls(t, client, "subscribe") - before; got != 0 {
		t.Errorf("a room that emptied and filled 1,000 times cost %d SUBSCRIBE", got)
	}
	a.observer().RoomEmpty("quiet")
	eventually(t, "unsubscribing from an empty room", func() bool {
		return !slices.Contains(channels(t, client), "socket.io#/#quiet#")
	})
	if !slices.Contains(channels(t, client), "socket.io#/#busy#") {
		t.Error("an occupied room was unsubscribed from")
	}
	join(t, newInterested(t, server.Addr()), "/", "b").emit(t, "hello", "busy")
	a.expect(t, "hello")
}

func TestInterest_SubscriptionsAreSentTogether(t *testing.T) {
	t.Parallel()
	const rooms = 5000
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	a := join(t, newInterested(t, server.Addr()), "/", "a")
	before := calls(t, client, "subscribe")
	var joins sync.WaitGroup
	for i := range rooms {
		joins.Go(func() {
			if err := a.observer().RoomOccupied(t.Context(), fmt.Sprint("room", i)); err != nil {
				t.Error(err)
			}
		})
	}
	joins.Wait()
	if got := calls(t, client, "subscribe") - before; got >= rooms {
		t.Errorf("%d rooms cost %d SUBSCRIBE", rooms, got)
	} else {
		t.Logf("%d rooms cost %d SUBSCRIBE", rooms, got)
	}
	if got := len(channels(t, client)); got < rooms {
		t.Errorf("subscribed to %d channels, want more than %d", got, rooms)
	}
}

func TestInterest_ClosedLinkUnsubscribes(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	shared := newInterested(t, server.Addr())
	a, b := join(t, shared, "/a", "n"), join(t, shared, "/b", "n")
	a.occupy(t, "room")
	a.own(t, "AAAA")
	if err := a.link.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "unsubscribing", func() bool {
		return !slices.ContainsFunc(channels(t, client), func(name string) bool { return strings.Contains(name, "#/a#") }) &&
			client.PubSubNumPat(t.Context()).Val() == 0
	})
	if err := a.observer().RoomOccupied(t.Context(), "room"); err == nil {
		t.Error("RoomOccupied on a closed link succeeded")
	}
	join(t, newInterested(t, server.Addr()), "/b", "peer").emit(t, "hello")
	b.expect(t, "hello")
}

func TestInterest_TwoNodesOfOneProcessShareSubscriptions(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	shared := newAdapterWith(t, newClient(t, server.Addr()), redis.Options{Prefix: "mine", InterestRouting: true})
	a, b := join(t, shared, "/", "a"), join(t, shared, "/", "b")
	other := join(t, newAdapterWith(t, newClient(t, server.Addr()), redis.Options{Prefix: "mine", InterestRouting: true}), "/", "c")
	foreign := join(t, newInterested(t, server.Addr()), "/", "d")
	a.occupy(t, "room")
	b.occupy(t, "room")
	a.observer().RoomEmpty("room")
	other.emit(t, "to the room", "room")
	a.emit(t, "from a", "room")
	other.emit(t, "end")
	foreign.emit(t, "end of another prefix")
	a.expect(t, "end")
	b.expect(t, "end")
	b.expect(t, "from a")
	if a.count("to the room") != 0 || b.count("to the room") != 1 || b.count("from a") != 1 {
		t.Errorf("a heard %v, b heard %v", a.heard, b.heard)
	}
}
