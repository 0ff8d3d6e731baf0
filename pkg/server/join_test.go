package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// routed is a bus that takes broadcasts to rooms only where they are wanted, and
// hears of that with some delay.
type routed struct {
	adapter.Adapter
	mu       gosync.Mutex
	occupied map[string]int // how often each room was announced, by all nodes
	empty    map[string]int // how often it was given back
}

func newRouted() *routed {
	return &routed{Adapter: memory.New(), occupied: make(map[string]int), empty: make(map[string]int)}
}

func (r *routed) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	l := &routedLink{bus: r, wanted: make(map[string]bool)}
	link, err := r.Adapter.Join(ctx, topic, self, func(m *adapter.Message) {
		if m.Kind != adapter.KindBroadcast || len(m.Broadcast.Rooms) == 0 || l.wants(m.Broadcast.Rooms) {
			deliver(m)
		}
	})
	l.Link = link
	return l, err
}

func (r *routed) counts(room string) (occupied, empty int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.occupied[room], r.empty[room]
}

type routedLink struct {
	adapter.Link
	bus *routed

	mu       gosync.Mutex
	wanted   map[string]bool
	suffixes []string
}

func (l *routedLink) wants(rooms []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(rooms, func(room string) bool {
		return l.wanted[room] || len(room) == 20 && slices.ContainsFunc(l.suffixes, func(s string) bool { return strings.HasSuffix(room, s) })
	})
}

func (l *routedLink) RoomOccupied(_ context.Context, room string) error {
	l.bus.mu.Lock()
	l.bus.occupied[room]++
	l.bus.mu.Unlock()
	for range rand.IntN(4) {
		runtime.Gosched()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted[room] = true
	return nil
}

func (l *routedLink) RoomEmpty(room string) {
	l.bus.mu.Lock()
	l.bus.empty[room]++
	l.bus.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.wanted, room)
}

func (l *routedLink) SocketIDs(_ context.Context, suffix string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suffixes = append(l.suffixes, suffix)
	return nil
}

// Whoever puts a socket into a room, what any node emits to that room afterwards
// arrives; and after Leave it does not.
func TestJoin_AcrossNodesReturnsWhenBroadcastsArrive(t *testing.T) {
	bus := newRouted()
	var servers []*server.Server
	var clients []*rawclient.Client
	var own []string
	for range 3 {
		s, url := start(t, server.Options{Adapter: bus})
		c, id := rawclient.Join(t, url, "/", nil)
		servers, clients, own = append(servers, s), append(clients, c), append(own, id)
	}
	meet(t, servers)
	rounds, begin := 0, time.Now()
	for ; rounds < 10_000 && time.Since(begin) < 3*time.Second; rounds++ {
		who, room := rand.IntN(3), fmt.Sprint("room", rounds)
		if err := servers[rand.IntN(3)].To(own[who]).Join(t.Context(), room, "other"); err != nil {
			t.Fatal(err)
		}
		emitter := servers[rand.IntN(3)]
		if err := emitter.To(room).Emit("in", rounds); err != nil {
			t.Fatal(err)
		}
		clients[who].Expect(fmt.Sprintf(`2["in",%d]`, rounds))
		if err := servers[rand.IntN(3)].To("other").Leave(t.Context(), room, "other"); err != nil {
			t.Fatal(err)
		}
		if err := emitter.To(room).Emit("out", rounds); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rounds", rounds)
	for _, c := range clients {
		c.ExpectNothing("/")
	}
}

// The own sockets' rooms need no answer of others.
func TestJoin_OfThisNodeIsAnnouncedBeforeOthersConfirm(t *testing.T) {
	bus := newRouted()
	inClusterBubble(t, 2, server.Options{Adapter: bus}, func(t *testing.T, nodes []node) {
		c, id := nodes[0].member(t)
		nodes[1].mute()
		done := make(chan error, 1)
		go func() { done <- nodes[0].To(id).Join(t.Context(), "a") }()
		synctest.Wait()
		if occupied, _ := bus.counts("a"); occupied != 1 {
			t.Errorf("while the other node is waited for, the room was announced %d times", occupied)
		}
		if err := nodes[1].To("a").Emit("hello"); err != nil {
			t.Fatal(err)
		}
		c.Expect(`2["hello"]`)
		partial(t, <-done, context.DeadlineExceeded, nodes[1].NodeID())
	})
}

// stuck is a backend that does not confirm any room.
type stuck struct{ *routed }

func (s stuck) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	l, err := s.routed.Join(ctx, topic, self, deliver)
	return stuckLink{l.(*routedLink)}, err
}

