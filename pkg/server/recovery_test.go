package server_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// keepsake is data that a program attaches to sockets.
type keepsake struct {
	Name  string
	Marks []int
}

// sockets notes each socket that connects to ns.
func sockets(ns *server.Namespace) <-chan *server.Socket {
	c := make(chan *server.Socket, 1000)
	ns.OnConnect(func(_ context.Context, s *server.Socket) error { c <- s; return nil })
	return c
}

// errs fails the test if any of the calls did.
func errs(t testing.TB, all ...error) {
	t.Helper()
	for i, err := range all {
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}

// Socket.IO's order of a disconnection: the record is kept before the program hears
// of it.
func TestRecovery_RecordIsSavedBeforeOnDisconnect(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	told := make(chan struct{})
	s.Of("/").OnDisconnect(func(context.Context, *server.Socket, server.DisconnectReason) { close(told) })
	expectSavedFirst(t, kept, told)
	w := wander(t, url, "/", nil)
	emit(t, s, 0)
	w.events(`2["n",0]`)
	w.cut(kept)
	receive(t, told)
}

// expectSavedFirst fails the test if the program is told while a record is being saved.
func expectSavedFirst(t *testing.T, kept *store, told <-chan struct{}) {
	kept.intervene(func(step, _ string) error {
		if step == "save" {
			select {
			case <-told:
				t.Error("the program was told before the record was saved")
			case <-time.After(50 * time.Millisecond): // long enough for one that does not wait
			}
		}
		return nil
	})
}

// A handler that runs meanwhile ends, and the program hears of the disconnection when the
// record is saved, not when the handler has ended.
func TestRecovery_RecordIsSavedBeforeOnDisconnectWhileAHandlerRuns(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	told, handled := make(chan struct{}), make(chan struct{})
	ns := s.Of("/")
	server.On(ns, "work", func(ctx context.Context, _ *server.Socket, _ server.Args) error {
		handled <- struct{}{}
		<-ctx.Done()
		close(handled)
		return nil
	})
	ns.OnDisconnect(func(context.Context, *server.Socket, server.DisconnectReason) { close(told) })
	expectSavedFirst(t, kept, told)
	w := wander(t, url, "/", nil)
	emit(t, s, 0)
	w.events(`2["n",0]`)
	w.Send(`2["work"]`)
	receive(t, handled)
	w.cut(kept)
	receive(t, told)
}

func TestRecovery_ClientHasWhatItHadAndGetsWhatItMissed(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	ns := s.Of("/")
	connected := sockets(ns)
	w := wander(t, url, "/", nil)
	old := receive(t, connected)
	errs(t, old.Join(t.Context(), "red", "blue"))
	server.SetData(old, keepsake{"Ada", []int{1, 2}})
	emit(t, s, 0)
	w.events(`2["n",0]`)
	w.cut(kept)

	errs(t,
		ns.Emit("all", 1),
		ns.To("red").Emit("room", "text"),
		ns.To("red", "blue", old.ID()).Emit("once"),
		ns.To("green").Emit("not mine"),
		ns.To("red").Except("blue").Emit("excepted"),
		ns.Except("green").Emit("others excepted", nil),
		ns.To("blue").Emit("file", []byte{0, 255}),
		old.To("red").Emit("not to myself"),
		old.Emit("direct", map[string]int{"a": 1}),
		ns.To(old.ID()).Compress(false).Emit("by id"),
		ns.Local().Emit("local"), ns.Volatile().Emit("volatile"), old.Volatile().Emit("volatile"), // are not kept
	)
	w.recovers(url, `2["all",1]`, `2["room","text"]`, `2["once"]`, `2["others excepted",null]`,
		`51-["file",{"_placeholder":true,"num":0}]`, "binary:\x00\xff", `2["direct",{"a":1}]`, `2["by id"]`)
	now := receive(t, connected)
	if now == old || !now.Recovered() || old.Recovered() {
		t.Errorf("recovered: the old socket says %v, the new one %v", old.Recovered(), now.Recovered())
	}
	if rooms := slices.Sorted(slices.Values(now.Rooms()[1:])); now.ID() != w.sid || now.Rooms()[0] != w.sid || !slices.Equal(rooms, []string{"blue", "red"}) {
		t.Errorf("the id is %q, the rooms are %q", now.ID(), now.Rooms())
	}
	if d, ok := server.Data[keepsake](now); !ok || !reflect.DeepEqual(d, keepsake{"Ada", []int{1, 2}}) {
		t.Errorf("data is %+v, %v", d, ok)
	}
	errs(t, ns.To("blue").Emit("after"), now.Emit("direct"), old.Emit("by the old one"))
	w.events(`2["after"]`, `2["direct"]`, `2["by the old one"]`)
	if got := s.Stats().Recoveries["complete"]; got != 1 {
		t.Errorf("%d recoveries are counted, want 1", got)
	}
}

func TestRecovery_TwiceInARowAndOnAnotherNode(t *testing.T) {
	first, url, kept := recovering(t, server.Options{})
	second := newStore(kept.Adapter)
	_, otherURL := second.serve(t, server.Options{})
	w := wander(t, url, "/", nil)
	w.Send(`21["join",["room"]]`)
	w.Expect(`31[]`)
	emit(t, first, 0)
	w.events(`2["n",0]`)
	w.cut(kept)
	w.recovers(otherURL)
	w.cut(second)
	errs(t, first.To("room").Emit("x"), first.To(w.sid).Emit("y"))
	w.recovers(url, `2["x"]`, `2["y"]`)
	w.cut(kept)
	emit(t, first, 1)
	w.recovers(otherURL, `2["n",1]`)
	errs(t, first.To("room").Emit("z"), first.To(w.sid).Emit("direct"))
	w.events(`2["z"]`, `2["direct"]`)
}

// The client takes any last argument that is a string for an offset.
func TestRecovery_OffsetIsTheLastArgumentOfWhatIsKept(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	ns := s.Of("/")
	connected := sockets(ns)
	w := wander(t, url, "/", nil)
	socket := receive(t, connected)
	for _, emit := range []func(...any) error{
		func(args ...any) error { return ns.Emit("e", args...) },
		func(args ...any) error { return ns.To(w.sid).Emit("e", args...) },
		func(args ...any) error { return socket.Emit("e", args...) },
		func(args ...any) error { return socket.Compress(false).Emit("e", args...) },
	} {
		errs(t, emit(), emit("text"), emit(`quoted \ "`), emit(map[string]string{"a": "b"}))
		w.events(`2["e"]`, `2["e","text"]`, `2["e","quoted \\ \""]`, `2["e",{"a":"b"}]`)
	}
	for name, emit := range map[string]func(...any) error{
		"local":           func(args ...any) error { return ns.Local().Emit("e", args...) },
		"volatile":        func(args ...any) error { return ns.Volatile().Emit("e", args...) },
		"volatile direct": func(args ...any) error { return socket.Volatile().Emit("e", args...) },
	} {
		last := w.offset
		errs(t, emit(), emit("text"), emit(`ends with "`), emit(1), emit("a", nil), emit(map[string]string{"a": "b"}), emit([]string{"a"}), emit([]byte("x")))
		w.Expect(`2["e",null]`, `2["e","text",null]`, `2["e","ends with \"",null]`, `2["e",1]`, `2["e","a",null]`,
			`2["e",{"a":"b"}]`, `2["e",["a"]]`, `51-["e",{"_placeholder":true,"num":0}]`, "binary:x")
		if w.offset != last {
			t.Errorf("%s: the offset moved", name)
		}
	}
	go func() { _, _ = server.Call[server.Args](t.Context(), socket, "ask", "text") }()
	if packet := w.Next(); !strings.HasSuffix(packet, `["ask","text"]`) {
		t.Errorf("an event that wants an acknowledgement is %q", packet)
	}
	w.cut(kept)
	w.recovers(url)
}

func TestRecovery_NamespacesOfAConnectionRecoverEachForItself(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	sync(s.Of("/chat"))
	chat := wander(t, url, "/chat", nil)
	lobby := &wanderer{t: t, Client: chat.Client}
	lobby.enter()
	emit(t, s, 1)
	lobby.events(`2["n",1]`)
	errs(t, s.Of("/chat").Emit("hello"))
	chat.events(`2/chat,["hello"]`)
	lobby.Close()
	for range 2 {
		receive(t, kept.saved)
	}
	emit(t, s, 2)
	errs(t, s.Of("/chat").Emit("again"))

	stranger := *lobby // the lobby's private id opens nothing else
	stranger.prefix = "/chat,"
	stranger.afresh(url)
	lobby.recovers(url, `2["n",2]`)
	chat.Client = lobby.Client
	chat.Send("0/chat," + chat.credentials())
	if missed, recovered := chat.welcome(); !recovered || fmt.Sprint(missed) != `[2/chat,["again"]]` {
		t.Errorf("recovered: %v, missed %q", recovered, missed)
	}
}

func TestRecovery_OverPolling(t *testing.T) {
	kept := newStore(memory.New())
	v := besiege(t, server.Options{Adapter: kept, Recovery: &server.Recovery{}})
	p := v.open(t)
	p.post("40")
	w := &wanderer{t: t}
	w.sid, w.pid, _ = w.connected(strings.TrimPrefix(p.get().body, "4"))
	errs(t, v.server.To(w.sid).Emit("n", 1))
	_, w.offset = cutOffset(strings.TrimPrefix(p.get().body, "4"))
	p.post("1")
	for receive(t, kept.saved) != w.pid {
	}
	errs(t, v.server.To(w.sid).Emit("n", 2), v.server.To(w.sid).Emit("file", []byte("x")))
	p = v.open(t)
	p.post("40" + w.credentials())
	var got []string
	for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "0") {
		for packet := range strings.SplitSeq(p.get().body, "\x1e") {
			stripped, _ := cutOffset(strings.TrimPrefix(packet, "4"))
			got = append(got, stripped)
		}
	}
	want := []string{`2["n",2]`, `51-["file",{"_placeholder":true,"num":0}]`, "beA==", fmt.Sprintf(`0{"sid":%q,"pid":%q}`, w.sid, w.pid)}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	p.post("1")
}

