// Package fromnode is the Go that docs/from-node.md shows, so that it compiles.
package fromnode

import (
	"context"
	"errors"
	"log"
	"net/http"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/emitter"
	msgpackparser "github.com/roomcast/roomcast/pkg/parser/msgpack"
	"github.com/roomcast/roomcast/pkg/server"
)

type (
	message struct {
		Text string `json:"text"`
	}
	result struct {
		OK bool `json:"ok"`
	}
	reply   struct{ Seen bool }
	account struct{ Name string }
)

// Program is the program that the document begins with.
func Program(srv *server.Server) {
	ns := srv.Of("/")
	ns.OnConnect(func(ctx context.Context, s *server.Socket) error {
		return s.Join(ctx, "lobby")
	})
	server.Handle(ns, "say", func(ctx context.Context, s *server.Socket, m message) (result, error) {
		err := ns.To("lobby").Emit("said", s.ID(), m.Text)
		return result{OK: err == nil}, err
	})
	ns.OnDisconnect(func(ctx context.Context, s *server.Socket, reason server.DisconnectReason) {
		log.Println(s.ID(), reason)
	})
}

// Configure has the options that the document names.
func Configure(o server.Options) (*server.Server, error) {
	_ = []any{
		o.PingInterval, o.PingTimeout, o.UpgradeTimeout, o.ConnectTimeout, o.RequestTimeout, o.MaxPayload,
		o.Transports, o.DisableUpgrades, o.PerMessageDeflate, o.HTTPCompressionThreshold, o.CORS,
		o.AllowRequest, o.GenerateID, o.InitialHeaders, o.Headers, o.OnConnectionError, o.Client, o.Adapter, o.Logger,
	}
	o.Cookie = &http.Cookie{Name: "node"}
	o.Parser = msgpackparser.New()
	o.Recovery = &server.Recovery{SkipMiddlewares: true}
	return server.New(o)
}

// Serve mounts a server and ends it.
func Serve(ctx context.Context, window time.Duration, wrap func(http.Handler) http.Handler) error {
	srv, err := server.New(server.Options{})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	if wrap == nil {
		mux.Handle("/socket.io/", srv)
	} else {
		mux.Handle("/socket.io/", wrap(srv))
	}
	h := &http.Server{Handler: mux}
	server.ConfigureHTTP(h)
	listener, err := server.Listen(ctx, "tcp", ":3000")
	if err != nil {
		return err
	}
	log.Println(srv.Stats(), srv.Health(), h.Serve(listener))
	return errors.Join(srv.Drain(ctx, window), srv.Shutdown(ctx))
}

// Namespaces are the calls of the section of that name.
func Namespaces(
	srv *server.Server,
	match func(context.Context, string, *server.Handshake) bool,
	connected, authorize func(context.Context, *server.Socket) error,
) (all []any) {
	ns := srv.Of("/chat")
	all = append(all, srv.OfFunc(match))
	ns.OnConnect(connected)
	ns.Use(authorize)
	server.On(ns, "who", func(ctx context.Context, s *server.Socket, _ struct{}) error {
		h := s.Handshake()
		all = append(all, h.Header(), h.URL, h.RemoteAddr, h.Secure, h.XDomain, h.Time, s.Namespace().Name(), ns.Sockets())
		var auth struct{ Token string }
		if err := s.Handshake().DecodeAuth(&auth); err != nil {
			return &server.ConnectError{Message: "who are you?"}
		}
		return nil
	})
	return all
}

// Registrations are the calls that register handlers.
func Registrations(
	ns *server.Namespace,
	handle func(context.Context, *server.Socket, message) error,
	answer func(context.Context, *server.Socket, message) (result, error),
	seen func(context.Context, *server.Socket, string, server.Args) error,
	sent func(*server.Socket, string, server.Args),
	gone func(context.Context, *server.Socket, server.DisconnectReason),
) {
	server.On(ns, "e", handle)
	server.Handle(ns, "e", answer)
	handleArgs := func(ctx context.Context, s *server.Socket, args server.Args) error {
		var x any
		if err := args.Decode(&x); err != nil {
			return err
		}
		return args.Ack(x)
	}
	server.On(ns, "e", handleArgs)
	ns.OnAny(seen)
	ns.UseEvent(seen)
	ns.OnAnyOutgoing(sent)
	ns.OnDisconnect(gone)
}

