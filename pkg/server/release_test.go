package server_test

import (
	"context"
	"slices"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/server"
)

// The client comes back while its connection still stands, here or elsewhere: that is
// closed, and what it was sent meanwhile is not lost.
func TestRelease_ConnectionThatStandsIsClosed(t *testing.T) {
	for name, where := range map[string]int{"on this node": 0, "on another node": 1} {
		t.Run(name, func(t *testing.T) {
			inStreamsBubble(t, 2, func(t *testing.T, servers []*server.Server, dials []rawclient.Dialer, ways []*streamNode) {
				reasons := make(chan server.DisconnectReason, 4)
				servers[0].Of("/").OnDisconnect(func(_ context.Context, _ *server.Socket, r server.DisconnectReason) { reasons <- r })
				w := wander(t, pipeURL, "/", dials[0])
				emit(t, servers[0], 1)
				w.events(`2["n",1]`)
				before := w.Client
				emit(t, servers[0], 2)
				before.Next() // the client does not note the offset
				ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
				// Not written yet when the client comes back:
				errs(t, servers[0].Of("/").Sockets()[0].Join(t.Context(), "room"))
				began := time.Now()
				w.at(dials[where]).recovers(pipeURL, `2["n",2]`)
				if took := time.Since(began); took > 500*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				before.ExpectClose()
				if r := receive(t, reasons); r != server.TransportClose {
					t.Errorf("the reason is %q", r)
				}
				if rooms := servers[where].Of("/").Sockets()[0].Rooms(); !slices.Contains(rooms, "room") {
					t.Errorf("the rooms are %q", rooms)
				}
				errs(t, servers[1-where].To("room").Emit("n", 3), servers[1-where].To(w.sid).Emit("n", 4))
				w.events(`2["n",3]`, `2["n",4]`)
				w.ExpectNothing("/")
			})
		})
	}
}

// However many attempts there are at once: one socket has the id in the end.
func TestRelease_OneOfManyAttempts(t *testing.T) {
	const nodes, attempts = 3, 6
	inStreamsBubble(t, nodes, func(t *testing.T, servers []*server.Server, dials []rawclient.Dialer, ways []*streamNode) {
		for round := range 20 {
			w := wander(t, pipeURL, "/", dials[round%nodes])
			errs(t, servers[0].To(w.sid).Emit("first"))
			w.events(`2["first"]`)
			ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
			if round%2 == 0 {
				w.Close()
			}
			var sent gosync.WaitGroup
			for i := range attempts {
				sent.Go(func() {
					c := rawclient.Dial(t, pipeURL, dials[i%nodes])
					c.Send("0" + w.credentials())
				})
			}
			sent.Wait()
			eventually(t, "the end of all attempts", func() bool {
				ended := uint64(0)
				for _, s := range servers {
					for _, n := range s.Stats().Recoveries {
						ended += n
					}
				}
				return ended == uint64(attempts*(round+1))
			})
			standing := 0
			for _, s := range servers {
				for _, socket := range s.Of("/").Sockets() {
					if socket.ID() == w.sid {
						standing++
					}
				}
			}
			if standing != 1 {
				t.Fatalf("in round %d, %d sockets have the id", round, standing)
			}
		}
	})
}

// A node that does not answer is not waited for for long, and what it saves later does
// not count. When it hears of that it gives its socket up.
func TestRelease_NodeThatDoesNotAnswer(t *testing.T) {
	inStreamsBubble(t, 2, func(t *testing.T, servers []*server.Server, dials []rawclient.Dialer, ways []*streamNode) {
		w := wander(t, pipeURL, "/", dials[0])
		emit(t, servers[0], 1)
		w.events(`2["n",1]`)
		ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
		old := socketOf(t, servers[0], w.sid)
		before := w.Client
		ways[1].cut.Store(true)
		began := time.Now()
		w.at(dials[1]).recovers(pipeURL)
		if took := time.Since(began); took < time.Second || took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		ways[0].kept(t, w.pid, "the new record", func(r *adapter.Record) bool { return r.Node == adapter.NodeID(servers[1].NodeID()) })
		errs(t, old.Join(t.Context(), "elsewhere"))
		eventually(t, "the end of the old socket", func() bool { return !old.Connected() })
		before.ExpectClose()
		if r := ways[0].record(w.pid); r == nil || r.Node != adapter.NodeID(servers[1].NodeID()) || len(r.Rooms) != 1 {
			t.Errorf("the record is %+v", r)
		}
		w.Close()
		w.at(dials[0]).recovers(pipeURL)
	})
}

