package server_test

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestLargestRooms_AreOrderedBoundedAndNotSocketsOwn(t *testing.T) {
	s, url := start(t, server.Options{})
	ns := s.Of("/")
	joining(ns)
	member(t, url, "a", "b", "c", "d")
	member(t, url, "b", "c")
	member(t, url, "c")
	member(t, url)
	if in := len(ns.SocketsIn("c")); in != 3 || len(ns.SocketsIn("nobody's")) != 0 {
		t.Errorf("got %d sockets in a room of 3", in)
	}
	for limit, want := range [][]server.RoomSize{
		nil,
		{{Room: "c", Sockets: 3}},
		{{Room: "c", Sockets: 3}, {Room: "b", Sockets: 2}},
		{{Room: "c", Sockets: 3}, {Room: "b", Sockets: 2}, {Room: "a", Sockets: 1}},
		{{Room: "c", Sockets: 3}, {Room: "b", Sockets: 2}, {Room: "a", Sockets: 1}, {Room: "d", Sockets: 1}},
		{{Room: "c", Sockets: 3}, {Room: "b", Sockets: 2}, {Room: "a", Sockets: 1}, {Room: "d", Sockets: 1}},
	} {
		got, total := ns.LargestRooms(limit)
		if !reflect.DeepEqual(got, want) || total != 4 {
			t.Errorf("limit %d: got %v of %d, want %v of 4", limit, got, total, want)
		}
	}
}

func TestNamespaces_AreThoseThatExist(t *testing.T) {
	s, url := start(t, server.Options{})
	s.Of("/zoo")
	sync(s.OfFunc(acceptAll))
	c, _ := member(t, url)
	c.Connect("/made", "")
	var names []string
	for _, n := range s.Namespaces() {
		names = append(names, n.Name())
	}
	if want := []string{"/", "/made", "/zoo"}; !reflect.DeepEqual(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestClientID_IsSharedByAClientsSocketsAndSaysNothingOfItsSession(t *testing.T) {
	s, url := start(t, server.Options{})
	s.Of("/chat")
	c, _ := member(t, url)
	c.Connect("/chat", "")
	member(t, url)
	first, second := s.Of("/").Sockets()[0].ClientID(), s.Of("/").Sockets()[1].ClientID()
	if third := s.Of("/chat").Sockets()[0].ClientID(); first == second || third != first && third != second {
		t.Errorf("got %q and %q for two clients, and %q for another socket of one", first, second, third)
	}
	if len(first) != 12 || strings.Trim(first, "0123456789abcdef") != "" {
		t.Errorf("got %q, want 12 hexadecimal digits", first)
	}
}

func TestClientID_IsNoPartOfTheSessionID(t *testing.T) {
	s, url := start(t, server.Options{GenerateID: constantID})
	rawclient.Join(t, url, "/", nil)
	if id := s.Of("/").Sockets()[0].ClientID(); strings.Contains(sessionID, id) || s.Of("/").Sockets()[0].QueuedBytes() != 0 {
		t.Errorf("the id %q is part of the session's", id)
	}
}

// sessionID is what its hash must not give away.
const sessionID = "0123456789abcdef0123456789abcdef"

func constantID(*http.Request) (string, error) { return sessionID, nil }

func acceptAll(context.Context, string, *server.Handshake) bool { return true }
