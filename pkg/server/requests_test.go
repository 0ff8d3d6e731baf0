package server_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestFetchSockets_SelectionsOnThreeNodes(t *testing.T) {
	inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		type client struct {
			id    string
			node  int
			rooms []string
		}
		var clients []client
		for i, rooms := range [][]string{{"a"}, {"a", "b"}, {"b"}, {"c"}, {"a", "b", "c"}, {}} {
			_, id := nodes[i%3].member(t, rooms...)
			clients = append(clients, client{id, i % 3, append(rooms, id)})
		}
		inAny := func(c client, rooms []string) bool {
			return slices.ContainsFunc(rooms, func(r string) bool { return slices.Contains(c.rooms, r) })
		}
		for _, s := range []struct{ to, except []string }{
			{},
			{to: []string{"a"}},
			{to: []string{"a", "b", "c"}},
			{to: []string{"a"}, except: []string{"b"}},
			{except: []string{"a"}},
			{except: []string{"a", "b", "c"}},
			{to: []string{clients[2].id}},
			{to: []string{"a", clients[2].id}, except: []string{clients[0].id}},
			{to: []string{"nobody"}},
		} {
			for at, n := range nodes {
				for _, local := range []bool{false, true} {
					b := n.Of("/").To(s.to...).Except(s.except...)
					if local {
						b = b.Local()
					}
					var want, rooms []string
					for _, c := range clients {
						if (!local || c.node == at) && (len(s.to) == 0 || inAny(c, s.to)) && !inAny(c, s.except) {
							want, rooms = append(want, c.id), append(rooms, c.rooms...)
						}
					}
					slices.Sort(want)
					slices.Sort(rooms)
					sockets, err := b.FetchSockets(t.Context())
					if got := ids(sockets); err != nil || !slices.Equal(got, want) {
						t.Errorf("%+v on node %d, local %v: got %q, %v; want %q", s, at, local, got, err, want)
					}
					got, err := b.Rooms(t.Context())
					if want := slices.Compact(rooms); err != nil || !slices.Equal(got, want) {
						t.Errorf("%+v on node %d, local %v: got rooms %q, %v; want %q", s, at, local, got, err, want)
					}
				}
			}
		}
	})
}

func TestFetchSockets_DescribesASocketAlikeOnAllNodes(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		type profile struct {
			Name   string
			Scores []int
			Raw    []byte
		}
		attached := profile{"Ada \u2028 <&>", []int{3, 4}, []byte{0, 255}}
		nodes[1].Of("/").OnConnect(func(ctx context.Context, s *server.Socket) error {
			server.SetData(s, attached)
			return s.Join(ctx, "a")
		})
		c := rawclient.Dial(t, pipeURL, nodes[1].dial)
		id := c.Connect("/", `{"user":"ada"}`)
		c.ExpectNothing("/") // OnConnect has run
		here := nodes[1].Of("/").Sockets()[0].Handshake()
		for i, n := range nodes {
			sockets, err := n.Of("/").All().FetchSockets(t.Context())
			if err != nil || len(sockets) != 1 {
				t.Fatalf("node %d: got %d sockets, %v", i, len(sockets), err)
			}
			got := sockets[0]
			var data profile
			if err := got.DecodeData(&data); err != nil || fmt.Sprint(data) != fmt.Sprint(attached) {
				t.Errorf("node %d: data is %+v, %v", i, data, err)
			}
			if slices.Sort(got.Rooms); got.ID != id || !slices.Equal(got.Rooms, slices.Sorted(slices.Values([]string{"a", id}))) {
				t.Errorf("node %d: got %q in %q", i, got.ID, got.Rooms)
			}
			h, err := got.Handshake()
			if err != nil {
				t.Fatal(err)
			}
			var auth struct {
				User string `json:"user"`
			}
			if err := h.DecodeAuth(&auth); err != nil || auth.User != "ada" {
				t.Errorf("node %d: auth is %s, %v", i, h.Auth, err)
			}
			if got := h.Query().Get("transport"); got != "websocket" {
				t.Errorf("node %d: the query is %v", i, h.Query())
			}
			if got, want := h.Header().Get("Sec-Websocket-Key"), here.Header().Get("Sec-Websocket-Key"); got != want || got == "" {
				t.Errorf("node %d: the header has %q, want %q", i, got, want)
			}
			if h.RemoteAddr != here.RemoteAddr {
				t.Errorf("node %d: the address is %q, want %q", i, h.RemoteAddr, here.RemoteAddr)
			}
		}
	})
}

func TestFetchSockets_DataWithoutJSONFormIsLeftOut(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		for _, value := range []any{make(chan int), func() {}, map[string]any{"x": make(chan int)}} {
			c, id := nodes[0].member(t)
			socket := nodes[0].Of("/").Sockets()[0]
			server.SetData(socket, value)
			for i, n := range nodes {
				sockets, err := n.To(id).FetchSockets(t.Context())
				if err != nil || len(sockets) != 1 {
					t.Fatalf("node %d, %T: got %d sockets, %v", i, value, len(sockets), err)
				}
				data := "untouched"
				if err := sockets[0].DecodeData(&data); err != nil || data != "untouched" {
					t.Errorf("node %d, %T: data is %q, %v", i, value, data, err)
				}
			}
			c.Close()
			synctest.Wait()
		}
	})
}

