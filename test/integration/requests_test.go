//go:build integration

package integration

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/pkg/server"
)

// serveSelection registers a handler of an event whose first argument is a
// selection, for which do is called with the other arguments.
func serveSelection[Res any](ns *server.Namespace, event string, do func(ctx context.Context, b server.Broadcast, args server.Args) (Res, error)) {
	server.Handle(ns, event, func(ctx context.Context, s *server.Socket, args server.Args) (Res, error) {
		var sel selection
		err := args.At(0).Decode(&sel)
		var result Res
		if err == nil {
			ctx, cancel := sel.context(ctx)
			defer cancel()
			result, err = do(ctx, sel.of(s), args)
		}
		return result, visible(err)
	})
}

// context bounds a call that waits for answers.
func (sel selection) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if sel.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(sel.Timeout)*time.Millisecond)
}

// visible lets the client see why its event failed.
func visible(err error) error {
	if err == nil {
		return nil
	}
	return &server.EventError{Message: err.Error()}
}

// serveCluster registers what stories ask of all nodes' sockets.
func serveCluster(ns *server.Namespace) {
	serveSelection(ns, "call", callSockets)
	serveSelection(ns, "fetch sockets", fetchSockets)
	serveSelection(ns, "join sockets", func(ctx context.Context, b server.Broadcast, args server.Args) (any, error) {
		var rooms []string
		if err := args.At(1).Decode(&rooms); err != nil {
			return nil, err
		}
		return nil, b.Join(ctx, rooms...)
	})
	serveSelection(ns, "leave sockets", func(ctx context.Context, b server.Broadcast, args server.Args) (any, error) {
		var rooms []string
		if err := args.At(1).Decode(&rooms); err != nil {
			return nil, err
		}
		return nil, b.Leave(ctx, rooms...)
	})
	serveSelection(ns, "disconnect sockets", func(ctx context.Context, b server.Broadcast, args server.Args) (any, error) {
		var close bool
		if err := args.At(1).Decode(&close); err != nil {
			return nil, err
		}
		return nil, b.Disconnect(ctx, close)
	})
	server.Handle(ns, "all rooms", func(ctx context.Context, s *server.Socket, _ struct{}) ([]string, error) {
		rooms, err := s.Namespace().All().Rooms(ctx)
		return rooms, visible(err)
	})
	server.Handle(ns, "count nodes", func(ctx context.Context, s *server.Socket, _ struct{}) (int, error) {
		count, err := s.Namespace().CountNodes(ctx)
		return count, visible(err)
	})
}

// gathered is what came of a broadcast that wants acknowledgements.
type gathered struct {
	Answers  []any `json:"answers"`
	Complete bool  `json:"complete"`
}

func callSockets(ctx context.Context, b server.Broadcast, args server.Args) (gathered, error) {
	var event string
	if err := args.At(1).Decode(&event); err != nil {
		return gathered{}, err
	}
	answers, err := server.CallAll[server.Args](ctx, b, event, all(args)[2:]...).Wait()
	result := gathered{Answers: make([]any, len(answers)), Complete: err == nil}
	for i, answer := range answers {
		result.Answers[i] = answer.At(0)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return result, err
}

// description is what a node knows of a socket, in the reference's words.
type description struct {
	ID        string         `json:"id"`
	Rooms     []string       `json:"rooms"`
	Handshake map[string]any `json:"handshake"`
	Data      jsontext.Value `json:"data"`
}

func fetchSockets(ctx context.Context, b server.Broadcast, _ server.Args) ([]description, error) {
	sockets, err := b.FetchSockets(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]description, len(sockets))
	for i, s := range sockets {
		handshake, err := s.Handshake()
		if err != nil {
			return nil, err
		}
		var data jsontext.Value
		if err := s.DecodeData(&data); err != nil {
			return nil, err
		}
		found[i] = description{ID: s.ID, Rooms: slices.Sorted(slices.Values(s.Rooms)), Handshake: describe(handshake), Data: data}
	}
	return found, nil
}

func describe(h *server.Handshake) map[string]any {
	query := make(map[string]string)
	for name, values := range h.Query() {
		query[name] = values[0]
	}
	return map[string]any{
		"headers": map[string]string{"host": h.Header().Get("Host")}, "url": h.URL, "query": query, "address": h.RemoteAddr,
		"time": h.Time.Format(http.TimeFormat), "issued": h.Time.UnixMilli(), "secure": h.Secure, "xdomain": h.XDomain, "auth": h.Auth,
	}
}

// serveRemote registers what stories have done to one socket, wherever it is,
// through what FetchSockets gives.
func serveRemote(ns *server.Namespace) {
	serveTarget(ns, "remote emit", func(_ context.Context, target server.RemoteSocket, event string, args []any) (any, error) {
		return nil, target.Emit(event, args...)
	})
	serveTarget(ns, "remote call", func(ctx context.Context, target server.RemoteSocket, event string, args []any) (any, error) {
		answers, err := server.CallAll[any](ctx, target.Broadcast, event, args...).Wait()
		if err == nil && len(answers) != 1 {
			err = errors.New("one socket has not answered once")
		}
		if err != nil {
			return nil, err
		}
		return answers[0], nil
	})
	serveTarget(ns, "remote join", func(ctx context.Context, target server.RemoteSocket, room string, _ []any) (any, error) {
		return nil, target.Join(ctx, room)
	})
	serveTarget(ns, "remote leave", func(ctx context.Context, target server.RemoteSocket, room string, _ []any) (any, error) {
		return nil, target.Leave(ctx, room)
	})
	serveTarget(ns, "remote disconnect", func(ctx context.Context, target server.RemoteSocket, close bool, _ []any) (any, error) {
		return nil, target.Disconnect(ctx, close)
	})
}

// serveTarget registers a handler of an event whose arguments are a socket's id, a
// value, and more.
func serveTarget[T any](ns *server.Namespace, event string, do func(ctx context.Context, target server.RemoteSocket, value T, more []any) (any, error)) {
	server.Handle(ns, event, func(ctx context.Context, s *server.Socket, args server.Args) (any, error) {
		var id string
		var value T
		if err := args.Decode(&id, &value); err != nil {
			return nil, visible(err)
		}
		found, err := s.Namespace().To(id).FetchSockets(ctx)
		if err == nil && len(found) != 1 {
			err = errors.New("the socket was not found")
		}
		if err != nil {
			return nil, visible(err)
		}
		result, err := do(ctx, found[0], value, all(args)[2:])
		return result, visible(err)
	})
}

// told is a node's answer to another node.
type told struct {
	Node  string `json:"node"`
	Value any    `json:"value"`
}

// serveServers is about events between servers: those that it hears it tells to
// the clients that listen here.
func serveServers(n *node, ns *server.Namespace) {
	server.OnServerSide(ns, "tell servers", func(_ context.Context, args server.Args) error {
		return ns.To("listeners").Local().Emit("servers were told", all(args)...)
	})
	server.HandleServerSide(ns, "ask servers", func(_ context.Context, value any) (told, error) {
		return told{n.NodeID(), value}, nil
	})
	server.On(ns, "tell servers", func(ctx context.Context, _ *server.Socket, args server.Args) error {
		return errors.Join(ns.ServerSideEmit(ctx, "tell servers", all(args)...), args.Ack())
	})
	server.Handle(ns, "ask servers", func(ctx context.Context, _ *server.Socket, value any) ([]told, error) {
		answers, err := server.CallServers[told](ctx, ns, "ask servers", value)
		return answers, visible(err)
	})
}
