package redis_test

import (
	"errors"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// rights are what the package's documentation says that a user needs.
var rights = map[string]struct {
	make  maker
	rules []string
}{
	"classic": {classic(redis.Options{}), []string{
		"+publish", "+subscribe", "+unsubscribe", "+psubscribe", "+punsubscribe", "+role",
		`&socket.io#/a\-b#*`, "&socket.io-request#*", "&socket.io-roomcast#*",
	}},
	"classic_with_NodeJS": {classic(mixed), []string{
		"+publish", "+subscribe", "+unsubscribe", "+psubscribe", "+punsubscribe", "+role", "+pubsub|numsub",
		`&socket.io#/a\-b#*`, "&socket.io-request#*", "&socket.io-response#*", "&socket.io-roomcast#*",
	}},
	"classic_by_interest": {classic(interested), []string{
		"+publish", "+subscribe", "+unsubscribe", "+role",
		"&socket.io#*", "&socket.io-request#*", "&socket.io-roomcast#*", "&socket.io-roomcast-ids#*",
	}},
	"sharded": {sharded(redis.ShardedOptions{}), []string{
		"+spublish", "+ssubscribe", "+sunsubscribe", "+role",
		"&socket.io#*", "&socket.io-roomcast#*",
	}},
	"sharded_with_NodeJS": {sharded(redis.ShardedOptions{Options: mixed}), []string{
		"+spublish", "+ssubscribe", "+sunsubscribe", "+role", "+pubsub|shardnumsub",
		"&socket.io#*", "&socket.io-roomcast#*",
	}},
	"sharded_by_interest": {sharded(redis.ShardedOptions{Options: interested}), []string{
		"+spublish", "+ssubscribe", "+sunsubscribe", "+role",
		"&socket.io#*", "&socket.io-roomcast#*", "&socket.io-roomcast-ids#*",
	}},
}

// inRights are what a user needs in a Redis Cluster besides.
var inRights = []string{"+cluster|slots"}

// as is a client of the user of a server.
func as(t *testing.T, addr string) *goredis.Client {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: addr, Username: "app", Password: "secret"})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// smoke makes two nodes say to each other what nodes say.
func smoke(t *testing.T, a, b *node) {
	t.Helper()
	id := "an-id-of-a-socketAAAA"[1:]
	for _, n := range []*node{a, b} {
		if observer, ok := n.link.(adapter.RoomObserver); ok {
			n.own(t, "AAAA")
			n.occupy(t, "room")
			observer.RoomEmpty("never")
		}
		if counter, ok := n.link.(adapter.NodeCounter); ok {
			if nodes, err := counter.CountNodes(t.Context()); err != nil || nodes != 2 {
				t.Errorf("counted %d nodes, %v, want 2", nodes, err)
			}
		}
	}
	a.emit(t, "to all")
	a.emit(t, "to a room", "room")
	a.emit(t, "to an id", id)
	for _, m := range []*adapter.Message{
		{Kind: adapter.KindRequest, Request: &adapter.Request{ID: "1", Action: adapter.ActionFetch}},
		{Kind: adapter.KindResponse, To: "b", Response: &adapter.Response{ID: "1", Action: adapter.ActionFetch, Done: true}},
	} {
		if err := a.link.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"request 4 of a", "response to 1", "to a room", "to all", "to an id"}
	for _, text := range want {
		b.expect(t, text)
	}
	if got := slices.Sorted(slices.Values(b.heard)); !slices.Equal(got, want) || a.state() != adapter.Up || len(a.adapter.Status().Dropped) > 0 {
		t.Errorf("heard %q, want %q; status %+v", got, want, a.adapter.Status())
	}
}

func TestACL_TheDocumentedRightsSuffice(t *testing.T) {
	t.Parallel()
	for name, c := range rights {
		t.Run(name, func(t *testing.T) {
			server := redisserver.Start(t, redisserver.User("app", "secret", c.rules...)...)
			a := join(t, c.make(t, as(t, server.Addr())), "/a-b", "a")
			smoke(t, a, join(t, c.make(t, as(t, server.Addr())), "/a-b", "b"))
			if err := a.link.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACL_TheDocumentedRightsSufficeInACluster(t *testing.T) {
	t.Parallel()
	cluster := rediscluster.Start(t)
	for name, c := range rights {
		t.Run(name, func(t *testing.T) {
			for _, addr := range cluster.Addrs() {
				rules := slices.Concat([]any{"acl", "setuser", name, "on", ">secret"}, anyOf(c.rules), anyOf(inRights))
				if err := newClient(t, addr).Do(t.Context(), rules...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			client := func() *goredis.ClusterClient {
				opts := cluster.Options()
				opts.Username, opts.Password = name, "secret"
				client := goredis.NewClusterClient(opts)
				t.Cleanup(func() { _ = client.Close() })
				return client
			}
			a := join(t, c.make(t, client()), "/a-b", "a")
			smoke(t, a, join(t, c.make(t, client()), "/a-b", "b"))
		})
	}
}

func anyOf(list []string) (all []any) {
	for _, text := range list {
		all = append(all, text)
	}
	return all
}

// later are rights that a node needs only when something goes wrong or ends, so that it
// joins without them.
var later = []string{"+unsubscribe", "+punsubscribe", "+sunsubscribe", "+role", "+pubsub|numsub", "+pubsub|shardnumsub", "&socket.io-roomcast-ids#*"}

func TestTLS_NodesMeetOverIt(t *testing.T) {
	t.Parallel()
	server, config := redisserver.StartTLS(t)
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			secure := func() *goredis.Client {
				client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), TLSConfig: config})
				t.Cleanup(func() { _ = client.Close() })
				return client
			}
			a := join(t, form.make(t, secure()), "/a-b", "a")
			smoke(t, a, join(t, form.make(t, secure()), "/a-b", "b"))
		})
	}
}

func TestACL_AMissingRightIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range rights {
		for i, right := range c.rules {
			if slices.Contains(later, right) {
				continue
			}
			t.Run(name+"_without_"+right, func(t *testing.T) {
				rules := slices.Concat(c.rules[:i], c.rules[i+1:])
				server := redisserver.Start(t, redisserver.User("app", "secret", rules...)...)
				_, err := tryJoin(t, c.make(t, as(t, server.Addr())), "/a-b", "a")
				if !errors.Is(err, adapter.ErrDegraded) || !goredis.HasErrorPrefix(err, "NOPERM") {
					t.Errorf("Join: got %v, want ErrDegraded because of NOPERM", err)
				}
			})
		}
	}
}
