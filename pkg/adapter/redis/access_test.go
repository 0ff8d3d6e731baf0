package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
	"streams": {streams(redis.StreamsOptions{}), append(slices.Clone(logRights),
		"+publish", "+subscribe", "+unsubscribe",
		"&socket.io#*", "&socket.io-roomcast#*",
	)},
	"streams_sharded_with_NodeJS": {streams(redis.StreamsOptions{Options: mixed, ShardedPubSub: true}), append(slices.Clone(logRights),
		"+spublish", "+ssubscribe", "+sunsubscribe", "+pubsub|shardnumsub",
		"&socket.io#*", "&socket.io-roomcast#*",
	)},
}

// logRights are what streams need for the log and for records.
var logRights = []string{
	"+xadd", "+xread", "+xrange", "+xrevrange", "+xinfo|stream", "+xtrim", "+multi", "+exec", "+wait", "+role",
	"+get", "+set", "+getrange", "+pexpire", "+eval", "+evalsha", "~socket.io", "~sio:session:*",
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

// remember makes a node keep, find and take a record, and read the log.
func remember(t *testing.T, a adapter.RecoveryStore) error {
	t.Helper()
	link, err := a.JoinRecoverable(t.Context(), "/a-b", "keeper", adapter.Retention{
		Window: time.Minute, MaxRecords: 10, MaxRecordBytes: 1000, MaxLogBytes: 1 << 20,
	}, func(*adapter.Message) {})
	if link == nil {
		return err
	}
	defer link.Close(t.Context())
	r := &adapter.Record{PrivateID: "private", SocketID: "public", Node: "keeper", Rooms: []string{"public"}}
	keeper := link.(adapter.RecordKeeper)
	if err == nil {
		err = link.Save(t.Context(), r)
	}
	if err == nil {
		_, err = keeper.Renew(t.Context(), []*adapter.Record{r})
	}
	if err == nil {
		_, err = link.Find(t.Context(), "private", link.Start())
	}
	if err == nil {
		_, err = link.Take(t.Context(), r)
	}
	if err == nil {
		r.PrivateID = "another"
		err = errors.Join(link.Save(t.Context(), r), keeper.Forget(t.Context(), r))
	}
	for _, fault := range link.Missed(t.Context(), link.Start()) {
		err = errors.Join(err, fault)
	}
	return err
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
			if store, ok := a.adapter.(adapter.RecoveryStore); ok {
				if err := remember(t, store); err != nil {
					t.Errorf("keeping records: %v", err)
				}
			}
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

// later are rights that a node needs only when something goes wrong, ends, or is counted or
// trimmed, so that it begins without them.
var later = []string{
	"+unsubscribe", "+punsubscribe", "+sunsubscribe", "+role", "+pubsub|numsub", "+pubsub|shardnumsub",
	"&socket.io-roomcast-ids#*", "+xrevrange", "+xtrim", "+wait", "+getrange",
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
				a := c.make(t, as(t, server.Addr()))
				var named atomic.Bool
				defer a.(adapter.Watcher).Watch(func(e adapter.Event) {
					if refusal(e.Cause) {
						named.Store(true)
					}
				})()
				link, err := a.Join(t.Context(), "/a-b", "a", func(*adapter.Message) {})
				defer func() { _ = link.Close(t.Context()) }() // which may say that something was not written
				store, keeps := a.(adapter.RecoveryStore)
				if keeps {
					for range 100 { // what waits together is written in a transaction
						err = errors.Join(err, link.Publish(t.Context(), broadcast("hello")))
					}
					err = errors.Join(err, remember(t, store))
				}
				if !keeps && !errors.Is(err, adapter.ErrDegraded) {
					t.Errorf("Join: got %v, want ErrDegraded", err)
				}
				eventually(t, "naming the refusal", func() bool { return refusal(err) || named.Load() })
			})
		}
	}
}

// refusal says that err tells of a right that is missing. A script that lacks one says it
// in words of its own.
func refusal(err error) bool {
	text := fmt.Sprint(err)
	return strings.Contains(text, "NOPERM") || strings.Contains(text, "can't run this command")
}
