package redis_test

import (
	"fmt"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// A room that is joined while the adapter says that Redis is away is joined with an error.
func TestJoin_AdapterIsUpWhenItReturns(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]maker{
		"classic": classic(redis.Options{}), "sharded": sharded(redis.ShardedOptions{}), "streams": streams(redis.StreamsOptions{}),
	} {
		t.Run(name, func(t *testing.T) {
			addr := redisserver.Start(t).Addr()
			for i := range 20 {
				a := make(t, newClient(t, addr))
				for _, topic := range []string{"members", "/"} {
					join(t, a, topic, fmt.Sprint("node ", i))
					status := a.Status()
					if status.State != adapter.Up {
						t.Errorf("round %d: %v after %q was joined", i, status.State, topic)
					}
					if r := status.RoundTrips; r.Count == 0 || r.Sum <= 0 || r.Within[len(r.Within)-1] != r.Count {
						t.Errorf("round %d: the round trips are %+v after %q was joined", i, r, topic)
					}
					if n := a.(adapter.SubscriptionCounter).Subscriptions(); n["channel"]+n["pattern"] < 2 {
						t.Errorf("round %d: subscribed to %v after %q was joined", i, n, topic)
					}
				}
			}
		})
	}
}
