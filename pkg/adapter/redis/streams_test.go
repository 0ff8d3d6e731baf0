package redis_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/adaptertest"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

func newStreams(t testing.TB, addr string, opts redis.StreamsOptions) *redis.StreamsAdapter {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	a, err := redis.NewStreams(newClient(t, addr), opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestStreams_Conformance(t *testing.T) {
	addr := redisserver.Addr(t)
	adaptertest.Run(t, adaptertest.Config{
		New: func(t testing.TB) adapter.Adapter { return newStreams(t, addr, redis.StreamsOptions{}) },
		Delayed: func(t testing.TB, delay time.Duration) adapter.Adapter {
			proxy := tcpproxy.Start(t, addr)
			proxy.Delay(delay)
			return newStreams(t, proxy.Addr(), redis.StreamsOptions{})
		},
		Cut: func(t testing.TB) (adapter.Adapter, func()) {
			proxy := tcpproxy.Start(t, addr)
			proxy.Refuse()
			return newStreams(t, proxy.Addr(), redis.StreamsOptions{}), func() { _ = proxy.Resume() }
		},
		Small: func(t testing.TB) adapter.Adapter {
			return newStreams(t, addr, redis.StreamsOptions{Options: redis.Options{Prefix: "small"}, MaxLen: 20})
		},
	})
}
