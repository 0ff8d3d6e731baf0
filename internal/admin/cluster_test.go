package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// clusterOf runs nodes that hear each other, each with an admin listener, and returns
// them with the addresses of their public listeners.
func clusterOf(t *testing.T, options ...Options) (nodes []*running, urls []string) {
	t.Helper()
	bus := memory.New()
	for _, o := range options {
		n := startNode(t, true, server.Options{Adapter: bus}, o)
		web := httptest.NewUnstartedServer(n.server)
		server.ConfigureHTTP(web.Config)
		web.Start()
		t.Cleanup(web.Close)
		server.On(n.server.Of("/"), "join", func(ctx context.Context, s *server.Socket, rooms []string) error {
			return s.Join(ctx, rooms...)
		})
		server.On(n.server.Of("/"), "sync", func(context.Context, *server.Socket, struct{}) error { return nil })
		nodes, urls = append(nodes, n), append(urls, web.URL)
	}
	for _, n := range nodes {
		until(t, "the nodes know each other's listeners", func() bool {
			count, err := n.admin.topic.CountNodes(t.Context())
			return err == nil && count == len(nodes)
		})
	}
	return nodes, urls
}

// until waits for something that other goroutines bring about.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never came true: %s", what)
		}
	}
}

// member connects a client of the namespace "/" and puts it into rooms.
func member(t *testing.T, url string, rooms ...string) (*rawclient.Client, string) {
	t.Helper()
	c, id := rawclient.Join(t, url, "/", nil)
	c.EnterRooms(rooms...)
	return c, id
}

// see asks for JSON.
func see[T any](r *running, path string, headers ...string) T {
	r.t.Helper()
	status, text, _ := r.ask("GET", path, "", headers...)
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil || status != http.StatusOK {
		r.t.Fatalf("%s: %d %q: %v", path, status, text, err)
	}
	return v
}

