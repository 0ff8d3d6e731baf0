//go:build integration

package integration

import (
	"context"
	"errors"
	"regexp"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/pkg/server"
)

// selection says to whom the event "broadcast" is to send. The node of the
// reference implementation understands the same.
type selection struct {
	To       []string `json:"to"`
	Except   []string `json:"except"`
	Others   bool     `json:"others"` // not to the socket that asks
	Local    bool     `json:"local"`
	Volatile bool     `json:"volatile"`
	Compress *bool    `json:"compress"`
	Timeout  int      `json:"timeout"` // milliseconds, for answers
}

func (sel selection) of(s *server.Socket) server.Broadcast {
	b := s.Namespace().To(sel.To...)
	if sel.Others {
		b = s.To(sel.To...)
	}
	b = b.Except(sel.Except...)
	if sel.Local {
		b = b.Local()
	}
	if sel.Volatile {
		b = b.Volatile()
	}
	if sel.Compress != nil {
		b = b.Compress(*sel.Compress)
	}
	return b
}

// serveStories registers what the stories ask of a node.
func serveStories(n *node) {
	dynamic := regexp.MustCompile(`^/world-\d+$`)
	worlds := n.OfFunc(func(_ context.Context, name string, _ *server.Handshake) bool { return dynamic.MatchString(name) })
	for _, ns := range []*server.Namespace{n.Of("/"), n.Of("/chat"), n.Of("/private"), worlds} {
		serveEchoes(ns)
		serveRooms(ns)
		serveLives(n, ns)
		serveListeners(ns)
		serveCluster(ns)
		serveRemote(ns)
	}
	serveServers(n, n.Of("/"))
	serveServers(n, n.Of("/chat"))
	n.Of("/private").Use(admitToken)
	n.Of("/greeting").OnConnect(func(_ context.Context, s *server.Socket) error { return s.Emit("welcome", s.ID()) })
	serveFlow(n)
}

// all are the arguments as Emit and Ack take them.
func all(args server.Args) []any {
	values := make([]any, args.Len())
	for i := range values {
		values[i] = args.At(i)
	}
	return values
}

func serveEchoes(ns *server.Namespace) {
	server.On(ns, "echo", func(_ context.Context, _ *server.Socket, args server.Args) error {
		return args.Ack(all(args)...)
	})
	server.On(ns, "repeat", func(_ context.Context, s *server.Socket, args server.Args) error {
		return s.Emit("repeated", all(args)...)
	})
	server.On(ns, "ask", func(ctx context.Context, s *server.Socket, args server.Args) error {
		answer, err := server.Call[server.Args](ctx, s, "question", all(args)...)
		if err != nil {
			return err
		}
		return args.Ack(all(answer)...)
	})
	server.On(ns, "ask within", askWithin)
	server.On(ns, "size", func(_ context.Context, s *server.Socket, text string) error {
		return s.Emit("size", len(text))
	})
	server.On(ns, "fail", func(context.Context, *server.Socket, struct{}) error {
		return &server.EventError{Message: "as you wish", Data: map[string]int{"code": 42}}
	})
}

func serveRooms(ns *server.Namespace) {
	server.On(ns, "join", func(ctx context.Context, s *server.Socket, rooms []string) error {
		return s.Join(ctx, rooms...)
	})
	server.On(ns, "leave", func(_ context.Context, s *server.Socket, rooms []string) error {
		s.Leave(rooms...)
		return nil
	})
	server.On(ns, "broadcast", func(_ context.Context, s *server.Socket, args server.Args) error {
		var sel selection
		var event string
		if err := args.Decode(&sel, &event); err != nil {
			return err
		}
		if err := sel.of(s).Emit(event, all(args)[2:]...); err != nil {
			return err
		}
		return args.Ack()
	})
}

// identity is what a socket is told of itself.
type identity struct {
	Node string         `json:"node"`
	Auth jsontext.Value `json:"auth"`
}

func serveLives(n *node, ns *server.Namespace) {
	server.Handle(ns, "whoami", func(_ context.Context, s *server.Socket, _ struct{}) (identity, error) {
		return identity{Node: n.NodeID(), Auth: s.Handshake().Auth}, nil
	})
	server.On(ns, "set data", func(_ context.Context, s *server.Socket, args server.Args) error {
		server.SetData(s, args.At(0).Value)
		return args.Ack()
	})
	server.On(ns, "get data", func(_ context.Context, s *server.Socket, args server.Args) error {
		data, _ := server.Data[jsontext.Value](s)
		return args.Ack(data)
	})
	server.On(ns, "kick", func(_ context.Context, s *server.Socket, close bool) error {
		s.Disconnect(close)
		return nil
	})
	server.On(ns, "die", func(context.Context, *server.Socket, struct{}) error {
		n.die()
		return nil
	})
	server.On(ns, "stop", func(_ context.Context, s *server.Socket, _ struct{}) error {
		n.work.Go(n.stop) // a handler that waits for all handlers would wait for itself
		return nil
	})
	ns.OnDisconnect(func(_ context.Context, s *server.Socket, reason server.DisconnectReason) {
		_ = s.Namespace().To("watchers").Emit("left", s.ID(), reason) // after Shutdown nobody is to be told
	})
}

func admitToken(_ context.Context, s *server.Socket) error {
	var auth struct {
		Token string `json:"token"`
	}
	if err := s.Handshake().DecodeAuth(&auth); err != nil {
		return err
	}
	switch auth.Token {
	case "right":
		return nil
	case "broken":
		return errors.New("what went wrong is for the logs")
	}
	return &server.ConnectError{Message: "not allowed", Data: map[string]any{"code": 403, "given": auth.Token}}
}