func TestFetchSockets_MoreThanFitIntoOneAnswer(t *testing.T) {
	servers, _ := crowds(t, 2, 2500)
	sockets, err := servers[0].Of("/").All().FetchSockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(slices.Compact(ids(sockets))); got != 5000 {
		t.Errorf("got %d different sockets, want 5,000", got)
	}
}

func TestRemoteSocket_IsUsedLikeASocket(t *testing.T) {
	inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		c, id := nodes[0].member(t, "a")
		bystander, _ := nodes[0].member(t, "a")
		for i, n := range nodes {
			sockets, err := n.To(id).FetchSockets(t.Context())
			if err != nil || len(sockets) != 1 {
				t.Fatalf("node %d: got %d sockets, %v", i, len(sockets), err)
			}
			s := sockets[0]
			if err := errors.Join(s.Emit("direct", i), s.Join(t.Context(), "b"), s.Leave(t.Context(), "a")); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(nodes[0].To("a").Emit("no"), nodes[0].To("b").Emit("yes")); err != nil {
				t.Fatal(err)
			}
			c.Expect(fmt.Sprintf(`2["direct",%d]`, i), `2["yes"]`)
			bystander.Expect(`2["no"]`)
			answers := server.CallAll[string](t.Context(), s.Broadcast, "ask")
			answerCall(t, c, `["ask"]`, `"mine"`)
			if got, err := answers.Wait(); err != nil || !slices.Equal(got, []string{"mine"}) {
				t.Errorf("node %d: CallAll got %q, %v", i, got, err)
			}
			if err := errors.Join(s.Leave(t.Context(), "b"), s.Join(t.Context(), "a")); err != nil {
				t.Fatal(err)
			}
		}
		sockets, err := nodes[2].To(id).FetchSockets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := sockets[0].Disconnect(t.Context(), false); err != nil {
			t.Error(err)
		}
		c.Expect("1")
		if sockets, err = nodes[1].Of("/").All().FetchSockets(t.Context()); err != nil || len(sockets) != 1 {
			t.Errorf("after Disconnect there are %d sockets, %v", len(sockets), err)
		}
		bystander.ExpectNothing("/")
	})
}

func TestRequests_FromASocketLeaveItOut(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		self, own := nodes[0].member(t, "a")
		here, hereID := nodes[0].member(t, "a")
		there, thereID := nodes[1].member(t, "a")
		socket := nodes[0].Of("/").Sockets()[0]
		if socket.ID() != own {
			t.Fatal("the first socket is not the first client's")
		}
		want := slices.Sorted(slices.Values([]string{hereID, thereID}))
		for _, b := range []server.Broadcast{socket.Broadcast(), socket.To("a"), socket.Volatile().To("a"), socket.Compress(false).To("a")} {
			if sockets, err := b.FetchSockets(t.Context()); err != nil || !slices.Equal(ids(sockets), want) {
				t.Errorf("got %q, %v; want %q", ids(sockets), err, want)
			}
		}
		if err := socket.To("a").Join(t.Context(), "b"); err != nil {
			t.Error(err)
		}
		if err := socket.Broadcast().Leave(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if got := socket.Rooms(); !slices.Equal(got, []string{own, "a"}) {
			t.Errorf("rooms are %q", got)
		}
		if err := socket.To("b").Disconnect(t.Context(), true); err != nil {
			t.Error(err)
		}
		for _, c := range []*rawclient.Client{here, there} {
			if got := c.ExpectClose(); !slices.Equal(got, []string{"41"}) {
				t.Errorf("before the close came %q", got)
			}
		}
		self.ExpectNothing("/")
	})
}

// A socket's own selection concerns nobody else and asks no other node.
func TestRequests_OfASocketsOwnSelectionStayHere(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		_, own := nodes[0].member(t)
		other, _ := nodes[1].member(t)
		nodes[0].wire.drop(func(m *adapter.Message) bool {
			if m.Kind == adapter.KindRequest {
				t.Errorf("a request was published: %+v", m.Request)
			}
			return false
		})
		only := nodes[0].Of("/").Sockets()[0].Volatile()
		if sockets, err := only.FetchSockets(t.Context()); err != nil || !slices.Equal(ids(sockets), []string{own}) {
			t.Errorf("got %q, %v", ids(sockets), err)
		}
		if rooms, err := only.Rooms(t.Context()); err != nil || !slices.Equal(rooms, []string{own}) {
			t.Errorf("rooms are %q, %v", rooms, err)
		}
		if err := errors.Join(only.Join(t.Context(), "a"), only.Leave(t.Context(), "a"), only.Disconnect(t.Context(), false)); err != nil {
			t.Error(err)
		}
		other.ExpectNothing("/")
	})
}

func BenchmarkFetchSockets_ThreeNodes(b *testing.B) {
	const clients = 9_999
	servers, _ := crowds(b, 3, clients/3)
	ns := servers[0].Of("/")
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		sockets, err := ns.All().FetchSockets(b.Context())
		if err != nil || len(sockets) != clients {
			b.Fatalf("got %d sockets, %v", len(sockets), err)
		}
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*clients), "ns/socket")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N*clients), "allocs/socket")
}