// A node that is known to be dead is not asked.
func TestRelease_NodeThatIsNoMemberIsNotWaitedFor(t *testing.T) {
	inStreamsBubble(t, 2, func(t *testing.T, servers []*server.Server, dials []rawclient.Dialer, ways []*streamNode) {
		w := wander(t, pipeURL, "/", dials[0])
		emit(t, servers[0], 1)
		w.events(`2["n",1]`)
		ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
		errs(t, servers[0].Shutdown(t.Context()))
		began := time.Now()
		w.at(dials[1]).recovers(pipeURL)
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// "Not here" is not said before the last state of who was here is written.
func TestRelease_WaitsForTheLastState(t *testing.T) {
	inStreamsBubble(t, 2, func(t *testing.T, servers []*server.Server, dials []rawclient.Dialer, ways []*streamNode) {
		w := wander(t, pipeURL, "/", dials[0])
		emit(t, servers[0], 1)
		w.events(`2["n",1]`)
		ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
		hold, reached := make(chan struct{}), make(chan struct{}, 10)
		ways[0].intervene(func(step string) {
			if step == "save" {
				reached <- struct{}{}
				<-hold
			}
		})
		server.SetData(socketOf(t, servers[0], w.sid), "last")
		w.Close()
		receive(t, reached)
		eventually(t, "the end", func() bool { return len(servers[0].Of("/").Sockets()) == 0 })
		w.Client = rawclient.Dial(t, pipeURL, dials[1])
		w.Send("0" + w.credentials())
		<-time.After(50 * time.Millisecond)
		if len(servers[1].Of("/").Sockets()) > 0 {
			t.Error("the client has recovered before its last state was written")
		}
		close(hold)
		if _, recovered := w.welcome(); !recovered {
			t.Error("the client starts afresh")
		}
		if data, _ := server.Data[string](servers[1].Of("/").Sockets()[0]); data != "last" {
			t.Errorf("the data is %q", data)
		}
	})
}

// Nobody else's words release anything.
func TestRelease_ForgedRequestsDoNothing(t *testing.T) {
	servers, urls, ways := streaming(t, 1, server.Options{Recovery: &server.Recovery{}})
	w := wander(t, urls[0], "/", nil)
	other := wander(t, urls[0], "/", nil)
	errs(t, socketOf(t, servers[0], other.sid).Join(t.Context(), w.sid, "room"))
	var answers atomic.Int64
	forger, err := ways[0].Join(t.Context(), "/", "forger", func(m *adapter.Message) {
		if m.Kind == adapter.KindResponse && m.Response.Done {
			answers.Add(1)
		}
	})
	errs(t, err)
	self := adapter.NodeID(servers[0].NodeID())
	for _, m := range []*adapter.Message{
		{Request: &adapter.Request{ID: "1", Rooms: []string{w.sid}}},
		{To: self, Request: &adapter.Request{ID: "2"}},
		{To: self, Request: &adapter.Request{ID: "3", Rooms: []string{w.sid, other.sid}}},
		{To: self, Request: &adapter.Request{ID: "4", Rooms: []string{"room"}}},
		{To: self, Request: &adapter.Request{ID: "5", Rooms: []string{w.pid}}},
		{To: "another", Request: &adapter.Request{ID: "6", Rooms: []string{w.sid}}},
	} {
		m.Kind, m.Request.Action = adapter.KindRequest, adapter.ActionRelease
		errs(t, forger.Publish(t.Context(), m))
	}
	eventually(t, "answers", func() bool { return answers.Load() == 4 })
	w.ExpectNothing("/")
	other.ExpectNothing("/")
	errs(t, forger.Publish(t.Context(), &adapter.Message{To: self, Kind: adapter.KindRequest, Request: &adapter.Request{
		ID: "7", Action: adapter.ActionRelease, Rooms: []string{w.sid},
	}}))
	w.ExpectClose()
	other.ExpectNothing("/")
	errs(t, forger.Close(t.Context()))
}

// A restored socket's id ends in another node's tag, and so its room is announced.
func TestRelease_RoomOfAForeignIDIsAnnounced(t *testing.T) {
	servers, urls, ways := streaming(t, 2, server.Options{Recovery: &server.Recovery{}})
	w := wander(t, urls[0], "/", nil)
	emit(t, servers[0], 1)
	w.events(`2["n",1]`)
	if rooms := ways[0].announced(); len(rooms) != 0 {
		t.Errorf("of an own id %q are announced", rooms)
	}
	ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
	w.Close()
	w.recovers(urls[1])
	eventually(t, "the room", func() bool { return slices.Equal(ways[1].announced(), []string{w.sid}) })
	w.Close()
	eventually(t, "no room", func() bool { return len(ways[1].announced()) == 0 })
	w.recovers(urls[0])
	if rooms := ways[0].announced(); len(rooms) != 0 {
		t.Errorf("of an own id %q are announced", rooms)
	}
}

// A node without recovery to offer says so at once.
func TestRelease_MemoryKnowsNoStandingConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(newStream().calls)
		a, dial, stop := startOnPipes(t, server.Options{Adapter: s, Recovery: &server.Recovery{}})
		defer stop()
		w := wander(t, pipeURL, "/", dial)
		emit(t, a, 1)
		w.events(`2["n",1]`)
		before := w.Client
		w.afresh(pipeURL)
		emit(t, a, 2)
		if got, _ := cutOffset(before.Next()); got != `2["n",2]` {
			t.Errorf("got %q", got)
		}
	})
}
