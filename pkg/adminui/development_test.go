package adminui_test

import (
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adminui"
	"github.com/roomcast/roomcast/pkg/server"
)

type shown struct {
	ID, ClientID, Transport, NSP string
	Data                         any
	Handshake                    struct {
		Address string
		Headers map[string]string
		Query   map[string]string
		Issued  int
	}
	Rooms []string
}

func TestDevelopment_AllSocketsOfAllNodesAndWhatBecomesOfThem(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 3, adminui.Options{Development: true})
	clients, ids := make([]*rawclient.Client, 3), make([]string, 3)
	for i, n := range nodes {
		clients[i], ids[i] = member(t, n.url, "lobby")
	}
	p := open(t, nodes[0].url)
	all := decode[[]shown](t, p.event("all_sockets", always)[0])
	for i, id := range ids {
		at := slices.IndexFunc(all, func(s shown) bool { return s.ID == id })
		if at < 0 {
			t.Fatalf("the socket of node %d is missing", i)
		}
		if s := all[at]; s.NSP != "/" || s.Transport != "websocket" || !reflect.DeepEqual(s.Rooms, []string{id, "lobby"}) || s.Handshake.Address == "" || s.Handshake.Issued == 0 || s.Handshake.Query["EIO"] != "4" {
			t.Errorf("got %+v", s)
		}
	}
	clients[2].Send(`22["join",["kitchen"]]`)
	joined := p.event("room_joined", has(ids[2]))
	if string(joined[0]) != `"/"` || string(joined[1]) != `"kitchen"` {
		t.Errorf("room_joined: got %s", joined)
	}
	clients[2].Send(`23["leave",["kitchen"]]`)
	if left := p.event("room_left", has(ids[2])); string(left[1]) != `"kitchen"` {
		t.Errorf("room_left: got %s", left)
	}
	server.SetData(nodes[1].server.Of("/").Sockets()[0], map[string]string{"name": "Ada"})
	if updated := p.event("socket_updated", has(ids[1])); !strings.Contains(string(updated[0]), `"data":{"name":"Ada"}`) {
		t.Errorf("socket_updated: got %s", updated)
	}
	_, late := member(t, nodes[1].url)
	p.event("socket_connected", has(late))
	clients[1].Send("1") // leaves the namespace
	if gone := p.event("socket_disconnected", has(ids[1])); string(gone[2]) != `"client namespace disconnect"` {
		t.Errorf("socket_disconnected: got %s", gone)
	}
}

func TestDevelopment_EventsAreShownButNotThePagesOwn(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 2, adminui.Options{Development: true})
	c, id := member(t, nodes[1].url, "lobby")
	p := open(t, nodes[0].url)
	p.event("all_sockets", always)
	c.Send(`2["unheard",{"n":1}]`)
	received := p.event("event_received", has(id))
	if string(received[0]) != `"/"` || string(received[2]) != `["unheard",{"n":1}]` {
		t.Errorf("event_received: got %s", received)
	}
	if err := nodes[0].server.To("lobby").Emit("news", "x", strings.Repeat("y", 5000)); err != nil {
		t.Fatal(err)
	}
	sent := p.event("event_sent", func(args []json.RawMessage) bool {
		if string(args[0]) == `"/admin"` {
			t.Errorf("an event of the page's own is shown: %s", args)
		}
		return string(args[1]) == `"`+id+`"`
	})
	if string(sent[2]) != `["news","x","(too long to be shown)"]` {
		t.Errorf("event_sent: got %.200s", sent)
	}
}

// A page shows neither the ids of sessions nor what somebody could speak for a client with.
func TestDevelopment_ShowsNoSecrets(t *testing.T) {
	t.Parallel()
	n := start(t, nil, adminui.Options{Development: true})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling", nil)
	for name, value := range map[string]string{"Cookie": "session=hush-1", "Authorization": "Bearer hush-2", "X-Api-Key": "hush-3", "User-Agent": "a browser"} {
		r.Header.Set(name, value)
	}
	n.server.ServeHTTP(w, r)
	var opened struct{ SID string }
	if err := json.Unmarshal(w.Body.Bytes()[1:], &opened); err != nil {
		t.Fatal(err)
	}
	post := httptest.NewRequest("POST", "/socket.io/?EIO=4&transport=polling&sid="+opened.SID, strings.NewReader("40"))
	n.server.ServeHTTP(httptest.NewRecorder(), post)
	until(t, func() bool { return len(n.server.Of("/").Sockets()) == 1 })
	id := n.server.Of("/").Sockets()[0].ID()
	p := open(t, n.url)
	raw := string(p.event("all_sockets", always)[0])
	for _, secret := range []string{"hush", opened.SID} {
		if strings.Contains(raw, secret) {
			t.Errorf("%s is shown: %s", secret, raw)
		}
	}
	all := decode[[]shown](t, json.RawMessage(raw))
	at := slices.IndexFunc(all, func(s shown) bool { return s.ID == id })
	if at < 0 || all[at].Handshake.Headers["user-agent"] != "a browser" || all[at].ClientID == "" || strings.Contains(opened.SID, all[at].ClientID) {
		t.Errorf("got %+v", all)
	}
}
