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
					if state := a.Status().State; state != adapter.Up {
						t.Errorf("round %d: %v after %q was joined", i, state, topic)
					}
				}
			}
		})
	}
}