// Sockets are the calls that concern one client.
func Sockets(ctx context.Context, s *server.Socket, x any, user account) []any {
	yes, err := server.Call[reply](ctx, s, "e", x)
	server.SetData(s, user)
	attached, ok := server.Data[account](s)
	changed := server.UpdateData(s, func(a account) account { return a })
	s.Leave("a")
	s.Disconnect(true)
	return []any{
		yes, err, attached, changed, ok, s.ID(), s.Connected(), s.Recovered(), s.Transport(), s.Rooms(), s.Context(),
		s.Emit("e", x), s.Emit("message", x), s.Volatile().Emit("e", x), s.Compress(false).Emit("e", x),
		s.Join(ctx, "a"), s.Broadcast().Emit("e", x), s.To("a").Emit("e", x),
	}
}

// Broadcasts are the calls that emit to many.
func Broadcasts(ctx context.Context, srv *server.Server, ns *server.Namespace, id string, x any) []any {
	answers := server.CallAll[reply](ctx, ns.All(), "e", x)
	for one, err := range answers.Each() {
		log.Println(one, err)
	}
	all, err := server.CallAll[reply](ctx, ns.To("a"), "e", x).Wait()
	return []any{
		all, err, srv.Emit("e", x), ns.Emit("e", x), ns.To("a", "b").Emit("e", x), ns.Except("a").Emit("e", x), ns.To(id).Emit("e", x),
		ns.Local().Emit("e", x), ns.Volatile().Emit("e", x), ns.Compress(false).Emit("e", x),
	}
}

// Cluster are the calls that concern all nodes.
func Cluster(ctx context.Context, ns *server.Namespace, x any, fromServer func(context.Context, message) error) (done []any) {
	all, err := ns.To("a").FetchSockets(ctx)
	for _, remote := range all {
		var data account
		h, err := remote.Handshake()
		done = append(done, h, err, remote.ID, remote.Rooms, remote.DecodeData(&data), remote.Emit("e", x), remote.Join(ctx, "b"))
	}
	names, err2 := ns.All().Rooms(ctx)
	answers, err3 := server.CallServers[reply](ctx, ns, "e", x)
	count, err4 := ns.CountNodes(ctx)
	server.OnServerSide(ns, "e", fromServer)
	server.HandleServerSide(ns, "f", func(context.Context, message) (result, error) { return result{OK: true}, nil })
	return append(done, err, names, err2, answers, err3, count, err4,
		ns.To("a").Join(ctx, "b"), ns.To("a").Leave(ctx, "b"), ns.To("a").Disconnect(ctx, true), ns.ServerSideEmit(ctx, "e", x))
}

// Modes are the subscription modes of sharded publish/subscribe.
var Modes = []redis.SubscriptionMode{redis.Dynamic, redis.Static, redis.DynamicPrivate}

// Routed and Kept are options of the two other adapters.
var (
	Routed = redis.ShardedOptions{SubscriptionMode: redis.Dynamic, Options: redis.Options{InterestRouting: true, HMACKey: []byte("sixteen bytes or more")}}
	Kept   = redis.StreamsOptions{
		StreamName: "chat", StreamCount: 2, MaxLen: 20_000, ReadCount: 200, Block: time.Second,
		SessionKeyPrefix: "chat:session:", ShardedPubSub: true, Options: redis.Options{NodeJS: true},
	}
)

// OtherRedis makes the two other adapters.
func OtherRedis(client goredis.UniversalClient) (*redis.Adapter, *redis.StreamsAdapter, error) {
	sharded, err := redis.NewSharded(client, redis.ShardedOptions{})
	if err != nil {
		return nil, nil, err
	}
	streams, err := redis.NewStreams(client, redis.StreamsOptions{})
	return sharded, streams, err
}

// Redis makes what connects nodes, and what emits from elsewhere.
func Redis(client goredis.UniversalClient) (*redis.Adapter, *emitter.Emitter, error) {
	bus, err := redis.New(client, redis.Options{})
	if err != nil {
		return nil, nil, err
	}
	other, err := redis.New(client, redis.Options{Prefix: "other", NodeJS: true, PublishOnSpecificResponseChannel: true})
	if err != nil {
		return nil, nil, err
	}
	e, err := emitter.New(bus, emitter.Options{})
	return other, e, err
}
