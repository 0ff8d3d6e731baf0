package adminui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/adminui"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	username = "operator"
	password = "correct horse battery"
)

// node is a server that the admin UI may connect to.
type node struct {
	server *server.Server
	url    string
}

// start runs a node until the test ends.
func start(t *testing.T, bus adapter.Adapter, o adminui.Options) node {
	t.Helper()
	o.Username, o.Password, o.Logger = username, password, slog.New(slog.DiscardHandler)
	ui, err := adminui.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Adapter: bus, Observer: ui.Observer(), Logger: o.Logger})
	if err != nil {
		t.Fatal(err)
	}
	ui.Attach(s)
	web := httptest.NewUnstartedServer(s)
	server.ConfigureHTTP(web.Config)
	web.Start()
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { ui.Run(ctx) })
	t.Cleanup(func() {
		end()
		running.Wait()
		if err := s.Shutdown(context.WithoutCancel(ctx)); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		web.Close()
	})
	server.On(s.Of("/"), "join", func(ctx context.Context, s *server.Socket, rooms []string) error { return s.Join(ctx, rooms...) })
	server.On(s.Of("/"), "leave", func(_ context.Context, s *server.Socket, rooms []string) error { s.Leave(rooms...); return nil })
	return node{s, web.URL}
}

// cluster runs nodes that hear each other in the page's namespace.
func cluster(t *testing.T, size int, o adminui.Options) []node {
	t.Helper()
	bus := memory.New()
	var nodes []node
	for range size {
		nodes = append(nodes, start(t, bus, o))
	}
	for _, n := range nodes {
		until(t, func() bool {
			count, err := n.server.Of("/admin").CountNodes(t.Context())
			return err == nil && count == size
		})
	}
	return nodes
}

func until(t *testing.T, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("never came true")
		}
	}
}

// page is the admin UI, as far as the wire goes.
type page struct {
	t *testing.T
	*rawclient.Client
	sid string
}

// login connects a page with credentials as JSON. What is not accepted is returned.
func login(t *testing.T, url, credentials string) (p page, refusal string) {
	t.Helper()
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send("0/admin," + credentials)
	for {
		answer := c.Next()
		switch {
		case strings.HasPrefix(answer, "4/admin,"):
			return page{}, strings.TrimPrefix(answer, "4/admin,")
		case strings.HasPrefix(answer, "0/admin,"):
			var connected struct{ SID string }
			if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "0/admin,")), &connected); err != nil {
				t.Fatal(err)
			}
			return page{t, c, connected.SID}, ""
		}
	}
}

// open logs in with the password.
func open(t *testing.T, url string) page {
	t.Helper()
	p, refusal := login(t, url, fmt.Sprintf(`{"username":%q,"password":%q}`, username, password))
	if refusal != "" {
		t.Fatalf("refused: %s", refusal)
	}
	return p
}

// event waits for an event for which so is true, and returns its arguments.
func (p page) event(name string, so func(args []json.RawMessage) bool) []json.RawMessage {
	p.t.Helper()
	for range 10_000 {
		text, ok := strings.CutPrefix(p.Next(), "2/admin,")
		var args []json.RawMessage
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(text), &args); err != nil {
			p.t.Fatalf("%q: %v", text, err)
		}
		if string(args[0]) == `"`+name+`"` && so(args[1:]) {
			return args[1:]
		}
	}
	p.t.Fatalf("no such %s among 10,000 packets", name)
	return nil
}

func always([]json.RawMessage) bool { return true }

