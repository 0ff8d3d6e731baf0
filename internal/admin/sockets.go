package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// The number of sockets in one answer.
const (
	defaultSockets = 100
	maxSockets     = 1000
)

// maxRoomsOfSocket bounds the rooms that are named of one socket.
const maxRoomsOfSocket = 20

// socketQuery selects sockets.
type socketQuery struct {
	Namespace string `json:"namespace"` // empty: any
	Room      string `json:"room"`      // or the id of a socket; empty: any
	After     string `json:"after"`     // sockets whose ids come later, by id
	Limit     int    `json:"limit"`
	Addresses bool   `json:"addresses"` // of the clients, which are somebody's personal data
}

// socketReport describes a socket.
type socketReport struct {
	ID          string    `json:"id"`
	Namespace   string    `json:"namespace"`
	Node        string    `json:"node"`
	Client      string    `json:"client"`
	Transport   string    `json:"transport"`
	Since       time.Time `json:"since"`
	Address     string    `json:"address,omitempty"`
	QueuedBytes int       `json:"queuedBytes"`
	Rooms       []string  `json:"rooms"`
	RoomCount   int       `json:"roomCount"`
}

// socketList is one page of sockets, in the order of their ids.
type socketList struct {
	Total   int            `json:"total"` // that match, on all nodes that answered
	Sockets []socketReport `json:"sockets"`
	// More says that there are sockets behind these.
	More bool `json:"more"`
	// Partial says that a node did not answer.
	Partial bool `json:"partial"`
}

// sockets lists this node's.
func (a *Admin) sockets(q socketQuery) socketList {
	q.Limit = min(cmp.Or(max(q.Limit, 0), defaultSockets), maxSockets)
	var found []*server.Socket
	list := socketList{Sockets: []socketReport{}}
	for _, n := range a.options.Server.Namespaces() {
		if n.Name() == Topic || q.Namespace != "" && q.Namespace != n.Name() {
			continue
		}
		sockets := n.Sockets()
		if q.Room != "" {
			sockets = n.SocketsIn(q.Room)
		}
		list.Total += len(sockets)
		for _, s := range sockets {
			if s.ID() > q.After {
				found = append(found, s)
			}
		}
	}
	slices.SortFunc(found, func(a, b *server.Socket) int { return strings.Compare(a.ID(), b.ID()) })
	list.More = len(found) > q.Limit
	for _, s := range found[:min(len(found), q.Limit)] {
		list.Sockets = append(list.Sockets, a.describe(s, q.Addresses))
	}
	return list
}

func (a *Admin) describe(s *server.Socket, address bool) socketReport {
	h := s.Handshake()
	rooms := slices.DeleteFunc(s.Rooms(), func(room string) bool { return room == s.ID() })
	slices.Sort(rooms)
	r := socketReport{
		ID: s.ID(), Namespace: s.Namespace().Name(), Node: a.options.Server.NodeID(), Client: s.ClientID(), Transport: s.Transport(),
		Since: h.Time, QueuedBytes: s.QueuedBytes(), Rooms: append([]string{}, rooms[:min(len(rooms), maxRoomsOfSocket)]...), RoomCount: len(rooms),
	}
	if address {
		r.Address = cmp.Or(h.Header().Get("X-Forwarded-For"), h.RemoteAddr)
	}
	return r
}

// listSockets answers with a page of the cluster's sockets.
func (a *Admin) listSockets(w http.ResponseWriter, r *http.Request) {
	form := r.URL.Query()
	q := socketQuery{Namespace: form.Get("namespace"), Room: form.Get("room"), After: form.Get("after"), Addresses: a.holdsToken(r)}
	if text := form.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxSockets {
			http.Error(w, "limit must be between 1 and "+strconv.Itoa(maxSockets), http.StatusBadRequest)
			return
		}
		q.Limit = limit
	}
	answer(w, http.StatusOK, a.searchSockets(r.Context(), q))
}

func (a *Admin) searchSockets(ctx context.Context, q socketQuery) socketList {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	q.Limit = cmp.Or(q.Limit, defaultSockets)
	lists, err := server.CallServers[socketList](ctx, a.topic, askSockets, q)
	all := socketList{Sockets: []socketReport{}, Partial: err != nil}
	for _, list := range append(lists, a.sockets(q)) {
		all.Total += list.Total
		all.More = all.More || list.More
		all.Sockets = append(all.Sockets, list.Sockets...)
	}
	slices.SortFunc(all.Sockets, func(a, b socketReport) int { return strings.Compare(a.ID, b.ID) })
	if len(all.Sockets) > q.Limit {
		all.Sockets, all.More = all.Sockets[:q.Limit], true
	}
	return all
}
