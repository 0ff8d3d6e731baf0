package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/server"
)

// An attempt that took long must not bring back rooms that the client, having come
// back by another attempt, was taken out of meanwhile.
func TestRecoveryRace_LateAttemptDoesNotRestoreWhatIsNoMore(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	connected := sockets(s.Of("/"))
	w := lost(t, s, url, kept)
	receive(t, connected)
	var first atomic.Bool
	hanging, release := make(chan struct{}), make(chan struct{})
	s.Of("/").Use(func(_ context.Context, socket *server.Socket) error {
		if first.CompareAndSwap(false, true) {
			close(hanging)
			<-release
		}
		return nil
	})
	late := rawclient.Dial(t, url, nil)
	late.Send("0" + w.credentials())
	receive(t, hanging)

	w.recovers(url)
	receive(t, connected).Leave("room")
	w.cut(kept)
	close(release)
	late.ExpectClose() // and the record stays where it is
	errs(t, s.To("room").Emit("secret"), s.To(w.sid).Emit("direct"))
	w.recovers(url, `2["direct"]`)
	if rooms := receive(t, connected).Rooms(); !slices.Equal(rooms, []string{w.sid}) {
		t.Errorf("the rooms are %q", rooms)
	}
}

// A node that is taken for dead may save a last state when that is found already.
func TestRecoveryRace_RecordThatChangedSinceItWasFoundIsNotRestored(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	connected := sockets(s.Of("/"))
	w := lost(t, s, url, kept)
	receive(t, connected)
	owner, err := kept.Adapter.JoinRecoverable(t.Context(), "/", "owner", adapter.Retention{Window: time.Minute, MaxRecords: 1, MaxRecordBytes: 1 << 10}, func(*adapter.Message) {})
	if err != nil {
		t.Fatal(err)
	}
	kept.intervene(func(step, privateID string) error {
		if step != "take" {
			return nil
		}
		kept.intervene(nil)
		r, err := owner.Find(t.Context(), privateID, owner.Start())
		if err == nil {
			r.Rooms = []string{w.sid}
			err = owner.Save(t.Context(), r)
		}
		return err
	})
	late := rawclient.Dial(t, url, nil)
	late.Send("0" + w.credentials())
	late.ExpectClose()
	receive(t, kept.saved) // the record is where it was
	w.recovers(url)
	if rooms := receive(t, connected).Rooms(); !slices.Equal(rooms, []string{w.sid}) {
		t.Errorf("the rooms are %q", rooms)
	}
	errs(t, owner.Close(t.Context()))
}

// bomb is data that cannot be encoded.
type bomb struct{}

func (bomb) MarshalJSON() ([]byte, error) { panic("boom") }

func TestRecoveryRace_DataThatPanicsHarmsNoOtherSocketOfTheClient(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	names := []string{"/", "/a", "/b", "/c"}
	ended := make(chan string, len(names))
	c := rawclient.Dial(t, url, nil)
	for _, name := range names {
		ns := s.Of(name)
		ns.OnConnect(func(_ context.Context, s *server.Socket) error { server.SetData(s, bomb{}); return nil })
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

// Other nodes' questions meet such data too.
func TestRecoveryRace_DataThatPanicsHarmsNoNodeThatIsAsked(t *testing.T) {
	servers, urls := cluster(t, 2)
	meet(t, servers)
	connected := sockets(servers[1].Of("/"))
	c, bombed := rawclient.Join(t, urls[1], "/", nil)
	other, id := rawclient.Join(t, urls[1], "/", nil)
	for range 2 { // their handlers run side by side
		if s := receive(t, connected); s.ID() == bombed {
			server.SetData(s, bomb{})
		}
	}
	all, err := servers[0].Of("/").All().FetchSockets(t.Context())
	if err != nil || !slices.ContainsFunc(all, func(s server.RemoteSocket) bool { return s.ID == id }) {
		t.Errorf("FetchSockets: %d sockets, %v", len(all), err)
	}
	c.Expect("1") // as after any panic
	other.ExpectNothing("/")
	if got := servers[1].Stats().Panics; got != 1 {
		t.Errorf("%d panics are counted, want 1", got)
	}
}

// A namespace that a node does not have yet is made there for a client that comes back.
func TestRecoveryRace_DynamicNamespaceOnANodeThatDoesNotHaveIt(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	other := newStore(kept.Adapter)
	node, otherURL := other.serve(t, server.Options{})
	for _, s := range []*server.Server{s, node} {
		sync(s.OfFunc(func(_ context.Context, name string, _ *server.Handshake) bool {
			return strings.HasPrefix(name, "/room-")
		}))
	}
	w := wander(t, url, "/room-1", nil)
	errs(t, s.Of("/room-1").Emit("n", 1))
	w.events(`2/room-1,["n",1]`)
	w.cut(kept)
	errs(t, s.Of("/room-1").Emit("n", 2))
	w.recovers(otherURL, `2/room-1,["n",2]`)
	errs(t, s.Of("/room-1").Emit("n", 3), node.Of("/room-1").To(w.sid).Emit("n", 4))
	w.event()
	w.event()
	w.ExpectNothing("/room-1")
}

// A node is told to stop while events flow: its clients go on at the other one.
func TestRecoveryRace_RollingRestartLosesNothing(t *testing.T) {
	first, url, kept := recovering(t, server.Options{CloseTimeout: 100 * time.Millisecond})
	other := newStore(kept.Adapter)
	second, otherURL := other.serve(t, server.Options{})
	clients := make([]*wanderer, 8)
	next := make([]int, len(clients))
	for i := range clients {
		clients[i] = wander(t, url, "/", nil)
	}
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			errs(t, second.Emit("n", n))
			select {
			case <-stop:
				stopped <- n
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	take := func(i int, packets ...string) {
		for _, packet := range packets {
			stripped, offset := cutOffset(packet)
			if offset != "" {
				clients[i].offset = offset
			}
			if next[i] == 0 {
				_, _ = fmt.Sscanf(stripped, `2["n",%d]`, &next[i])
			}
			if want := fmt.Sprintf(`2["n",%d]`, next[i]); stripped != want {
				t.Fatalf("client %d got %q, want %q", i, stripped, want)
			}
			next[i]++
		}
	}
	for i, c := range clients {
		take(i, c.Next())
	}
	down := make(chan error, 1)
	go func() { down <- first.Shutdown(context.Background()) }()
	for i, c := range clients {
		for _, packet := range c.ExpectClose() {
			take(i, strings.TrimPrefix(packet, "4"))
		}
	}
	errs(t, receive(t, down))
	for i, c := range clients {
		missed, recovered := c.back(otherURL)
		if !recovered {
			t.Fatalf("client %d starts afresh", i)
		}
		take(i, missed...)
	}
	close(stop)
	last := receive(t, stopped)
	for i, c := range clients {
		for next[i] <= last {
			take(i, c.Next())
		}
		c.ExpectNothing("/")
	}
}
