package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestSockets_AreFoundOnAllNodesPageByPage(t *testing.T) {
	nodes, urls := clusterOf(t, Options{}, Options{}, Options{})
	var all, cooks []string
	for i := range 12 {
		rooms := []string{"all"}
		if i%3 == 0 {
			rooms = append(rooms, "kitchen & bath")
		}
		_, id := member(t, urls[i%len(urls)], rooms...)
		all = append(all, id)
		if i%3 == 0 {
			cooks = append(cooks, id)
		}
	}
	slices.Sort(all)
	slices.Sort(cooks)
	var got []string
	for after, more := "", true; more; {
		list := see[socketList](nodes[0], "/debug/sockets?limit=5&after="+url.QueryEscape(after))
		if list.Total != len(all) || list.Partial {
			t.Errorf("got %d sockets in all, partial %v; want %d", list.Total, list.Partial, len(all))
		}
		for _, s := range list.Sockets {
			got = append(got, s.ID)
		}
		if more = list.More; more {
			after = got[len(got)-1]
		}
	}
	if !slices.Equal(got, all) {
		t.Errorf("got %q, want %q", got, all)
	}
	list := see[socketList](nodes[1], "/debug/sockets?namespace=/&room="+url.QueryEscape("kitchen & bath"))
	got = nil
	for _, s := range list.Sockets {
		got = append(got, s.ID)
	}
	if !slices.Equal(got, cooks) || list.Sockets[0].RoomCount != 2 {
		t.Errorf("in a room: got %q, want %q", got, cooks)
	}
	if one := see[socketList](nodes[2], "/debug/sockets?room="+all[0]); len(one.Sockets) != 1 || one.Sockets[0].ID != all[0] {
		t.Errorf("by id: got %+v", one.Sockets)
	}
	if none := see[socketList](nodes[2], "/debug/sockets?namespace=/elsewhere"); len(none.Sockets) != 0 || none.Total != 0 {
		t.Errorf("in another namespace: got %+v", none.Sockets)
	}
	for _, limit := range []string{"0", "-1", "x", fmt.Sprint(maxSockets + 1)} {
		if status, _, _ := nodes[0].ask("GET", "/debug/sockets?limit="+limit, ""); status != http.StatusBadRequest {
			t.Errorf("limit %s: got %d, want 400", limit, status)
		}
	}
}

// Whoever has only reached the listener learns no client's address, and nobody learns
// what would let them speak for a client.
func TestSockets_SayNoAddressWithoutTheCredential(t *testing.T) {
	nodes, urls := clusterOf(t, Options{Token: token}, Options{Token: token})
	for _, u := range urls {
		member(t, u, "r")
	}
	for name, headers := range map[string][]string{"none": nil, "wrong": {"Authorization", "Bearer x"}} {
		if _, text, _ := nodes[0].ask("GET", "/debug/sockets", "", headers...); strings.Contains(text, "127.0.0.1") {
			t.Errorf("credential %s: got addresses: %s", name, text)
		}
	}
	list := see[socketList](nodes[0], "/debug/sockets", "Authorization", "Bearer "+token)
	for _, s := range list.Sockets {
		if !strings.HasPrefix(s.Address, "127.0.0.1:") || s.Client == "" || s.Transport != "websocket" || s.Node == "" {
			t.Errorf("with the credential: got %+v", s)
		}
	}
}
