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
	// ways says that in a Redis Cluster messages travel by several servers.
	ways bool
}{
	{"classic", classic(redis.Options{}), false},
	{"classic_by_interest", classic(interested), false},
	{"sharded_dynamic_with_NodeJS", sharded(redis.ShardedOptions{Options: mixed}), true},
	{"sharded_static", sharded(redis.ShardedOptions{SubscriptionMode: redis.Static}), true},
	{"sharded_by_interest_signed", sharded(redis.ShardedOptions{Options: signed(key, true)}), true},
	{"streams_with_NodeJS", streams(redis.StreamsOptions{Options: mixed}), false},
	{"streams_sharded_signed", streams(redis.StreamsOptions{Options: signed(key, false), ShardedPubSub: true, StreamCount: 3}), false},
}

func TestConformance_OneRedis(t *testing.T) {
	addr := redisserver.Addr(t)
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) { adaptertest.Run(t, kit(standalone(addr), form.make)) })
	}
}

func TestConformance_RedisCluster(t *testing.T) {
	cluster := inCluster(t)
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			c := kit(cluster, form.make)
			c.OrderPerSelection = form.ways
			adaptertest.Run(t, c)
		})
	}
}