func TestNodes_AnyNodeTellsOfAll(t *testing.T) {
	nodes, urls := clusterOf(t, Options{Name: "c"}, Options{Name: "a"}, Options{Name: "b"})
	for i, url := range urls {
		for range i + 1 {
			member(t, url, "everybody", "lonely-"+nodes[i].admin.options.Name)
		}
	}
	o := see[overview](nodes[1], "/debug/nodes")
	var names []string
	for _, n := range o.Nodes {
		names = append(names, n.Name)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(names, want) || len(o.Silent) > 0 || o.Node != nodes[1].server.NodeID() {
		t.Fatalf("got nodes %q, silent %q, asked %q; want %q and none", names, o.Silent, o.Node, want)
	}
	for i, want := range []int{2, 3, 1} {
		n := o.Nodes[i]
		if len(n.Namespaces) != 1 || n.Namespaces[0] != (namespaceReport{Name: "/", Sockets: want, Rooms: 2}) || n.RoomCount != 2 || n.Sessions["websocket"] != int64(want) {
			t.Errorf("%s: got %+v %v, want %d sockets in 2 rooms of one namespace", n.Name, n.Namespaces, n.Sessions, want)
		}
		if len(n.Rooms) != 2 || n.Rooms[0].Room != "everybody" || n.Rooms[0].Sockets != want {
			t.Errorf("%s: got rooms %+v", n.Name, n.Rooms)
		}
		if !n.Ready || n.Bus.State != "up" || n.HeapBytes == 0 || n.Goroutines == 0 || len(n.Others) != 2 {
			t.Errorf("%s: got %+v", n.Name, n)
		}
	}
}

func TestNodes_NodeWithoutAnAdminListenerIsSilent(t *testing.T) {
	bus := memory.New()
	r := startNode(t, true, server.Options{Adapter: bus}, Options{})
	other, err := server.New(server.Options{Adapter: bus, Logger: r.admin.log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Shutdown(ignoringEnd(t)) })
	until(t, "the nodes know each other", func() bool { return len(r.server.Health().Nodes) == 1 })
	if o := see[overview](r, "/debug/nodes"); len(o.Nodes) != 1 || !slices.Equal(o.Silent, []string{other.NodeID()}) {
		t.Errorf("got %d nodes, silent %q; want this one, and %s silent", len(o.Nodes), o.Silent, other.NodeID())
	}
}

func TestNodes_ManyWhoLookCostOneQuestion(t *testing.T) {
	nodes, _ := clusterOf(t, Options{}, Options{})
	var wg sync.WaitGroup
	seen := make([]overview, 50)
	for i := range seen {
		wg.Go(func() { seen[i], _ = nodes[0].admin.lookAround(t.Context()) })
	}
	wg.Wait()
	reports := map[time.Time]bool{}
	for _, o := range seen {
		if len(o.Nodes) != 2 {
			t.Fatalf("got %d nodes, want 2", len(o.Nodes))
		}
		for _, n := range o.Nodes {
			reports[n.At] = true
		}
	}
	if len(reports) > 4 { // two overviews, should the first be a second old on a busy machine
		t.Errorf("50 who looked at once made the nodes count %d times", len(reports))
	}
}

func TestReport_IsBoundedHoweverMuchThereIs(t *testing.T) {
	r := start(t, true, Options{})
	web := httptest.NewServer(r.server)
	t.Cleanup(web.Close)
	server.On(r.server.Of("/"), "join", func(ctx context.Context, s *server.Socket, rooms []string) error {
		return s.Join(ctx, rooms...)
	})
	var rooms []string
	for i := range 3 * maxRooms {
		rooms = append(rooms, strings.Repeat("r", i+1))
		r.server.Of("/" + rooms[i])
	}
	member(t, web.URL, rooms...)
	report := r.admin.report()
	if len(report.Rooms) != maxRooms || report.RoomCount != 3*maxRooms || len(report.Namespaces) != maxNamespaces {
		t.Errorf("got %d rooms of %d, %d namespaces", len(report.Rooms), report.RoomCount, len(report.Namespaces))
	}
}

func TestTopic_LetsNoClientInAndShowsNowhere(t *testing.T) {
	nodes, urls := clusterOf(t, Options{})
	c, _ := member(t, urls[0])
	c.Send("0" + Topic + ",")
	c.Expect("4" + Topic + `,{"message":"Invalid namespace"}`)
	c.Send("0/nowhere,")
	c.Expect(`4/nowhere,{"message":"Invalid namespace"}`)
	for _, path := range []string{"/debug/nodes", "/debug/sockets"} {
		if _, text, _ := nodes[0].ask("GET", path, ""); strings.Contains(text, Topic) {
			t.Errorf("%s names the topic: %s", path, text)
		}
	}
}

func TestReport_CountsEvents(t *testing.T) {
	events := &Events{}
	bus := memory.New()
	r := startNode(t, true, server.Options{Adapter: bus, Observer: events.Observer()}, Options{Events: events})
	other := startNode(t, true, server.Options{Adapter: bus}, Options{})
	web := httptest.NewServer(r.server)
	t.Cleanup(web.Close)
	server.On(r.server.Of("/"), "join", func(ctx context.Context, s *server.Socket, rooms []string) error {
		return s.Join(ctx, rooms...)
	})
	until(t, "the nodes know each other", func() bool { return len(other.server.Health().Nodes) == 1 })
	clients := make([]*rawclient.Client, 3)
	for i := range clients {
		clients[i], _ = member(t, web.URL, "r")
	}
	for _, n := range []*running{r, other} {
		if err := n.server.To("r").Emit("hello"); err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			c.Expect(`2["hello"]`)
		}
	}
	until(t, "three events came and six went out", func() bool {
		report := r.admin.report()
		return *report.EventsReceived == 3 && *report.EventsSent == 6
	})
	if report := other.admin.report(); report.EventsSent != nil {
		t.Error("a node that does not count says that it does")
	}
}