func TestRecovery_OnlyOfWhoWasLost(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	ended := make(chan server.DisconnectReason, 100)
	connected := sockets(s.Of("/"))
	s.Of("/").OnDisconnect(func(_ context.Context, _ *server.Socket, reason server.DisconnectReason) { ended <- reason })
	for name, end := range map[string]struct {
		do       func(w *wanderer, s *server.Socket)
		recovers bool
	}{
		"client left":         {func(w *wanderer, _ *server.Socket) { w.Send("1") }, false},
		"server disconnected": {func(_ *wanderer, s *server.Socket) { s.Disconnect(false) }, false},
		"server closed":       {func(_ *wanderer, s *server.Socket) { s.Disconnect(true) }, false},
		"selection disconnected": {func(_ *wanderer, s *server.Socket) {
			_ = s.Namespace().All().Disconnect(context.Background(), false)
		}, false},
		"invalid Engine.IO packet": {func(w *wanderer, _ *server.Socket) { w.SendRaw("9") }, false},
		"invalid Socket.IO packet": {func(w *wanderer, _ *server.Socket) { w.Send("9") }, true},
		"connection lost":          {func(w *wanderer, _ *server.Socket) { w.Close() }, true},
		"connection reset":         {func(w *wanderer, _ *server.Socket) { reset(w.Conn().NetConn()) }, true},
		"transport closed":         {func(w *wanderer, _ *server.Socket) { w.SendRaw("1") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := wander(t, url, "/", nil)
			socket := receive(t, connected)
			emit(t, s, 1)
			w.events(`2["n",1]`)
			end.do(w, socket)
			reason := receive(t, ended)
			if end.recovers {
				receive(t, kept.saved)
				w.recovers(url)
			} else {
				w.afresh(url)
				if err := socket.Emit("late"); err == nil {
					t.Errorf("an emit to a socket that ended with %q and cannot come back succeeded", reason)
				}
			}
			w.Close()
			receive(t, ended)
			receive(t, kept.saved)
			receive(t, connected)
		})
	}
}