func decode[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

func has(id string) func([]json.RawMessage) bool {
	return func(args []json.RawMessage) bool {
		return slices.ContainsFunc(args, func(arg json.RawMessage) bool { return strings.Contains(string(arg), id) })
	}
}

func member(t *testing.T, url string, rooms ...string) (*rawclient.Client, string) {
	t.Helper()
	c, id := rawclient.Join(t, url, "/", nil)
	c.EnterRooms(rooms...)
	return c, id
}

func TestNew_RefusesMissingAndShortCredentials(t *testing.T) {
	for _, o := range []adminui.Options{{}, {Username: "a"}, {Password: password}, {Username: "a", Password: "fifteen letters"}} {
		if _, err := adminui.New(o); err == nil {
			t.Errorf("%q %q: no error", o.Username, o.Password)
		}
	}
}

func TestLogin_WithPasswordThenWithSessionOnAnyNode(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 2, adminui.Options{})
	session := decode[string](t, open(t, nodes[0].url).event("session", always)[0])
	p, refusal := login(t, nodes[1].url, fmt.Sprintf(`{"sessionId":%q}`, session))
	if refusal != "" {
		t.Fatalf("a session of another node is refused: %s", refusal)
	}
	p.event("config", always)
	tampered := []byte(session)
	tampered[3] ^= 1 // its end
	for name, credentials := range map[string]string{
		"nothing":          ``,
		"an empty object":  `{}`,
		"a wrong password": fmt.Sprintf(`{"username":%q,"password":%q}`, username, password+"x"),
		"a wrong name":     fmt.Sprintf(`{"username":"root","password":%q}`, password),
		"no password":      fmt.Sprintf(`{"username":%q}`, username),
		"wrong types":      `{"username":1,"password":{}}`,
		"an empty session": `{"sessionId":""}`,
		"a made-up one":    `{"sessionId":"0123456789abcdef"}`,
		"a tampered one":   fmt.Sprintf(`{"sessionId":%q}`, tampered),
		"a cut one":        fmt.Sprintf(`{"sessionId":%q}`, session[:20]),
	} {
		if _, refusal := login(t, nodes[0].url, credentials); refusal != `{"message":"invalid credentials"}` {
			t.Errorf("%s: got %q, want a refusal", name, refusal)
		}
	}
}

func TestConfig_SaysWhatThePageMayDo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options    adminui.Options
		has, lacks []string
	}{
		"by default":     {adminui.Options{}, []string{"EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT", "AGGREGATED_EVENTS"}, []string{"ALL_EVENTS"}},
		"read only":      {adminui.Options{ReadOnly: true}, []string{"AGGREGATED_EVENTS"}, []string{"EMIT", "MDISCONNECT", "ALL_EVENTS"}},
		"in development": {adminui.Options{Development: true}, []string{"EMIT", "AGGREGATED_EVENTS", "ALL_EVENTS"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, nil, tt.options)
			said := decode[struct{ SupportedFeatures []string }](t, open(t, n.url).event("config", always)[0]).SupportedFeatures
			for _, feature := range tt.has {
				if !slices.Contains(said, feature) {
					t.Errorf("got %q, want %s too", said, feature)
				}
			}
			for _, feature := range tt.lacks {
				if slices.Contains(said, feature) {
					t.Errorf("got %q, want no %s", said, feature)
				}
			}
		})
	}
}

type stats struct {
	ServerID, Hostname string
	PID                int
	ClientsCount       int
	Namespaces         []struct {
		Name         string
		SocketsCount int
	}
	AggregatedEvents []struct {
		Type, SubType    string
		Count, Timestamp int
	}
}

func TestStats_ComeFromEveryNodeWithItsOwnID(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 3, adminui.Options{Hidden: []string{"/secret"}})
	for _, n := range nodes {
		n.server.Of("/secret")
		member(t, n.url)
	}
	p := open(t, nodes[0].url)
	seen := map[string]stats{}
	for len(seen) < 3 {
		s := decode[stats](t, p.event("server_stats", always)[0])
		seen[s.ServerID] = s
	}
	clients := 0
	for _, s := range seen {
		clients += s.ClientsCount
		for _, ns := range s.Namespaces {
			if ns.Name == "/secret" {
				t.Error("a hidden namespace is shown")
			}
		}
		if s.Hostname == "" || s.PID == 0 || len(s.Namespaces) != 2 {
			t.Errorf("got %+v", s)
		}
	}
	if clients != 4 { // three, and the page
		t.Errorf("got %d clients, want 4", clients)
	}
}

func TestStats_CountWhatHappensBetweenReports(t *testing.T) {
	t.Parallel()
	n := start(t, nil, adminui.Options{})
	p := open(t, n.url)
	p.event("server_stats", always)
	p.event("server_stats", always) // the first with a report before it follows
	c, _ := member(t, n.url, "r")
	c.Close()
	missing := map[string]bool{"rawConnection": true, "rawDisconnection": true, "packetsIn": true, "packetsOut": true, "bytesIn": true, "bytesOut": true}
	for len(missing) > 0 {
		for _, e := range decode[stats](t, p.event("server_stats", always)[0]).AggregatedEvents {
			if e.Count <= 0 || e.Timestamp%1000 != 0 || e.Type == "rawDisconnection" && e.SubType == "" {
				t.Errorf("got %+v", e)
			}
			delete(missing, e.Type)
		}
	}
}

