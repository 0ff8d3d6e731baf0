package redis_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// shardedEvent is what a Node.js server with the sharded adapter sends to rooms of "/".
func shardedEvent(event string, rooms ...string) string {
	list := strings.ReplaceAll(fmt.Sprintf("%q", rooms), `" "`, `","`)
	return fmt.Sprintf(`{"type":3,"data":{"packet":{"type":2,"data":[%q],"nsp":"/"},"opts":{"rooms":%s,"except":[],"flags":{}}},"uid":"0011223344556677","nsp":"/"}`, event, list)
}

func spublish(t *testing.T, client *goredis.Client, channel, payload string) {
	t.Helper()
	if err := client.SPublish(t.Context(), channel, payload).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestMixed_ShardedNodesThatHearNodeJSGoBackToTheCompatibleWay(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	log := &lines{}
	logged := sharded(redis.ShardedOptions{Options: redis.Options{InterestRouting: true, Logger: slog.New(slog.NewTextHandler(log, nil))}})
	a := join(t, logged(t, newClient(t, server.Addr())), "/", "node a")
	b := join(t, logged(t, newClient(t, server.Addr())), "/", "node b")
	a.own(t, "AAAA")
	b.own(t, "BBBB")
	a.occupy(t, "room")
	common := client.SSubscribe(t.Context(), "socket.io#/#")
	defer common.Close()
	if _, err := common.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.emit(t, "by tag", idOfA)
	spublish(t, client, "socket.io#/#room#", shardedEvent("from Node.js", "room")) // which b does not hear
	a.expect(t, "from Node.js")
	eventually(t, "falling back", func() bool { return log.count("unset the option InterestRouting") == 2 })
	b.emit(t, "compatible", idOfA)
	if m := <-common.Channel(); !strings.Contains(m.Payload, "compatible") {
		t.Errorf("what a Node.js server hears first is %s", m.Payload)
	}
	spublish(t, client, "socket.io#/#", shardedEvent("to an id", idOfA))
	spublish(t, client, "socket.io-roomcast-ids#/#AAAA#", strings.Replace(shardedEvent("from who does not know", idOfA), "0011223344556677", "another", 1))
	b.emit(t, "end")
	a.expect(t, "end")
	if got := fmt.Sprint(a.heard); got != "[by tag from Node.js compatible to an id from who does not know end]" {
		t.Errorf("heard %s", got)
	}
}

func TestNodeJS_ShardedNodesAreSubscribersOfTheCommonChannel(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	inMix := sharded(redis.ShardedOptions{Options: mixed})
	a := join(t, inMix(t, newClient(t, server.Addr())), "/", "a")
	b := join(t, inMix(t, newClient(t, server.Addr())), "/", "b")
	a.countNodes(t, 2)
	foreign := client.SSubscribe(t.Context(), "socket.io#/#")
	defer foreign.Close()
	if _, err := foreign.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.countNodes(t, 3)

	request := &adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{ID: "q", Action: adapter.ActionFetch}}
	if err := a.link.Publish(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	b.expect(t, "request 4 of a")
	const answer = `{"type":8,"data":{"requestId":%q,"sockets":[]},"uid":"0011223344556677","nsp":"/"}`
	spublish(t, client, "socket.io#/#a#", fmt.Sprintf(answer, "q"))
	spublish(t, client, "socket.io#/#", fmt.Sprintf(answer, "on the common channel"))
	a.expect(t, "response to q")
	a.expect(t, "response to on the common channel")
	if b.count("response to q") != 0 {
		t.Error("another node's answer arrived")
	}
}

func TestHostile_ShardedGarbageIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	inMix := sharded(redis.ShardedOptions{Options: mixed})
	byInterest := sharded(redis.ShardedOptions{Options: interested})
	a := join(t, inMix(t, newClient(t, server.Addr())), "/", "a")
	b := join(t, byInterest(t, newClient(t, server.Addr())), "/", "b")
	for _, n := range []*node{a, b} {
		n.occupy(t, "room")
		n.own(t, "AAAA")
	}
	common := []string{"socket.io#/#", "socket.io#/#room#", "socket.io-roomcast#/#"}
	for _, c := range []struct {
		n    *node
		more []string
	}{{a, []string{"socket.io#/#a#", "socket.io-roomcast#/#a#"}}, {b, []string{"socket.io-roomcast-ids#/#AAAA#", "socket.io-roomcast#/#b#"}}} {
		before := c.n.adapter.Status().Dropped["malformed"]
		channels := slices.Concat(common, c.more)
		for _, channel := range channels {
			for _, message := range garbage {
				spublish(t, client, channel, message)
			}
		}
		event := "good for " + c.more[0]
		spublish(t, client, "socket.io#/#", shardedEvent(event, "room"))
		a.expect(t, event)
		b.expect(t, event)
		if got, want := c.n.adapter.Status().Dropped["malformed"]-before, uint64(len(channels)*len(garbage)); got != want {
			t.Errorf("%d messages counted as malformed, want %d", got, want)
		}
	}
}
