package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// startDemo runs a demo over publish/subscribe until the test ends.
func startDemo(t *testing.T, nodes int) *demo {
	t.Helper()
	return startDemoOn(t, adapterPubSub, nodes)
}

// startDemoOn is startDemo for any adapter.
func startDemoOn(t *testing.T, adapter string, nodes int) *demo {
	t.Helper()
	c := &demoCommand{Nodes: nodes, Listen: "127.0.0.1:0", Adapter: adapter}
	p := &program{ctx: t.Context(), out: io.Discard, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	d, err := c.start(p, func(err error) { t.Errorf("a node ended: %v", err) })
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := d.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	d.meet(t)
	return d
}

// meet waits until every node knows all others: what a node says before that may reach nobody.
func (d *demo) meet(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, n := range d.nodes {
		for len(n.server.Health().Nodes) < len(d.nodes)-1 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("%s knows of %v only", n.name, n.server.Health().Nodes)
			}
		}
	}
}

func (d *demo) address(i int) string { return d.nodes[i].listener.Addr().String() }

func TestDemo_MessageReachesEveryNodeAndSaysWhereFrom(t *testing.T) {
	for _, adapter := range []string{adapterPubSub, adapterStreams} {
		t.Run(adapter, func(t *testing.T) {
			d := startDemoOn(t, adapter, 3)
			var clients []*client
			for i := range d.nodes {
				c := dial(t, d.address(i))
				c.ask("join", joinRequest{Room: "lobby", Name: fmt.Sprintf("person %d", i+1)}, nil)
				clients = append(clients, c)
			}
			clients[1].ask("message", messageRequest{Text: "hello"}, nil)
			for i, c := range clients {
				if i == 1 {
					continue // its own copy may come before the acknowledgement
				}
				m := event(c, "message", func(chatMessage) bool { return true })
				if m.Text != "hello" || m.Node != "node-2" || m.From.Name != "person 2" || m.From.ID != clients[1].id {
					t.Errorf("node-%d got %+v, want hello from person 2 on node-2", i+1, m)
				}
			}
		})
	}
}

func TestDemo_PresenceIsRightAcrossNodes(t *testing.T) {
	d := startDemo(t, 2)
	ada, bob := dial(t, d.address(0)), dial(t, d.address(1))
	ada.ask("join", joinRequest{Room: "lobby", Name: "Ada"}, nil)
	bob.ask("join", joinRequest{Room: "lobby", Name: "Bob"}, nil)

	seen := event(ada, "members", func(r roster) bool { return r.Joined != nil && r.Joined.Name == "Bob" })
	if seen.Node != "node-2" || len(seen.Members) != 1 || seen.Members[0].ID != bob.id {
		t.Errorf("Ada sees %+v, want Bob alone on node-2", seen)
	}
	// Ada's page greets the newcomer on behalf of node-1.
	ada.ask("greet", bob.id, nil)
	greeting := event(bob, "members", func(r roster) bool { return r.Node == "node-1" })
	if len(greeting.Members) != 1 || greeting.Members[0].Name != "Ada" || greeting.Room != "lobby" {
		t.Errorf("Bob is greeted with %+v, want Ada alone on node-1", greeting)
	}

	bob.ask("join", joinRequest{Room: "lobby", Name: "Robert"}, nil)
	renamed := event(ada, "members", func(r roster) bool { return len(r.Members) == 1 && r.Members[0].Name == "Robert" })
	if renamed.Joined != nil || renamed.Left != nil {
		t.Errorf("a new name is announced as coming or going: %+v", renamed)
	}
	bob.Close()
	gone := event(ada, "members", func(r roster) bool { return r.Left != nil })
	if gone.Node != "node-2" || gone.Left.Name != "Robert" || len(gone.Members) != 0 {
		t.Errorf("Ada sees %+v, want Robert gone from node-2", gone)
	}
}

func TestDemo_MoveToAnotherRoomLeavesTheFirst(t *testing.T) {
	d := startDemo(t, 2)
	ada, bob := dial(t, d.address(0)), dial(t, d.address(1))
	ada.ask("join", joinRequest{Room: "lobby", Name: "Ada"}, nil)
	bob.ask("join", joinRequest{Room: "lobby", Name: "Bob"}, nil)
	bob.ask("join", joinRequest{Room: "kitchen", Name: "Bob"}, nil)
	event(ada, "members", func(r roster) bool { return r.Left != nil && r.Left.Name == "Bob" })

	bob.ask("message", messageRequest{Text: "in the kitchen"}, nil)
	bob.ask("join", joinRequest{Room: "lobby", Name: "Bob"}, nil)
	bob.ask("message", messageRequest{Text: "in the lobby"}, nil)
	if m := event(ada, "message", func(chatMessage) bool { return true }); m.Text != "in the lobby" {
		t.Errorf("Ada, in the lobby, hears %q", m.Text)
	}
}