func TestRecovery_OldSocketsHandlersDoNotDisturbTheNewOne(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	ns := s.Of("/")
	connected := sockets(ns)
	running, release, finished := make(chan struct{}), make(chan struct{}), make(chan struct{})
	ns.OnDisconnect(func(ctx context.Context, s *server.Socket, _ server.DisconnectReason) {
		if s.Recovered() {
			return
		}
		close(running)
		<-release
		if !slices.Contains(s.Rooms(), "room") {
			t.Errorf("the old socket's rooms are %q", s.Rooms())
		}
		s.Leave("room")
		s.Disconnect(false)
		if err := s.Join(ctx, "late"); err == nil {
			t.Error("an ended socket joined a room")
		}
		close(finished)
	})
	w := wander(t, url, "/", nil)
	errs(t, receive(t, connected).Join(t.Context(), "room"))
	emit(t, s, 0)
	w.events(`2["n",0]`)
	w.cut(kept)
	receive(t, running)
	w.recovers(url)
	now := receive(t, connected)
	close(release)
	receive(t, finished)
	errs(t, ns.To("room").Emit("room"), ns.To(w.sid).Emit("id"), ns.To("late").Emit("no"), ns.Emit("all"))
	w.events(`2["room"]`, `2["id"]`, `2["all"]`)
	if all := ns.Sockets(); len(all) != 1 || all[0] != now {
		t.Errorf("the namespace has %d sockets", len(all))
	}
	w.cut(kept)
	eventually(t, "an empty namespace", func() bool { return len(ns.Sockets()) == 0 })
}

