package server_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/server"
)

// A node is killed without a word; its clients go on at another one.
func TestKeeper_ClientOfAKilledNodeRecovers(t *testing.T) {
	inStreamsBubble(t, 2, func(t *testing.T, servers []*server.Server, dials []rawclient.Dialer, ways []*streamNode) {
		for _, s := range servers {
			server.Handle(s.Of("/"), "name", func(_ context.Context, s *server.Socket, name string) (string, error) {
				before, _ := server.Data[string](s)
				if name != "" {
					server.SetData(s, name)
				}
				return before, nil
			})
		}
		w := wander(t, pipeURL, "/", dials[0])
		w.Send(`21["join",["room"]]`)
		w.Expect(`31[]`)
		w.Send(`22["name","Ada"]`)
		w.Expect(`32[""]`)
		emit(t, servers[1], 1)
		w.events(`2["n",1]`)
		ways[0].kept(t, w.pid, "the record with data", func(r *adapter.Record) bool { return string(r.Data) == `"Ada"` })
		ways[0].kill()
		errs(t, servers[1].To("room").Emit("n", 2), servers[1].To("elsewhere").Emit("n", 3), servers[1].To(w.sid).Emit("n", 4))
		w.Close()
		began := time.Now()
		w.at(dials[1]).recovers(pipeURL, `2["n",2]`, `2["n",4]`)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		w.Send(`23["name",""]`)
		w.Expect(`33["Ada"]`)
		errs(t, servers[1].To("room").Emit("n", 5), servers[1].To(w.sid).Emit("n", 6))
		w.events(`2["n",5]`, `2["n",6]`)

		w.Close()
		w.recovers(pipeURL) // it is the other node's for good
	})
}

