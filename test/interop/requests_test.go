//go:build integration

// Package interop proves that the Redis adapters and live Node.js servers understand
// each other's broadcasts, requests and answers, whatever pkg/server makes of them.
package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mix is a cluster of two Node.js servers and two roomcast nodes.
type mix struct {
	form    form
	peers   []*peer
	members []*member
}

// inEachMix runs test with each form.
func inEachMix(t *testing.T, test func(t *testing.T, c mix)) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			addr := redisserver.Start(t).Addr()
			c := mix{form: f}
			for _, name := range []string{"n1", "n2"} {
				c.members = append(c.members, joinMember(t, "g"+name[1:], addr, f))
				c.peers = append(c.peers, startPeer(t, name, addr, f))
			}
			for _, p := range c.peers {
				p.ready(t)
			}
			test(t, c)
		})
	}
}

// rooms says whether Node.js servers can be asked for their rooms.
func (c mix) rooms() bool { return c.form.adapter == "classic" }

func TestNodeJS_EverybodyCountsTheSame(t *testing.T) {
	inEachMix(t, func(t *testing.T, c mix) {
		for _, p := range c.peers {
			var count int
			if p.call(t, &count, "count"); count != 4 {
				t.Errorf("%s counts %d servers", p.name, count)
			}
		}
		for _, m := range c.members {
			if n, err := m.link.(adapter.NodeCounter).CountNodes(t.Context()); n != 4 || err != nil {
				t.Errorf("%s counts %d nodes, %v", m.id, n, err)
			}
		}
	})
}

// described is a socket as JavaScript sees it.
type described struct {
	ID        string
	Rooms     []string
	Handshake struct {
		Address string
		Auth    struct{ Token string }
	}
	Data struct{ Owner string }
}

type answered struct {
	From     string
	Argument any
}

// Somebody who is waited for in vain makes a call an error, after seconds.
func TestNodeJS_CallsOfNodeGetAnswersOfAll(t *testing.T) {
	inEachMix(t, func(t *testing.T, c mix) {
		p := c.peers[0]
		var sockets []described
		p.call(t, &sockets, "fetch")
		slices.SortFunc(sockets, func(a, b described) int { return strings.Compare(a.Data.Owner, b.Data.Owner) })
		var owners []string
		for _, s := range sockets {
			owners = append(owners, s.Data.Owner)
		}
		if fmt.Sprint(owners) != "[g1 g2 n1 n2]" || sockets[0].Handshake.Address != "::1" || sockets[0].Rooms[0] != "socket of g1" {
			t.Errorf("fetchSockets: got %+v", sockets)
		}

		if c.rooms() {
			var rooms []string
			p.call(t, &rooms, "rooms")
			for _, want := range []string{"room of g1", "room of g2", "room of n1", "room of n2"} {
				if !slices.Contains(rooms, want) {
					t.Errorf("allRooms: %q is missing in %q", want, rooms)
				}
			}
		}

		var answers []answered
		p.call(t, &answers, "askServers", "x")
		if got := names(answers); got != "g1 g2 n2" {
			t.Errorf("serverSideEmit: answers of %s", got)
		}
		if r := c.members[0].asked(t, adapter.ActionEvent); string(r.Packet.Data) != `["ask","x"]` {
			t.Errorf("serverSideEmit: asked for %s", r.Packet.Data)
		}

		p.call(t, &answers, "askSockets", "x")
		want := []string{c.peers[0].id, c.peers[1].id, "g1", "g1", "g2", "g2"}
		slices.Sort(want)
		if got := names(answers); got != strings.Join(want, " ") {
			t.Errorf("broadcast with acknowledgements: answers of %s, want %s", got, want)
		}
		if r := c.members[0].asked(t, adapter.ActionCall); r.Timeout != 3*time.Second || string(r.Packet.Data) != `["ask","x"]` {
			t.Errorf("broadcast with acknowledgements: got %+v", r)
		}
	})
}

