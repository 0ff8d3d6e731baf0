package adminui

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// socket is a socket as the page knows it.
type socket struct {
	ID        string    `json:"id"`
	Client    string    `json:"clientId"`
	Transport string    `json:"transport"`
	Namespace string    `json:"nsp"`
	Data      any       `json:"data"`
	Handshake handshake `json:"handshake"`
	Rooms     []string  `json:"rooms"`

	of *server.Socket // nil of another node's
}

// whyGone returns why a socket of this node is shown no more. The handlers of OnDisconnect, which
// wait for those of its events, would say so too late.
func (s *socket) whyGone() server.DisconnectReason {
	if s.of.Connected() { // its namespace is one too many now
		return server.TransportClose
	}
	ctx := s.of.Context()
	<-ctx.Done() // which a socket's is as soon as it has ended
	if gone, ok := errors.AsType[*server.DisconnectError](context.Cause(ctx)); ok {
		return gone.Reason
	}
	return server.TransportClose
}

// handshake is what the page shows of a client's first request.
type handshake struct {
	Address string            `json:"address"`
	Headers map[string]string `json:"headers"`
	Query   map[string]string `json:"query"`
	Issued  int64             `json:"issued"` // Unix milliseconds
	Secure  bool              `json:"secure"`
	Time    string            `json:"time"`
	URL     string            `json:"url"`
	XDomain bool              `json:"xdomain"`
}

// secretHeaders are those with which somebody else could speak for the client.
var secretHeaders = []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token", "X-Csrf-Token"}

func newSocket(s *server.Socket) socket {
	rooms := s.Rooms()
	slices.Sort(rooms[1:]) // its own comes first
	return socket{
		ID: s.ID(), Client: s.ClientID(), Transport: s.Transport(), Namespace: s.Namespace().Name(),
		Data: shownData(s), Handshake: newHandshake(s.Handshake()), Rooms: rooms, of: s,
	}
}

// shownData is what is attached to s as JSON, which other nodes would see too.
func shownData(s *server.Socket) any {
	value, ok := server.Data[any](s)
	if !ok {
		return struct{}{}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return struct{}{} // it has no JSON form
	}
	return shownValue(text)
}

func newHandshake(h *server.Handshake) handshake {
	header := h.Header()
	for _, name := range secretHeaders {
		header.Del(name)
	}
	shown := handshake{
		Address: address(header, h.RemoteAddr), Headers: make(map[string]string, len(header)), Query: make(map[string]string),
		Issued: h.Time.UnixMilli(), Secure: h.Secure, Time: h.Time.Format(time.RFC1123), URL: h.URL, XDomain: h.XDomain,
	}
	for name, values := range header {
		shown.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if u, err := url.Parse(h.URL); err == nil {
		for name, values := range u.Query() {
			shown.Query[name] = values[0]
		}
	}
	return shown
}

// address is the client's, as far as proxies say.
func address(header http.Header, remote string) string {
	for _, name := range []string{"Cf-Connecting-Ip", "X-Forwarded-For"} {
		if value := header.Get(name); value != "" {
			return value
		}
	}
	return remote
}

// update is what has changed of a socket.
type update struct {
	ID        string `json:"id"`
	Namespace string `json:"nsp"`
	Transport string `json:"transport"`
	Data      any    `json:"data"`
}

// tellChanges tells how s differs from what it was before.
func (s *socket) tellChanges(u *UI, before socket, now time.Time) {
	if s.Transport != before.Transport || !reflect.DeepEqual(s.Data, before.Data) {
		u.tell("socket_updated", update{ID: s.ID, Namespace: s.Namespace, Transport: s.Transport, Data: s.Data})
	}
	for _, room := range s.Rooms {
		if !slices.Contains(before.Rooms, room) {
			u.tell("room_joined", s.Namespace, room, s.ID, now)
		}
	}
	for _, room := range before.Rooms {
		if !slices.Contains(s.Rooms, room) {
			u.tell("room_left", s.Namespace, room, s.ID, now)
		}
	}
}
