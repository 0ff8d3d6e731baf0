package natsadapter_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	natsadapter "github.com/roomcast/roomcast/examples/adapter-nats"
	"github.com/roomcast/roomcast/examples/internal/natsserver"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/adaptertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	addr := natsserver.Start(t)
	adaptertest.Run(t, adaptertest.Config{
		New: func(t testing.TB) adapter.Adapter { return natsadapter.New(connect(t, addr), "kit") },
		Delayed: func(t testing.TB, delay time.Duration) adapter.Adapter {
			proxy := tcpproxy.Start(t, addr)
			proxy.Delay(delay)
			return natsadapter.New(connect(t, proxy.Addr()), "kit")
		},
		Cut: func(t testing.TB) (adapter.Adapter, func()) {
			proxy := tcpproxy.Start(t, addr)
			proxy.Refuse()
			return natsadapter.New(connect(t, proxy.Addr()), "kit"), func() { proxy.Resume() }
		},
	})
}

// connect returns a connection that comes back by itself.
func connect(t testing.TB, addr string, options ...nats.Option) *nats.Conn {
	t.Helper()
	always := []nats.Option{nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond)}
	conn, err := nats.Connect("nats://"+addr, append(always, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
