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
)

func TestMain(m *testing.M) {
	goredis.SetLogger(quiet{}) // it reports each refused dial to standard error
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	addr := redisserver.Addr(t)
	adaptertest.Run(t, adaptertest.Config{
		New: func(t testing.TB) adapter.Adapter { return newAdapter(t, addr) },
		Delayed: func(t testing.TB, delay time.Duration) adapter.Adapter {
			proxy := tcpproxy.Start(t, addr)
			proxy.Delay(delay)
			return newAdapter(t, proxy.Addr())
		},
		Cut: func(t testing.TB) (adapter.Adapter, func()) {
			proxy := tcpproxy.Start(t, addr)
			proxy.Refuse()
			return newAdapter(t, proxy.Addr()), proxy.Resume
		},
	})
}
