package server_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	gosync "sync"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// gate is a middleware whose behaviour changes from client to client.
type gate struct {
	mu    gosync.Mutex
	ask   func(ctx context.Context, s *server.Socket) error
	asked int
}

func (g *gate) middleware(ctx context.Context, s *server.Socket) error {
	g.mu.Lock()
	g.asked++
	ask := g.ask
	g.mu.Unlock()
	if ask == nil {
		return nil
	}
	return ask(ctx, s)
}

func (g *gate) set(ask func(ctx context.Context, s *server.Socket) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ask = ask
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

// lost is a client that was in a room, has got one event, and is away.
func lost(t testing.TB, s *server.Server, url string, kept *store) *wanderer {
	t.Helper()
	w := wander(t, url, "/", nil)
	w.Send(`21["join",["room"]]`)
	w.Expect(`31[]`)
	errs(t, s.To(w.sid).Emit("first"))
	w.events(`2["first"]`)
	w.cut(kept)
	return w
}

func TestRecoveryMiddleware_RunsAgainAndSeesWhoCameBack(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	var g gate
	s.Of("/").Use(g.middleware)
	w := lost(t, s, url, kept)
	emit(t, s, 1)
	g.set(func(ctx context.Context, s *server.Socket) error {
		if s.ID() != w.sid || !s.Recovered() || !slices.Contains(s.Rooms(), "room") {
			t.Errorf("a middleware sees %s, recovered %v, in %q", s.ID(), s.Recovered(), s.Rooms())
		}
		if err := s.Emit("early"); err == nil {
			t.Error("an emit succeeded before the client was connected")
		}
		return s.Join(ctx, "joined in a middleware")
	})
	w.recovers(url, `2["n",1]`)
	if g.count() != 2 {
		t.Errorf("middlewares ran %d times, want 2", g.count())
	}
	errs(t, s.To("joined in a middleware").Emit("x"))
	w.events(`2["x"]`)
}

func TestRecoveryMiddleware_SkippedByThoseWhoRecoverOnly(t *testing.T) {
	s, url, kept := recovering(t, server.Options{Recovery: &server.Recovery{SkipMiddlewares: true, MaxPackets: 2}})
	var g gate
	s.Of("/").Use(g.middleware)
	w := lost(t, s, url, kept)
	emit(t, s, 1, 2)
	g.set(func(context.Context, *server.Socket) error { return errors.New("no") })
	w.recovers(url, `2["n",1]`, `2["n",2]`)
	w.cut(kept)
	emit(t, s, 3, 4, 5) // one too many
	w.Client = rawclient.Dial(t, url, nil)
	w.Send("0" + w.credentials())
	w.Expect(`4{"message":"internal error"}`)
	if g.count() != 2 {
		t.Errorf("middlewares ran %d times, want 2: for the two fresh clients", g.count())
	}
}

// Whatever a middleware does to an attempt, the next one finds everything.
func TestRecoveryMiddleware_RecordOutlivesAttemptsThatFail(t *testing.T) {
	for name, refuse := range map[string]struct {
		ask   func(ctx context.Context, s *server.Socket) error
		reply string
	}{
		"error":  {func(context.Context, *server.Socket) error { return errors.New("no") }, `4{"message":"internal error"}`},
		"reason": {func(context.Context, *server.Socket) error { return &server.ConnectError{Message: "no"} }, `4{"message":"no"}`},
		"panic":  {func(context.Context, *server.Socket) error { panic("no") }, `4{"message":"internal error"}`},
		"rooms and data": {func(ctx context.Context, s *server.Socket) error {
			server.SetData(s, "spoilt")
			_ = s.Join(ctx, "spoilt")
			s.Leave("room")
			return errors.New("no")
		}, `4{"message":"internal error"}`},
		"disconnects": {func(_ context.Context, s *server.Socket) error {
			s.Disconnect(false)
			return nil
		}, `4{"message":"disconnected"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, url, kept := recovering(t, server.Options{})
			var g gate
			s.Of("/").Use(g.middleware)
			connected := sockets(s.Of("/"))
			w := lost(t, s, url, kept)
			server.SetData(receive(t, connected), "too late")
			emit(t, s, 1)
			g.set(refuse.ask)
			for range 3 {
				w.Client = rawclient.Dial(t, url, nil)
				w.Send("0" + w.credentials())
				w.Expect(refuse.reply)
			}
			g.set(nil)
			w.Send("0" + w.credentials()) // on the same connection
			if missed, recovered := w.welcome(); !recovered || !slices.Equal(missed, []string{`2["n",1]`}) {
				t.Fatalf("recovered: %v, missed %q", recovered, missed)
			}
			errs(t, s.To("spoilt").Emit("no"), s.To("room").Emit("yes"))
			w.events(`2["yes"]`)
			if _, ok := server.Data[string](receive(t, connected)); ok {
				t.Error("the socket has data of a failed attempt")
			}
		})
	}
}

func TestRecoveryMiddleware_ClientThatGoesWhileItHangsMayComeBack(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	var g gate
	s.Of("/").Use(g.middleware)
	w := lost(t, s, url, kept)
	emit(t, s, 1)
	hanging, gone := make(chan struct{}), make(chan struct{})
	for range 3 {
		g.set(func(ctx context.Context, _ *server.Socket) error {
			hanging <- struct{}{}
			<-ctx.Done()
			gone <- struct{}{}
			return nil // as if nothing had happened
		})
		w.Client = rawclient.Dial(t, url, nil)
		w.Send("0" + w.credentials())
		receive(t, hanging)
		w.Close()
		receive(t, gone)
		eventually(t, "the end of the attempt", func() bool { return s.Stats().Sessions["websocket"] == 0 })
	}
	g.set(nil)
	w.recovers(url, `2["n",1]`)
}

// The client goes in the moment in which its record is taken.
func TestRecoveryMiddleware_ClientThatGoesWhenItIsTakenMayComeBack(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	w := lost(t, s, url, kept)
	emit(t, s, 1)
	gone := make(chan struct{})
	s.Of("/").Use(func(ctx context.Context, socket *server.Socket) error {
		context.AfterFunc(ctx, func() { close(gone) })
		return nil
	})
	kept.intervene(func(step, _ string) error {
		if step == "taken" {
			w.Close()
			receive(t, gone)
		}
		return nil
	})
	w.Client = rawclient.Dial(t, url, nil)
	w.Send("0" + w.credentials())
	receive(t, gone)
	eventually(t, "the end of the attempt", func() bool { return s.Stats().Recoveries["unknown"] == 1 })
	kept.intervene(nil)
	gone = make(chan struct{})
	w.recovers(url, `2["n",1]`)
}

// What the client missed while middlewares ran is neither lost nor sent twice.
func TestRecoveryMiddleware_EventsMeanwhileAreMissedToo(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	s.Of("/").Use(func(_ context.Context, socket *server.Socket) error {
		if socket.Recovered() {
			emit(t, s, 2)
			return errors.Join(s.To("room").Emit("room"), s.To(socket.ID()).Emit("id"), s.Of("/").Local().Emit("local"))
		}
		return nil
	})
	w := lost(t, s, url, kept)
	emit(t, s, 1)
	w.recovers(url, `2["n",1]`, `2["n",2]`, `2["room"]`, `2["id"]`)
	emit(t, s, 3)
	w.events(`2["n",3]`)
}

// Too much may also come while middlewares run: nothing of it is sent, and the client
// starts afresh on another connection.
func TestRecoveryMiddleware_TooMuchMeanwhileIsNoHalfRecovery(t *testing.T) {
	s, url, kept := recovering(t, server.Options{Recovery: &server.Recovery{MaxPackets: 3}})
	s.Of("/").Use(func(_ context.Context, socket *server.Socket) error {
		if socket.Recovered() {
			emit(t, s, 2, 3, 4)
		}
		return nil
	})
	w := lost(t, s, url, kept)
	emit(t, s, 1)
	w.Client = rawclient.Dial(t, url, nil)
	w.Send("0" + w.credentials())
	for _, packet := range w.ExpectClose() {
		if !strings.HasPrefix(packet, `44`) {
			t.Errorf("before the close came %q", packet)
		}
	}
	w.afresh(url)
	if got := s.Stats().Recoveries["too_much"]; got == 0 {
		t.Error("an attempt that found too much is not counted")
	}
}

// Who says that it comes back waits for others to be restored, not for what a program asks
// them.
func TestRecovery_MiddlewaresThatWaitKeepNobodyOut(t *testing.T) {
	recoveringInBubble(t, server.Options{}, func(t *testing.T, s *server.Server, _ *store, dial rawclient.Dialer) {
		asked, open := make(chan struct{}, server.ReturningAtOnce), make(chan struct{})
		s.Of("/").Use(func(ctx context.Context, s *server.Socket) error {
			if strings.Contains(string(s.Handshake().Auth), "slow") {
				asked <- struct{}{}
				<-open
			}
			return nil
		})
		defer close(open)
		for range server.ReturningAtOnce {
			rawclient.Dial(t, pipeURL, dial).Send(`0{"pid":"p","offset":"o","slow":true}`)
		}
		for range server.ReturningAtOnce {
			<-asked
		}
		client := rawclient.Dial(t, pipeURL, dial)
		client.Send(`0{"pid":"p","offset":"o"}`)
		if reply := client.Next(); !strings.HasPrefix(reply, `0{"sid":`) {
			t.Errorf("got %q", reply)
		}
	})
}
