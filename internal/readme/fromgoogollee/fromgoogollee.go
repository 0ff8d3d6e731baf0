// Package fromgoogollee is the Go that docs/from-googollee.md shows, so that it
// compiles.
package fromgoogollee

import (
	"context"
	"log"
	"net/http"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

type (
	visitor struct{ Name string }
	reply   struct{ Seen bool }
)

// A server needs nothing that serves it but net/http.
var _ http.Handler = (*server.Server)(nil)

// Program is the program that the document begins with.
func Program() error {
	srv, err := server.New(server.Options{})
	if err != nil {
		return err
	}
	ns := srv.Of("/")
	ns.OnConnect(func(ctx context.Context, s *server.Socket) error {
		server.SetData(s, visitor{})
		return s.Join(ctx, "lobby")
	})
	server.Handle(ns, "say", func(ctx context.Context, s *server.Socket, text string) (string, error) {
		err := ns.To("lobby").Emit("said", s.ID(), text)
		return "ok", err
	})
	ns.OnDisconnect(func(ctx context.Context, s *server.Socket, reason server.DisconnectReason) {
		log.Println(s.ID(), reason)
	})
	http.Handle("/socket.io/", srv)
	return nil
}

// Configure has the options that the document names.
func Configure(client goredis.UniversalClient, o server.Options) (*server.Server, error) {
	bus, err := redis.New(client, redis.Options{})
	if err != nil {
		return nil, err
	}
	o.Adapter = bus
	o.CORS = &server.CORS{Origins: []string{"https://example.com"}}
	_ = []any{o.PingInterval, o.PingTimeout, o.AllowRequest, o.InitialHeaders, o.GenerateID}
	return server.New(o)
}

// Registrations are the calls that register handlers.
func Registrations(
	srv *server.Server,
	connected, authorize func(context.Context, *server.Socket) error,
	handle func(context.Context, *server.Socket, visitor) error,
	answer func(context.Context, *server.Socket, visitor) (reply, error),
	gone func(context.Context, *server.Socket, server.DisconnectReason),
	match func(context.Context, string, *server.Handshake) bool,
) {
	srv.Of("/chat").OnConnect(connected)
	ns := srv.OfFunc(match)
	ns.Use(authorize)
	handleArgs := func(ctx context.Context, s *server.Socket, args server.Args) error {
		var x, y int
		return args.Decode(&x, &y)
	}
	server.On(ns, "e", handle)
	server.On(ns, "e", handleArgs)
	server.Handle(ns, "e", answer)
	ns.OnDisconnect(gone)
}

// Sockets are the calls that concern one client.
func Sockets(ctx context.Context, s *server.Socket, x any, v visitor) []any {
	server.SetData(s, v)
	v, ok := server.Data[visitor](s)
	r, err := server.Call[reply](ctx, s, "e", x)
	joined := s.Join(ctx, "a")
	s.Leave("a")
	s.Leave(s.Rooms()...)
	h := s.Handshake()
	s.Disconnect(true)
	return []any{
		v, ok, r, err, joined, h.URL, h.RemoteAddr, h.Header(), s.ID(), s.Context(), s.Namespace().Name(),
		s.Emit("e", x), s.To("a").Emit("e", x), &server.EventError{Message: "no"},
	}
}

// Cluster are the calls that concern many.
func Cluster(ctx context.Context, srv *server.Server, ns *server.Namespace, x any) []any {
	sockets, err := ns.To("a").FetchSockets(ctx)
	local, err2 := ns.To("a").Local().FetchSockets(ctx)
	rooms, err3 := ns.All().Rooms(ctx)
	return []any{
		len(sockets), err, local, err2, rooms, err3, ns.To("a").Emit("e", x), ns.Emit("e", x), ns.To("a").Leave(ctx, "a"),
		srv.Stats().Sessions, srv.Shutdown(ctx),
	}
}