func TestRecovery_DynamicNamespaceLivesAsLongAsItsClientsMayComeBack(t *testing.T) {
	recovery := &server.Recovery{MaxDisconnectionDuration: 10 * time.Minute}
	recoveringInBubble(t, server.Options{Recovery: recovery}, func(t *testing.T, s *server.Server, kept *store, dial rawclient.Dialer) {
		pattern := s.OfFunc(func(_ context.Context, name string, _ *server.Handshake) bool {
			return strings.HasPrefix(name, "/room-")
		})
		sync(pattern)
		w := wander(t, pipeURL, "/room-1", dial)
		errs(t, pattern.Emit("n", 1))
		w.events(`2/room-1,["n",1]`)
		w.cut(kept)
		time.Sleep(8 * time.Minute)
		errs(t, pattern.Emit("n", 2))
		time.Sleep(119 * time.Second)
		w.recovers(pipeURL, `2/room-1,["n",2]`)
		w.cut(kept)
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		w.afresh(pipeURL)
		w.Close()
	})
}

func TestRecovery_WindowIsAsLongAsItSays(t *testing.T) {
	for name, recovery := range map[string]server.Recovery{
		"default": {}, "a second": {MaxDisconnectionDuration: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			window := max(recovery.MaxDisconnectionDuration, time.Second)
			if name == "default" {
				window = 2 * time.Minute
			}
			recoveringInBubble(t, server.Options{Recovery: &recovery}, func(t *testing.T, s *server.Server, kept *store, dial rawclient.Dialer) {
				w := wander(t, pipeURL, "/", dial)
				emit(t, s, 1)
				w.events(`2["n",1]`)
				w.cut(kept)
				time.Sleep(window - time.Millisecond)
				emit(t, s, 2)
				w.recovers(pipeURL, `2["n",2]`)
				w.cut(kept)
				time.Sleep(window)
				w.afresh(pipeURL)
				w.Close()
			})
		})
	}
}

// The window begins when the node notices that the client is gone. What was emitted
// since the connection broke is kept too.
func TestRecovery_EventsSinceTheConnectionBrokeAreKept(t *testing.T) {
	recoveringInBubble(t, server.Options{WriteTimeout: time.Hour}, func(t *testing.T, s *server.Server, kept *store, dial rawclient.Dialer) {
		w := wander(t, pipeURL, "/", dial)
		emit(t, s, 1)
		w.events(`2["n",1]`)
		broke := time.Now()
		emit(t, s, 2)
		<-kept.saved // nobody reads or answers any more
		if noticed := time.Since(broke); noticed < 20*time.Second {
			t.Fatalf("noticed after %v; this test needs a client that is silent", noticed)
		}
		emit(t, s, 3)
		time.Sleep(2*time.Minute - time.Millisecond)
		w.Close()
		w.recovers(pipeURL, `2["n",2]`, `2["n",3]`)
		w.Close()
	})
}

// Broadcasts, direct emits and acknowledgements of one goroutine come in its order.
func TestRecovery_OneGoroutinesEmitsKeepTheirOrder(t *testing.T) {
	s, url, _ := recovering(t, server.Options{})
	ns := s.Of("/")
	const rounds = 200
	server.On(ns, "go", func(_ context.Context, s *server.Socket, a server.Args) error {
		for i := range rounds {
			errs(t, ns.To("room").Emit("n", i), s.Emit("direct", i), ns.Local().Emit("local", i))
		}
		return a.Ack()
	})
	w := wander(t, url, "/", nil)
	w.Send(`21["join",["room"]]`)
	w.Expect(`31[]`)
	for range 3 {
		w.Send(`22["go"]`)
		for i := range rounds {
			w.events(fmt.Sprintf(`2["n",%d]`, i), fmt.Sprintf(`2["direct",%d]`, i))
			w.Expect(fmt.Sprintf(`2["local",%d]`, i))
		}
		w.Expect(`32[]`)
	}
}
