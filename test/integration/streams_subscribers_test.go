//go:build integration

package integration

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

// subscriberKills is how often all subscribers of Redis are disconnected.
const subscriberKills = 100

// All subscribers are disconnected again and again under load. Afterwards nobody misses
// anything, in no room.
func TestRedis_NoSubscriptionIsMissingAfterManyKills(t *testing.T) {
	for _, k := range []kind{classic, sharded, streams} {
		t.Run(string(k), func(t *testing.T) {
			r := redisserver.Start(t)
			admin := goredis.NewClient(&goredis.Options{Addr: r.Addr()})
			defer admin.Close()
			var nodes []*node
			for range 3 {
				nodes = append(nodes, startNodeOn(t, server.Options{Adapter: over(t, k, r.Addr(), redis.Options{})}))
			}
			awaitMembers(t, nodes)
			var listeners [][]*listener
			for _, n := range nodes {
				listeners = append(listeners, []*listener{listen(t, n, "room"), listen(t, n, "room", "other")})
			}
			speakers := speak(t, nodes, 5*time.Millisecond, func(n *node) server.Broadcast { return n.To("room") })
			hearEachOther(t, speakers, listeners)
			for range subscriberKills {
				if err := admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil && err != goredis.Nil {
					t.Fatal(err)
				}
				rest(t.Context(), 15*time.Millisecond)
			}
			awaitBus(t, "up", nodes...)
			hearEachOther(t, speakers, listeners)
			expectNothingLost(t, speakers, listeners)
			for _, here := range listeners {
				for _, l := range here {
					l.expectConnected(t)
					for _, s := range speakers {
						l.expectNoneTwice(t, s.name)
					}
				}
			}
		})
	}
}