// names returns who has answered, sorted.
func names(answers []answered) string {
	var list []string
	for _, a := range answers {
		list = append(list, a.From)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestNodeJS_NodeAnswersOurCalls(t *testing.T) {
	inEachMix(t, func(t *testing.T, c mix) {
		m := c.members[0]
		event := packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(`["ask",{"b":{"_placeholder":true,"num":0}}]`), Attachments: [][]byte{{1, 2}}}
		m.ask(t, adapter.Request{ID: "fetch", Action: adapter.ActionFetch, Timeout: time.Second})
		m.ask(t, adapter.Request{ID: "rooms", Action: adapter.ActionRooms})
		m.ask(t, adapter.Request{ID: "event", Action: adapter.ActionEvent, Packet: event})
		m.ask(t, adapter.Request{ID: "call", Action: adapter.ActionCall, Packet: event, Timeout: time.Second})

		heard := func(id string, n int) (text string) {
			var lines []string
			for _, a := range m.answers(t, id, n) {
				r := a.Response
				from := string(a.From)
				if from != "g2" {
					from = "nodejs" // whose ids are their own
					if r.Done != (r.Action != adapter.ActionCall) {
						t.Errorf("%s: got %+v of %s", id, r, a.From)
					}
				}
				line := fmt.Sprint(from, " ", r.Receivers, " ", strings.Contains(strings.Join(r.Rooms, " "), "room of n"))
				for _, s := range r.Sockets {
					var d described
					if err := json.Unmarshal(s.Data, &d.Data); err != nil {
						t.Error(err)
					}
					if err := json.Unmarshal(s.Handshake, &d.Handshake); err != nil {
						t.Error(err)
					}
					line += " " + d.Data.Owner + d.Handshake.Auth.Token
				}
				if r.Answer != nil {
					line += " answer"
				}
				lines = append(lines, line)
			}
			slices.Sort(lines)
			return strings.Join(lines, ", ")
		}
		want := map[string]string{
			"fetch": "g2 1 false g2, nodejs 1 false n1n1, nodejs 1 false n2n2",
			"rooms": "g2 0 false, nodejs 0 true, nodejs 0 true",
			"event": "g2 0 false answer, nodejs 0 false answer, nodejs 0 false answer",
			"call": "g2 0 false, g2 0 false answer, g2 0 false answer, g2 2 false, " +
				"nodejs 0 false answer, nodejs 0 false answer, nodejs 1 false, nodejs 1 false",
		}
		if !c.rooms() {
			want["rooms"] = "g2 0 false"
		}
		for id, want := range want {
			if got := heard(id, strings.Count(want, ",")+1); got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", id, got, want)
			}
		}
		for _, a := range m.answers(t, "call", 1) {
			if r := a.Response; r.Answer != nil && a.From != "g2" && (len(r.Answer.Attachments) != 1 || string(r.Answer.Attachments[0]) != "\x01\x02") {
				t.Errorf("a binary came back as %s with %v", r.Answer.Data, r.Answer.Attachments)
			}
		}
	})
}

func TestNodeJS_ChangesCrossInBothDirections(t *testing.T) {
	inEachMix(t, func(t *testing.T, c mix) {
		m, p := c.members[0], c.peers[0]
		here := func(room string) bool {
			var rooms []string
			p.call(t, &rooms, "here")
			return slices.Contains(rooms, room)
		}
		eventually := func(what string, condition func() bool) {
			t.Helper()
			for deadline := time.Now().Add(patience); !condition(); {
				if time.Now().After(deadline) {
					t.Fatalf("%s: not within %v", what, patience)
				}
			}
		}
		one := []string{p.id}
		m.ask(t, adapter.Request{ID: "1", Action: adapter.ActionJoin, Rooms: one, Targets: []string{"red", "blue"}})
		eventually("a join by a roomcast node", func() bool { return here("red") && here("blue") })
		m.ask(t, adapter.Request{Action: adapter.ActionLeave, Rooms: one, Targets: []string{"red"}})
		eventually("a leave by a roomcast node", func() bool { return !here("red") && here("blue") })

		p.call(t, nil, "join", []string{"green"}, []string{"a", "b"})
		if r := m.asked(t, adapter.ActionJoin); r.ID != "" || fmt.Sprint(r.Rooms, r.Targets) != "[a b] [green]" {
			t.Errorf("socketsJoin: got %+v", r)
		}
		p.call(t, nil, "leave", []string{"green"}, []string{})
		if r := m.asked(t, adapter.ActionLeave); fmt.Sprint(r.Rooms, r.Targets) != "[] [green]" {
			t.Errorf("socketsLeave: got %+v", r)
		}
		p.call(t, nil, "disconnect", []string{"c"}, true)
		if r := m.asked(t, adapter.ActionDisconnect); !r.Close || fmt.Sprint(r.Rooms) != "[c]" {
			t.Errorf("disconnectSockets: got %+v", r)
		}
		p.call(t, nil, "tellServers", "x")
		if r := m.asked(t, adapter.ActionEvent); r.ID != "" || string(r.Packet.Data) != `["tell","x"]` {
			t.Errorf("serverSideEmit: got %+v", r)
		}

		m.ask(t, adapter.Request{Action: adapter.ActionDisconnect, Rooms: one})
		eventually("a disconnect by a roomcast node", func() bool {
			connected := true
			p.call(t, &connected, "connected")
			return !connected
		})
	})
}
