package server_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// Data whose encoding ends its goroutine, as a test's Fatal does, leaves nothing of
// the client behind.
func TestExit_OfDataThatIsSavedEndsTheClientsOtherSocketsToo(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	names := []string{"/", "/a", "/b", "/c"}
	ended := make(chan string, len(names))
	c := rawclient.Dial(t, url, nil)
	for _, name := range names {
		ns := s.Of(name)
		ns.OnConnect(func(ctx context.Context, s *server.Socket) error {
			server.SetData(s, quitter{})
			return s.Join(ctx, "room")
		})
		ns.OnDisconnect(func(_ context.Context, s *server.Socket, _ server.DisconnectReason) { ended <- s.Namespace().Name() })
		if name != "/" {
			sync(ns)
		}
		c.Connect(name, "")
		c.ExpectNothing(name)
	}
	c.Close()
	for range names {
		receive(t, ended)
		receive(t, kept.saved)
	}
	for _, name := range names {
		if n := len(s.Of(name).Sockets()); n > 0 {
			t.Errorf("%s has %d sockets", name, n)
		}
	}
}

func TestExit_OfDataThatIsFetchedIsNoReasonToWait(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		_, first := nodes[1].member(t)
		_, second := nodes[1].member(t)
		for _, s := range nodes[1].Of("/").Sockets() {
			if s.ID() == first {
				server.SetData(s, quitter{})
			}
		}
		begin := time.Now()
		got, err := nodes[0].Of("/").All().FetchSockets(t.Context())
		if err != nil || len(got) != 2 || time.Since(begin) != 0 {
			t.Errorf("got %d sockets, %v after %v; want 2, one of them %s", len(got), err, time.Since(begin), second)
		}
	})
}

// A function of OnAnyOutgoing that ends the goroutine of CallAll ends the call: nobody
// goes on owing an answer to it.
func TestExit_OfTheCallerEndsItsCall(t *testing.T) {
	inClusterBubble(t, 2, server.Options{MaxPendingAcks: 1}, func(t *testing.T, nodes []node) {
		stays, _ := nodes[0].member(t)
		nodes[0].member(t, "victims")
		there, _ := nodes[1].member(t)
		nodes[0].Of("/").OnAnyOutgoing(func(s *server.Socket, _ string, _ server.Args) {
			if len(s.Rooms()) > 1 {
				runtime.Goexit()
			}
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.CallAll[int](t.Context(), nodes[0].Of("/").All(), "ask")
		}()
		<-done
		answerCall(t, there, `["ask"]`, "1")
		synctest.Wait() // until it owes that answer no more
		answers := server.CallAll[int](t.Context(), nodes[0].Of("/").All(), "again")
		answerCall(t, stays, `["again"]`, "2")
		answerCall(t, there, `["again"]`, "3")
		if got, err := answers.Wait(); err != nil || len(got) != 2 {
			t.Errorf("got %v, %v; want the answers of both that are left", got, err)
		}
	})
}
