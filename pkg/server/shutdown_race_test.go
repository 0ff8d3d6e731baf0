package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// Whatever is being called when a node ends returns, and soon; nothing of it goes on.
func TestShutdown_WhileEverythingIsCalled(t *testing.T) {
	for name, recovery := range map[string]*server.Recovery{"without recovery": nil, "with recovery": {}} {
		t.Run(name, func(t *testing.T) {
			for round := range 5 {
				options := server.Options{Adapter: memory.New(), Recovery: recovery, RequestTimeout: time.Minute}
				staying, _ := start(t, options)
				leaving, url := start(t, options)
				dynamic := func(_ context.Context, name string, _ *server.Handshake) bool { return strings.HasPrefix(name, "/d") }
				for _, s := range []*server.Server{staying, leaving} {
					s.OfFunc(dynamic)
					server.HandleServerSide(s.Of("/"), "ask", func(_ context.Context, n int) (int, error) { return n, nil })
				}
				meet(t, []*server.Server{staying, leaving})
				var over atomic.Bool
				var clients, callers gosync.WaitGroup
				for i := range 6 {
					clients.Go(func() { comeAndGo(url, i, &over) })
				}
				for _, s := range []*server.Server{staying, leaving} {
					for i := range 6 {
						callers.Go(func() { callEverything(t, s, i, &over) })
					}
				}
				<-time.After(time.Duration(20+20*round) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				if err := leaving.Shutdown(ctx); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				cancel()
				over.Store(true)
				callers.Wait()
				clients.Wait()
			}
		})
	}
}

// callEverything calls s until it is over. What it fails with says why.
func callEverything(t *testing.T, s *server.Server, i int, over *atomic.Bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ns := s.Of("/")
	for n := 0; !over.Load(); n++ {
		all := ns.All()
		var err error
		switch (n + i) % 7 {
		case 0:
			_, err = server.CallAll[int](ctx, all, "ask", n).Wait()
		case 1:
			_, err = all.FetchSockets(ctx)
		case 2:
			err = all.Join(ctx, "a", "b")
		case 3:
			_, err = server.CallServers[int](ctx, ns, "ask", n)
		case 4:
			err = errors.Join(all.Emit("n", n), ns.ServerSideEmit(ctx, "ask", n))
		case 5:
			_, err = s.Of(fmt.Sprint("/d", n%3)).All().Rooms(ctx)
		case 6:
			err = all.Leave(ctx, "a")
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call %d of %d: %v", n, i, err)
			return
		}
	}
}

// comeAndGo connects, acknowledges what wants it, and goes, again and again.
func comeAndGo(url string, i int, over *atomic.Bool) {
	for !over.Load() {
		conn, response, err := websocket.DefaultDialer.Dial("ws"+url[len("http"):]+"/socket.io/?EIO=4&transport=websocket", nil)
		if err != nil {
			if response != nil {
				_ = response.Body.Close()
			}
			return
		}
		_ = conn.WriteMessage(websocket.TextMessage, []byte("40"))
		_ = conn.WriteMessage(websocket.TextMessage, []byte(fmt.Sprintf("40/d%d,", i%3)))
		for n := range 20 {
			_, data, err := conn.ReadMessage()
			if err != nil {
				break
			}
			id, _, ok := strings.Cut(strings.TrimPrefix(string(data), "42"), "[")
			if ok && id != "" && n%3 > 0 {
				_ = conn.WriteMessage(websocket.TextMessage, []byte("43"+id+"[1]"))
			}
		}
		_ = conn.Close()
	}
}
