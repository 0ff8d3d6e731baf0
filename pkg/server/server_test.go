package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet drops logs; tests that are about logs bring their own.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// start runs a node until the test ends and returns it with its base URL.
func start(t testing.TB, options server.Options) (*server.Server, string) {
	t.Helper()
	if options.Logger == nil {
		options.Logger = quiet
	}
	s, err := server.New(options)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(s)
	server.ConfigureHTTP(web.Config)
	web.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		web.Close()
	})
	sync(s.Of("/"))
	return s, web.URL
}

// sync registers the event with which rawclient proves that nothing was sent.
func sync(ns *server.Namespace) {
	server.On(ns, "sync", func(context.Context, *server.Socket, struct{}) error { return nil })
}

// cluster runs nodes that share a memory adapter.
func cluster(t testing.TB, nodes int) (servers []*server.Server, urls []string) {
	t.Helper()
	bus := memory.New()
	for range nodes {
		s, url := start(t, server.Options{Adapter: bus})
		servers, urls = append(servers, s), append(urls, url)
	}
	return servers, urls
}

// joining registers an event that puts a client into the rooms that it names.
func joining(ns *server.Namespace) {
	server.On(ns, "join", func(ctx context.Context, s *server.Socket, rooms []string) error {
		return s.Join(ctx, rooms...)
	})
}

// member connects a client and puts it into rooms.
func member(t testing.TB, url string, rooms ...string) (*rawclient.Client, string) {
	t.Helper()
	c, id := rawclient.Join(t, url, "/", nil)
	if len(rooms) > 0 {
		c.Send(`21["join",["` + strings.Join(rooms, `","`) + `"]]`)
		c.Expect(`31[]`)
	}
	return c, id
}

// receive waits for a value with a deadline.
func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing arrived in 10 s")
		panic("unreachable")
	}
}

func TestNew_RefusesContradictoryOptions(t *testing.T) {
	for name, options := range map[string]server.Options{
		"ConnectTimeout":   {ConnectTimeout: -1},
		"MaxJSONDepth":     {MaxJSONDepth: -1},
		"MaxConnectionAge": {MaxConnectionAge: time.Second - 1},
		"Transports":       {Transports: []string{"carrier pigeon"}},
		"CORS":             {CORS: &server.CORS{Origins: []string{"*"}, Credentials: true}},
		"Advertise":        {Advertise: "http://a:1"},
		"ClusterSecret":    {ClusterSecret: []byte("fifteen bytes .")},
		"GenerateID":       {Advertise: "http://a:1", ClusterSecret: clusterSecret, GenerateID: func(*http.Request) (string, error) { return "", nil }},
		"http://10.0.0.7":  {Advertise: "a:1", ClusterSecret: clusterSecret},
		"HeartbeatTimeout": {HeartbeatInterval: 5 * time.Second, HeartbeatTimeout: time.Second},
	} {
		if _, err := server.New(options); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error is %v, want one that names the field", name, err)
		}
	}
}

func TestShutdown_RefusesClientsAndEndsSockets(t *testing.T) {
	s, url := start(t, server.Options{})
	reasons := make(chan server.DisconnectReason, 1)
	s.Of("/").OnDisconnect(func(_ context.Context, _ *server.Socket, reason server.DisconnectReason) { reasons <- reason })
	c, _ := rawclient.Join(t, url, "/", nil)
	if err := s.Emit("bye"); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, reasons); got != server.ServerShutdown {
		t.Errorf("reason is %q, want %q", got, server.ServerShutdown)
	}
	before := c.ExpectClose()
	if len(before) != 1 || before[0] != `42["bye"]` {
		t.Errorf("before the close came %q, want the last event and no DISCONNECT", before)
	}
	if err := s.Emit("more"); !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("Emit after Shutdown: %v, want ErrServerClosed", err)
	}
	if h := s.Health(); h.Ready {
		t.Error("a server that was shut down says that it is ready")
	}
}

func TestShutdown_EndsWithContextWhenHandlerIgnoresIts(t *testing.T) {
	s, url := start(t, server.Options{})
	running, release := make(chan struct{}), make(chan struct{})
	server.On(s.Of("/"), "stuck", func(context.Context, *server.Socket, struct{}) error {
		close(running)
		<-release
		return nil
	})
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`2["stuck"]`)
	receive(t, running)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v, want context.Canceled", err)
	}
	close(release)
}

func TestShutdown_IsNotHeldUpByEmitters(t *testing.T) {
	s, url := start(t, server.Options{CloseTimeout: 100 * time.Millisecond})
	for range 10 {
		rawclient.Join(t, url, "/", nil)
	}
	busy := make(chan struct{})
	var emitters gosync.WaitGroup
	for range 8 {
		emitters.Go(func() {
			for n := 1; s.Of("/").Local().Volatile().Emit("flood", "some text") == nil; n++ {
				if n == 1000 {
					busy <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		receive(t, busy)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	emitters.Wait()
}
