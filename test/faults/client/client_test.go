package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/pkg/server"
	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// serve starts a server with recovery and returns where it is.
func serve(t *testing.T) (*server.Server, client.Place) {
	t.Helper()
	srv, err := server.New(server.Options{Recovery: &server.Recovery{}})
	if err != nil {
		t.Fatal(err)
	}
	server.Handle(srv.Of("/"), "echo", func(_ context.Context, _ *server.Socket, text string) (string, error) { return text, nil })
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srv)
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		_ = srv.Shutdown(context.Background())
		web.Close()
	})
	return srv, client.Place{Addr: strings.TrimPrefix(web.URL, "http://"), Node: 7}
}

// run starts a client, which ends with the test.
func run(t *testing.T, config client.Config) *client.Client {
	t.Helper()
	c := client.New(config)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return c
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func at(place client.Place) func() (client.Place, bool) {
	return func() (client.Place, bool) { return place, true }
}

func TestClient_ComesBackWithItsIdAndWhatItMissed(t *testing.T) {
	srv, place := serve(t)
	log := &tally.Log{Room: tally.Everybody, Recovers: true}
	var gate sync.Mutex // held, the client finds no node
	c := run(t, client.Config{Log: log, Place: func() (client.Place, bool) {
		if !gate.TryLock() {
			return client.Place{}, false
		}
		defer gate.Unlock()
		return place, true
	}})
	eventually(t, "connected", c.Connected)
	emit := func(number int) {
		if err := srv.Emit(client.Event, client.Text(7, number, 100)); err != nil {
			t.Fatal(err)
		}
	}
	emit(1)
	eventually(t, "an offset", c.HasOffset)
	gate.Lock()
	c.Drop()
	eventually(t, "disconnected", func() bool { return !c.Connected() })
	emit(2)
	gate.Unlock()
	eventually(t, "both messages", func() bool { return log.Count() == 2 })
	recovered, afresh, _ := c.Returns()
	if recovered != 1 || afresh != 0 {
		t.Errorf("recovered %d times, afresh %d times", recovered, afresh)
	}
	if s := log.Sittings(); len(s) != 2 || s[0].To.IsZero() || s[0].Node != 7 || !s[1].Recovered {
		t.Errorf("got sittings %+v", s)
	}
	if len(c.Handshakes()) != 2 {
		t.Errorf("got %d handshakes, want 2", len(c.Handshakes()))
	}
}

func TestClient_StartsAfreshWhereItIsNotKnown(t *testing.T) {
	_, first := serve(t)
	_, second := serve(t)
	places := make(chan client.Place, 2)
	places <- first
	places <- second
	log := &tally.Log{Room: tally.Everybody}
	c := run(t, client.Config{Log: log, Place: func() (client.Place, bool) { return <-places, true }})
	eventually(t, "connected", c.Connected)
	c.Drop()
	eventually(t, "connected again", func() bool { return len(log.Sittings()) == 2 && c.Connected() })
	if recovered, afresh, _ := c.Returns(); recovered != 0 || afresh != 1 {
		t.Errorf("recovered %d times, afresh %d times", recovered, afresh)
	}
}

func TestClient_CallsAndAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		silent bool
		limit  time.Duration // of the wait for its answer
	}{
		"answering": {false, patience},
		"silent":    {true, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			srv, place := serve(t)
			c := run(t, client.Config{Log: &tally.Log{}, Place: at(place), Silent: tt.silent})
			eventually(t, "connected", c.Connected)
			var text string
			if err := c.Call(t.Context(), "echo", "hello", &text); err != nil || text != "hello" {
				t.Errorf("got %q, %v", text, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
			defer cancel()
			answers, err := server.CallAll[string](ctx, srv.Of("/").All(), "ask").Wait()
			if (len(answers) == 1) == tt.silent || (err != nil) != tt.silent {
				t.Errorf("got answers %q, %v", answers, err)
			}
			c.Leave()
			eventually(t, "gone", func() bool { return len(srv.Of("/").Sockets()) == 0 })
		})
	}
}

func TestClient_CountsRefusals(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "full", http.StatusServiceUnavailable)
	}))
	t.Cleanup(web.Close)
	c := run(t, client.Config{Log: &tally.Log{}, Place: at(client.Place{Addr: strings.TrimPrefix(web.URL, "http://")})})
	eventually(t, "refused twice", func() bool {
		_, _, refused := c.Returns()
		return refused >= 2
	})
	if c.Connected() {
		t.Error("connected")
	}
}

func TestClient_StalledReadsNothing(t *testing.T) {
	srv, place := serve(t)
	log := &tally.Log{Room: tally.Everybody}
	c := run(t, client.Config{Log: log, Place: at(place), ReceiveBuffer: 4 << 10})
	eventually(t, "connected", c.Connected)
	c.Stall()
	for number := range 100 {
		if err := srv.Emit(client.Event, client.Text(7, number, 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	if got := log.Count(); got > 1 { // one that it was waiting for when it was told
		t.Errorf("got %d messages", got)
	}
}
