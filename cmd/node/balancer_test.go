package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// front is the address of the demo's balancer.
func (d *demo) front() string { return d.balancer.listener.Addr().String() }

// enter joins the lobby and returns the node that the client is on.
func enter(c *client, name string) (node string) {
	var mine roster
	c.ask("join", joinRequest{Room: "lobby", Name: name}, &mine)
	return mine.Node
}

// Two tabs are on two nodes, whatever else their pages have asked for meanwhile.
func TestBalancer_SessionsAreDealtInTurn(t *testing.T) {
	d := startDemo(t, 3)
	for i := range 6 {
		for range i {
			get(t, "http://"+d.front()+"/assets/app.js", "text/javascript; charset=utf-8")
		}
		want := fmt.Sprintf("node-%d", i%3+1)
		if got := enter(dial(t, d.front()), "Ada"); got != want {
			t.Errorf("session %d is on %s, want %s", i+1, got, want)
		}
	}
}

func TestBalancer_ClientsOnDifferentNodesHearEachOther(t *testing.T) {
	d := startDemo(t, 2)
	ada, bob := dial(t, d.front()), dial(t, d.front())
	if a, b := enter(ada, "Ada"), enter(bob, "Bob"); a == b {
		t.Fatalf("both are on %s", a)
	}
	ada.ask("message", messageRequest{Text: "from the first"}, nil)
	if m := event(bob, "message", func(chatMessage) bool { return true }); m.Text != "from the first" || m.Node != "node-1" {
		t.Errorf("Bob hears %+v", m)
	}
	bob.ask("message", messageRequest{Text: "from the second"}, nil)
	if m := event(ada, "message", func(m chatMessage) bool { return m.From.Name == "Bob" }); m.Text != "from the second" || m.Node != "node-2" {
		t.Errorf("Ada hears %+v", m)
	}
}

// The demo of each test here ends with its clients connected; a node that is gone is
// an answer, not a hang.
func TestBalancer_NodeThatIsGoneIsAnError(t *testing.T) {
	d := startDemo(t, 1)
	if err := d.nodes[0].http.Close(); err != nil {
		t.Fatal(err)
	}
	response, err := http.Get("http://" + d.front() + "/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadGateway {
		t.Errorf("the balancer answers %d, want 502", response.StatusCode)
	}
}

// The balancer deals the requests of one session to all nodes, which forward them.
func TestBalancer_PollingIsServedThoughItKnowsNoSession(t *testing.T) {
	d := startDemo(t, 3)
	base := "http://" + d.front() + "/socket.io/?EIO=4&transport=polling"
	ask := func(method, url, body string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s is answered with %d %q, %v", method, response.StatusCode, text, err)
		}
		return string(text)
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(ask(http.MethodGet, base, ""), "0")), &open); err != nil {
		t.Fatal(err)
	}
	base += "&sid=" + open.SID
	ask(http.MethodPost, base, "40")
	if got := ask(http.MethodGet, base, ""); !strings.HasPrefix(got, `40{"sid":`) {
		t.Errorf("CONNECT is answered with %q", got)
	}
	for i := range 6 {
		ask(http.MethodPost, base, fmt.Sprintf(`42%d["join",{"room":"lobby","name":"Ada"}]`, i))
		for heard := ""; !strings.Contains(heard, fmt.Sprintf("43%d[", i)); {
			heard = ask(http.MethodGet, base, "")
		}
	}
	var forwarded uint64
	for _, n := range d.nodes {
		forwarded += n.server.Stats().Forwarding.Forwarded
	}
	if forwarded == 0 {
		t.Error("nothing was forwarded: this proves nothing")
	}
}