func TestDemo_RefusesWhatAPageWouldNotSend(t *testing.T) {
	d := startDemo(t, 1)
	c := dial(t, d.address(0))
	type refusal struct{ Error struct{ Message string } }
	for name, tt := range map[string]struct {
		event    string
		argument any
		want     string
	}{
		"message before joining": {"message", messageRequest{Text: "hello"}, "join a room first"},
		"no name":                {"join", joinRequest{Room: "lobby", Name: "  "}, "a room and a name are needed"},
		"room too long":          {"join", joinRequest{Room: strings.Repeat("r", 33), Name: "Ada"}, "at most 32"},
		"wrong type":             {"join", 7, "invalid arguments"},
	} {
		var got refusal
		if c.ask(tt.event, tt.argument, &got); !strings.Contains(got.Error.Message, tt.want) {
			t.Errorf("%s: refused with %q, want %q", name, got.Error.Message, tt.want)
		}
	}
	c.ask("join", joinRequest{Room: "lobby", Name: "Ada"}, nil)
	var got refusal
	if c.ask("message", messageRequest{Text: strings.Repeat("x", 2001)}, &got); !strings.Contains(got.Error.Message, "2000") {
		t.Errorf("a message that is too long is refused with %q", got.Error.Message)
	}
}

func TestDemo_PageKnowsItsClusterAndLoadsAClient(t *testing.T) {
	d := startDemo(t, 2)
	html := get(t, "http://"+d.address(1)+"/", "text/html; charset=utf-8")
	config := regexp.MustCompile(`(?s)id="config">(.*?)</script>`).FindStringSubmatch(html)
	if config == nil {
		t.Fatalf("the page has no configuration:\n%s", html)
	}
	var p page
	if err := json.Unmarshal([]byte(config[1]), &p); err != nil {
		t.Fatalf("%v in %s", err, config[1])
	}
	if p.Node != d.nodes[1].name || len(p.Nodes) != 2 || p.Nodes[0].Port != d.nodes[0].port() || p.Path != "/socket.io/" {
		t.Errorf("the page of node-2 was told %+v", p)
	}
	base := "http://" + d.address(1) + "/assets/"
	get(t, base+"app.js", "text/javascript; charset=utf-8")
	get(t, base+"style.css", "text/css; charset=utf-8")
	if p.Client.URL == "assets/socket.io.min.js" {
		get(t, base+"socket.io.min.js", "text/javascript; charset=utf-8")
	} else if p.Client.URL != publicClient || !strings.Contains(html, `crossorigin="anonymous"`) {
		t.Errorf("the page loads its client from %q", p.Client.URL)
	}
	for _, path := range []string{"/assets/", "/assets/..%2findex.html", "/web/index.html", "/main.go", "/debug/pprof/"} {
		response, err := http.Get("http://" + d.address(1) + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s is answered with %d, want 404", path, response.StatusCode)
		}
	}
}

func get(t *testing.T, url, contentType string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != contentType {
		t.Errorf("%s is answered with %d and %q", url, response.StatusCode, response.Header.Get("Content-Type"))
	}
	if response.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%s has no content policy", url)
	}
	return string(body)
}

func TestDemo_TakenPortIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, _, errOut := command(t, "demo", "--listen", taken.Addr().String())
	if code != exitError || !strings.Contains(errOut, taken.Addr().String()) || !strings.Contains(errOut, "--listen") {
		t.Errorf("code %d, %q; want the address and what to do", code, errOut)
	}
}

func TestDemo_SaysWhereToLook(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	if code := run(ctx, []string{"demo", "--nodes", "2", "--listen", "127.0.0.1:0"}, &out, &errOut); code != exitOK {
		t.Fatalf("code %d: %s", code, errOut.String())
	}
	if !regexp.MustCompile(`in two tabs.*\n\n  http://127\.0\.0\.1:\d+/\n(?s:.*)  node-1  http://127\.0\.0\.1:\d+/\n  node-2  http://127\.0\.0\.1:\d+/\n`).MatchString(out.String()) {
		t.Errorf("the addresses are not printed:\n%s", out.String())
	}
}
