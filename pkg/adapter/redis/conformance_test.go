package redis_test

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/adaptertest"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

func TestMain(m *testing.M) {
	goredis.SetLogger(quiet{}) // it reports each refused dial to standard error
	goleak.VerifyTestMain(m)
}

func TestConformance_Classic(t *testing.T) {
	conforms(t, redisserver.Addr(t), classic(redis.Options{}))
}

func TestConformance_ClassicInterest(t *testing.T) {
	conforms(t, redisserver.Start(t).Addr(), classic(redis.Options{InterestRouting: true}))
}

// maker makes an adapter of a test's own.
type maker func(t testing.TB, client goredis.UniversalClient) *redis.Adapter

// classic makes adapters by New.
func classic(opts redis.Options) maker {
	return func(t testing.TB, client goredis.UniversalClient) *redis.Adapter {
		return newAdapterWith(t, client, opts)
	}
}

// conforms runs the kit against a Redis at addr.
func conforms(t *testing.T, addr string, make maker) {
	adaptertest.Run(t, adaptertest.Config{
		New: func(t testing.TB) adapter.Adapter { return make(t, newClient(t, addr)) },
		Delayed: func(t testing.TB, delay time.Duration) adapter.Adapter {
			proxy := tcpproxy.Start(t, addr)
			proxy.Delay(delay)
			return make(t, newClient(t, proxy.Addr()))
		},
		Cut: func(t testing.TB) (adapter.Adapter, func()) {
			proxy := tcpproxy.Start(t, addr)
			proxy.Refuse()
			return make(t, newClient(t, proxy.Addr())), func() { resume(t, proxy) }
		},
	})
}