type stuckLink struct{ *routedLink }

func (stuckLink) RoomOccupied(ctx context.Context, _ string) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestJoin_WaitsForTheBackendNoLongerThanRequestTimeout(t *testing.T) {
	inClusterBubble(t, 2, server.Options{Adapter: stuck{newRouted()}}, func(t *testing.T, nodes []node) {
		_, id := rawclient.Join(t, pipeURL, "/", nodes[0].dial)
		for _, n := range nodes {
			begin := time.Now()
			if err := n.To(id).Join(t.Context(), "a"); n.Server == nodes[0].Server && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the end of the time", err)
			}
			if got := time.Since(begin); got != 5*time.Second {
				t.Errorf("took %v, want RequestTimeout", got)
			}
		}
	})
}

// Several put sockets in and out of one room at a time: in the end the adapter
// knows what is true.
func TestJoin_InterestIsAnnouncedPerNodeAndGivenBackAtTheEnd(t *testing.T) {
	bus := newRouted()
	var servers []*server.Server
	for range 3 {
		s, url := start(t, server.Options{Adapter: bus})
		servers = append(servers, s)
		for range 4 {
			rawclient.Join(t, url, "/", nil)
		}
	}
	meet(t, servers)
	if err := servers[0].Of("/").All().Join(t.Context(), "calm"); err != nil {
		t.Fatal(err)
	}
	// Who was asked takes note at once, and waits later: two announcements, whatever the number of sockets.
	if occupied, empty := bus.counts("calm"); occupied != 1+2*2 || empty != 0 {
		t.Errorf("three nodes announced the room %d times and gave it back %d times", occupied, empty)
	}
	if err := servers[1].Of("/").All().Leave(t.Context(), "calm"); err != nil {
		t.Fatal(err)
	}
	if _, empty := bus.counts("calm"); empty != 3 {
		t.Errorf("three nodes gave the room back %d times", empty)
	}
	var busy gosync.WaitGroup
	for _, s := range servers {
		busy.Go(func() {
			for range 100 {
				_ = s.Of("/").All().Join(t.Context(), "busy")
				_ = s.Of("/").All().Leave(t.Context(), "busy")
			}
		})
	}
	busy.Wait()
	if rooms, err := servers[0].To("busy").Rooms(t.Context()); err != nil || len(rooms) != 0 {
		t.Errorf("somebody stayed: %q, %v", rooms, err)
	}
	for _, s := range servers {
		if err := s.Of("/").Local().Join(t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
		if err := s.Of("/").Local().Leave(t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJoin_LimitOfRoomsIsOfEachSocket(t *testing.T) {
	inClusterBubble(t, 2, server.Options{MaxRoomsPerSocket: 2}, func(t *testing.T, nodes []node) {
		_, fullHere := nodes[0].member(t, "a", "b")
		_, here := nodes[0].member(t)
		_, fullThere := nodes[1].member(t, "a", "b")
		_, there := nodes[1].member(t)
		if err := nodes[0].Of("/").All().Join(t.Context(), "c"); !errors.Is(err, server.ErrTooManyRooms) {
			t.Errorf("got %v, want ErrTooManyRooms for the full socket of this node", err)
		}
		sockets, err := nodes[0].To("c").FetchSockets(t.Context())
		if want := slices.Sorted(slices.Values([]string{here, there})); err != nil || !slices.Equal(ids(sockets), want) {
			t.Errorf("in the room are %q, %v; want %q", ids(sockets), err, want)
		}
		if err := nodes[0].To(fullThere).Join(t.Context(), "c"); err != nil {
			t.Errorf("for a full socket of another node: %v, want its node's word that it is done", err)
		}
		if err := nodes[0].To(fullHere).Join(t.Context(), "b", "a"); err != nil {
			t.Errorf("rooms in which it is: %v", err)
		}
	})
}