func TestUI_ReportsOnlyWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ui, err := adminui.New(adminui.Options{Username: username, Password: password, Development: true})
		if err != nil {
			t.Fatal(err)
		}
		var reports atomic.Int64
		count := &server.Observer{End: func(_ context.Context, o *server.Operation) {
			if o.Kind == server.OperationEmit && o.Namespace == "/admin" {
				reports.Add(1)
			}
		}}
		bus := memory.New()
		watched, err := server.New(server.Options{Adapter: bus, Observer: server.JoinObservers(ui.Observer(), count)})
		if err != nil {
			t.Fatal(err)
		}
		ui.Attach(watched)
		other, err := server.New(server.Options{Adapter: bus})
		if err != nil {
			t.Fatal(err)
		}
		page := other.Of("/admin")
		ctx, end := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { ui.Run(ctx) })

		time.Sleep(time.Minute)
		if got := reports.Load(); got != 0 {
			t.Errorf("%d reports while nobody looks, want none", got)
		}
		if err := page.ServerSideEmit(ctx, "roomcast:look"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		after := reports.Load()
		if after < 2 || after > 4 {
			t.Errorf("%d reports for one look on another node, want about three", after)
		}
		time.Sleep(time.Minute)
		if got := reports.Load(); got != after {
			t.Errorf("%d more reports when nobody looks any more, want none", got-after)
		}
		end()
		running.Wait()
		for _, s := range []*server.Server{watched, other} {
			if err := s.Shutdown(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		}
	})
}

func TestCommands_ReachAllNodes(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 2, adminui.Options{})
	c, id := member(t, nodes[1].url, "lobby")
	p := open(t, nodes[0].url)
	p.Send(`2/admin,["emit","/","lobby","notice",{"text":"hi"},2]`)
	c.Expect(`2["notice",{"text":"hi"},2]`)
	p.Send(`2/admin,["emit","/",null,"notice"]`)
	c.Expect(`2["notice"]`)
	socket := nodes[1].server.Of("/").Sockets()[0]
	p.Send(`2/admin,["join","/","kitchen","` + id + `"]`)
	until(t, func() bool { return slices.Contains(socket.Rooms(), "kitchen") })
	p.Send(`2/admin,["leave","/","kitchen"]`)
	until(t, func() bool { return !slices.Contains(socket.Rooms(), "kitchen") })
	for _, bad := range []string{`["emit"]`, `["emit","/nowhere",null,"x"]`, `["join",1,2]`, `["_disconnect","/","yes"]`, `["emit","/",null,"disconnect"]`} {
		p.Send("2/admin," + bad)
	}
	p.Send(`2/admin,["_disconnect","/",false,"` + id + `"]`)
	c.Expect("1")
	if len(nodes[0].server.Namespaces()) != 2 {
		t.Error("asking for a namespace has made it")
	}
}

func TestCommands_AreNoneWhenReadOnly(t *testing.T) {
	t.Parallel()
	n := start(t, nil, adminui.Options{ReadOnly: true})
	server.On(n.server.Of("/"), "sync", func(context.Context, *server.Socket, struct{}) error { return nil })
	c, id := member(t, n.url, "lobby")
	p := open(t, n.url)
	for _, command := range []string{`["emit","/",null,"notice"]`, `["join","/","kitchen"]`, `["leave","/","lobby"]`, `["_disconnect","/",true]`} {
		p.Send("2/admin," + command)
	}
	p.Send(`2["sync"]`)
	p.Send(`29["join",["done"]]`) // in another namespace of the page's own connection
	c.ExpectNothing("/")
	if rooms := n.server.Of("/").SocketsIn(id)[0].Rooms(); !slices.Contains(rooms, "lobby") || slices.Contains(rooms, "kitchen") {
		t.Errorf("the client is in %q", rooms)
	}
}