// Many changes are one write, and it comes within 100 ms of the first.
func TestKeeper_ChangesAreWrittenTogetherAndSoon(t *testing.T) {
	inStreamBubble(t, server.Options{Recovery: &server.Recovery{}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		began := time.Now()
		w := wander(t, pipeURL, "/", dial)
		if way.saves.Load() > 0 || !time.Now().Equal(began) {
			t.Errorf("the reply to CONNECT took %v and %d writes", time.Since(began), way.saves.Load())
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		socket := s.Of("/").Sockets()[0]
		if r := way.record(w.pid); r == nil || r.SocketID != w.sid || r.Node != adapter.NodeID(s.NodeID()) || !slices.Equal(r.Rooms, []string{w.sid}) || r.Data != nil {
			t.Fatalf("100 ms after CONNECT the record is %+v", r)
		}
		for i := range 50 {
			errs(t, socket.Join(t.Context(), fmt.Sprint("room", i)))
			socket.Leave(fmt.Sprint("room", i-1))
			server.SetData(socket, i)
			server.UpdateData(socket, func(n int) int { return n + 1 })
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if r := way.record(w.pid); !slices.Equal(r.Rooms, []string{"room49", w.sid}) || string(r.Data) != "50" {
			t.Errorf("100 ms after the last change the record is %+v", r)
		}
		if n := way.saves.Load(); n > 3 {
			t.Errorf("%d writes, want one for CONNECT and two for 200 changes in 50 ms", n)
		}
		n := way.saves.Load()
		errs(t, socket.Join(t.Context(), "room49"), socket.Emit("n"))
		socket.Leave("elsewhere")
		time.Sleep(time.Second)
		if more := way.saves.Load() - n; more > 0 {
			t.Errorf("%d writes for nothing", more)
		}
		w.event()
	})
}

// Other nodes' calls change records too.
func TestKeeper_ChangesByOtherNodesAreWritten(t *testing.T) {
	servers, urls, ways := streaming(t, 2, server.Options{Recovery: &server.Recovery{}})
	w := wander(t, urls[0], "/", nil)
	errs(t, servers[1].To(w.sid).Join(t.Context(), "room"))
	ways[0].kept(t, w.pid, "the room", func(r *adapter.Record) bool { return slices.Contains(r.Rooms, "room") })
	errs(t, servers[1].To(w.sid).Leave(t.Context(), "room"))
	ways[0].kept(t, w.pid, "no room", func(r *adapter.Record) bool { return !slices.Contains(r.Rooms, "room") })
}

// Who left for good does not come back, wherever.
func TestKeeper_WhoLeftForGoodIsForgotten(t *testing.T) {
	for name, leave := range map[string]func(w *wanderer, s *server.Socket){
		"the client": func(w *wanderer, _ *server.Socket) { w.Send("1") },
		"the server": func(w *wanderer, s *server.Socket) { s.Disconnect(false); w.Expect("1") },
		"the server closes": func(w *wanderer, s *server.Socket) {
			s.Disconnect(true)
			w.Expect("1")
			w.ExpectClose()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inStreamsBubble(t, 2, func(t *testing.T, servers []*server.Server, dials []rawclient.Dialer, ways []*streamNode) {
				for i := range 4 {
					w := wander(t, pipeURL, "/", dials[0])
					emit(t, servers[0], 1)
					w.events(`2["n",1]`)
					if i < 2 { // else it leaves before its first record is written
						ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
					}
					leave(w, socketOf(t, servers[0], w.sid))
					eventually(t, "the end", func() bool { return len(servers[0].Of("/").Sockets()) == 0 })
					w.Close()
					w.at(dials[i%2]).afresh(pipeURL) // at once
					w.Send("1")
					eventually(t, "the end", func() bool { return len(servers[i%2].Of("/").Sockets()) == 0 })
					w.Close()
				}
			})
		})
	}
}

// socketOf returns the socket with that id.
func socketOf(t testing.TB, s *server.Server, id string) *server.Socket {
	t.Helper()
	for _, socket := range s.Of("/").Sockets() {
		if socket.ID() == id {
			return socket
		}
	}
	t.Fatalf("there is no socket %s", id)
	return nil
}

func TestKeeper_RecordsAreRenewedInBatches(t *testing.T) {
	const window, clients = 2 * time.Minute, 30
	inStreamBubble(t, server.Options{Recovery: &server.Recovery{MaxDisconnectionDuration: window}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		for range clients {
			wander(t, pipeURL, "/", dial)
		}
		time.Sleep(time.Second)
		way.mu.Lock()
		for key, r := range way.records { // each has its window from when it was saved
			if left := time.Until(r.until); left < window-time.Second || left > window {
				t.Errorf("%s has %v left", key, left)
			}
		}
		way.mu.Unlock()
		for elapsed := time.Duration(0); elapsed < 5*window; elapsed += time.Second {
			time.Sleep(time.Second)
			way.mu.Lock()
			for key, r := range way.records {
				if left := time.Until(r.until); left < window*2/3-2*time.Second {
					t.Fatalf("after %v, %s has only %v left", elapsed, key, left)
				}
			}
			way.mu.Unlock()
		}
		calls, ids := 0, 0
		for len(way.renewed) > 0 {
			calls, ids = calls+1, ids+<-way.renewed
		}
		if calls > 30 || ids < clients*14 || ids > clients*20 {
			t.Errorf("%d renewals in %d calls", ids, calls)
		}
		if n := way.saves.Load(); n != clients {
			t.Errorf("%d saves", n)
		}
	})
}

// When the backend was lost and is back, all is written again, since it may be gone.
func TestKeeper_LostRecordsAreWrittenAgain(t *testing.T) {
	inStreamBubble(t, server.Options{Recovery: &server.Recovery{}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		a, b := wander(t, pipeURL, "/", dial), wander(t, pipeURL, "/", dial)
		time.Sleep(time.Second)
		way.forgetAll()
		way.away.Store(true)
		errs(t, s.Of("/").Sockets()[0].Join(t.Context(), "room"), s.Of("/").Sockets()[1].Join(t.Context(), "room"))
		b.Close() // its last state is written later
		time.Sleep(time.Second)
		way.away.Store(false)
		way.lost.Add(1)
		time.Sleep(8 * time.Second)
		for _, w := range []*wanderer{a, b} {
			if r := way.record(w.pid); r == nil || !slices.Contains(r.Rooms, "room") {
				t.Errorf("the record is %+v", r)
			}
		}
		way.forgetAll()
		way.lost.Add(1)
		time.Sleep(8 * time.Second)
		if way.record(a.pid) == nil || way.record(b.pid) != nil {
			t.Errorf("of who is here and who is not, the records are %+v and %+v", way.record(a.pid), way.record(b.pid))
		}
	})
}

// While the backend is away attempts become rare, and what is forgotten is not revived.
func TestKeeper_AttemptsWhileTheBackendIsAway(t *testing.T) {
	inStreamBubble(t, server.Options{Recovery: &server.Recovery{}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		stays, leaves := wander(t, pipeURL, "/", dial), wander(t, pipeURL, "/", dial)
		time.Sleep(time.Second)
		var attempts atomic.Int64
		way.intervene(func(string) { attempts.Add(1) })
		way.away.Store(true)
		for _, socket := range s.Of("/").Sockets() {
			errs(t, socket.Join(t.Context(), "room"))
		}
		leaves.Send("1")
		time.Sleep(20 * time.Second)
		if n := attempts.Load(); n < 10 || n > 60 {
			t.Errorf("%d attempts in 20 s", n)
		}
		way.away.Store(false)
		time.Sleep(3 * time.Second)
		if r := way.record(stays.pid); r == nil || !slices.Contains(r.Rooms, "room") {
			t.Errorf("the record of who stayed is %+v", r)
		}
		if r := way.record(leaves.pid); r != nil {
			t.Errorf("the record of who left is %+v", r)
		}
	})
}

// A last state that could not be written within the window is of no use, and what
// waits is bounded.
func TestKeeper_LastStatesThatWaitAreBounded(t *testing.T) {
	inStreamBubble(t, server.Options{Recovery: &server.Recovery{MaxRecords: 3, MaxDisconnectionDuration: 30 * time.Second}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		count := func(room string) (n int) {
			way.mu.Lock()
			defer way.mu.Unlock()
			for _, r := range way.records {
				if r.Record != nil && slices.Contains(r.Rooms, room) {
					n++
				}
			}
			return n
		}
		leave := func(room string) {
			var all []*wanderer
			for range 5 {
				all = append(all, wander(t, pipeURL, "/", dial))
			}
			time.Sleep(time.Second)
			way.away.Store(true)
			for _, socket := range s.Of("/").Sockets() {
				errs(t, socket.Join(t.Context(), room))
			}
			for _, w := range all {
				w.Close()
			}
			time.Sleep(time.Second)
		}
		leave("first")
		way.away.Store(false)
		time.Sleep(3 * time.Second)
		if n := count("first"); n != 3 {
			t.Errorf("%d records of clients that left while the backend was away, want 3", n)
		}
		leave("second")
		time.Sleep(31 * time.Second)
		way.away.Store(false)
		time.Sleep(3 * time.Second)
		if n := count("second"); n != 0 {
			t.Errorf("%d records were written after their window", n)
		}
	})
}

// A record that has become too large must not leave an older one behind.
func TestKeeper_TooLargeIsForgottenAndNotRestoredByHalf(t *testing.T) {
	servers, urls, ways := streaming(t, 2, server.Options{Recovery: &server.Recovery{MaxRecordBytes: 400}})
	w := wander(t, urls[0], "/", nil)
	emit(t, servers[0], 1)
	w.events(`2["n",1]`)
	ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
	errs(t, servers[0].Of("/").Sockets()[0].Join(t.Context(), strings.Repeat("r", 400)))
	eventually(t, "no record", func() bool { return ways[0].record(w.pid) == nil })
	w.Close()
	w.afresh(urls[1])
}

// What cannot be written holds nobody else up.
func TestKeeper_OneThatFailsDoesNotHoldUpOthers(t *testing.T) {
	inStreamBubble(t, server.Options{Recovery: &server.Recovery{}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		wander(t, pipeURL, "/", dial)
		server.SetData(s.Of("/").Sockets()[0], slow{})
		for range 40 {
			w := wander(t, pipeURL, "/", dial)
			time.Sleep(100 * time.Millisecond)
			if way.record(w.pid) == nil {
				t.Fatal("a record was not written within 100 ms")
			}
		}
	})
}

// slow is data whose encoding ends the goroutine.
type slow struct{}

func (slow) MarshalJSON() ([]byte, error) { runtime.Goexit(); return nil, nil }

// Ten thousand clients at once are not ten thousand writes at a time.
func TestKeeper_StormIsWrittenSomeAtATime(t *testing.T) {
	const clients = 1000
	inStreamBubble(t, server.Options{Recovery: &server.Recovery{}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		way.intervene(func(step string) {
			if step == "save" {
				time.Sleep(time.Millisecond)
			}
		})
		var all []*wanderer
		for range clients {
			all = append(all, wander(t, pipeURL, "/", dial))
		}
		before := runtime.NumGoroutine()
		time.Sleep(60 * time.Millisecond)
		if n := runtime.NumGoroutine() - before; n > 50 {
			t.Errorf("%d goroutines more while records are written", n)
		}
		time.Sleep(time.Second)
		if n, most := way.saves.Load(), way.most.Load(); n != clients || most > 16 {
			t.Errorf("%d writes, %d at a time", n, most)
		}
		for _, w := range all {
			w.Close()
		}
	})
}

// Where records do not outlive their node nothing is done for connected clients.
func TestKeeper_NoneInMemory(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	kept.intervene(func(step, _ string) error {
		t.Errorf("while the client is connected: %s", step)
		return nil
	})
	w := wander(t, url, "/", nil)
	socket := s.Of("/").Sockets()[0]
	errs(t, socket.Join(t.Context(), "room"))
	server.SetData(socket, 1)
	<-time.After(150 * time.Millisecond)
	kept.intervene(nil)
	w.cut(kept)
}
