package redis_test

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/adaptertest"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

func TestMain(m *testing.M) {
	goredis.SetLogger(quiet{}) // it reports each refused dial to standard error
	goleak.VerifyTestMain(m)
}

// forms are the adapters in each of their ways.
var forms = []struct {
	name string
	make maker
	// cluster says that the kit runs on a Redis Cluster too: it takes its time there, and
	// the others differ in nothing that concerns a cluster.
	cluster bool
	// ways says that messages travel by several of its servers.
	ways bool
}{
	{"classic", classic(redis.Options{}), true, false},
	{"classic_by_interest", classic(interested), false, false},
	{"sharded_dynamic_with_NodeJS", sharded(redis.ShardedOptions{Options: mixed}), true, true},
	{"sharded_dynamic_private", sharded(redis.ShardedOptions{SubscriptionMode: redis.DynamicPrivate}), false, false},
	{"sharded_static", sharded(redis.ShardedOptions{SubscriptionMode: redis.Static}), false, false},
	{"sharded_by_interest_signed", sharded(redis.ShardedOptions{Options: signed(key, true)}), true, true},
	{"streams_with_NodeJS", streams(redis.StreamsOptions{Options: mixed}), false, false},
	{"streams_sharded_signed", streams(redis.StreamsOptions{Options: signed(key, false), ShardedPubSub: true, StreamCount: 3}), true, false},
}

func TestConformance_OneRedis(t *testing.T) {
	addr := redisserver.Addr(t)
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			adaptertest.Run(t, kit(standalone(addr), form.make))
		})
	}
}

func TestConformance_RedisCluster(t *testing.T) {
	cluster := inCluster(t)
	for _, form := range forms {
		if !form.cluster {
			continue
		}
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			c := kit(cluster, form.make)
			c.OrderPerSelection = form.ways
			adaptertest.Run(t, c)
		})
	}
}
