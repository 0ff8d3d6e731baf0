package adminui

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// commandTimeout bounds the wait for the other nodes.
const commandTimeout = 5 * time.Second

// registerCommands lets pages act. Every action is logged.
func (u *UI) registerCommands() {
	u.command("emit", func(_ context.Context, a server.Args) (string, error) {
		var namespace, event string
		var filter *string
		if err := a.Decode(&namespace, &filter, &event); err != nil {
			return "", err
		}
		target, text, err := u.target(namespace, filter)
		if err != nil {
			return text, err
		}
		var args []any
		for i := 3; i < a.Len(); i++ {
			args = append(args, a.At(i))
		}
		return text + " event=" + event, target.Emit(event, args...)
	})
	u.command("join", u.move(server.Broadcast.Join))
	u.command("leave", u.move(server.Broadcast.Leave))
	u.command("_disconnect", func(ctx context.Context, a server.Args) (string, error) {
		var namespace string
		var closing bool
		var filter *string
		if err := a.Decode(&namespace, &closing, &filter); err != nil {
			return "", err
		}
		target, text, err := u.target(namespace, filter)
		if err != nil {
			return text, err
		}
		return fmt.Sprintf("%s close=%v", text, closing), target.Disconnect(ctx, closing)
	})
}

// move is what join and leave have in common.
func (u *UI) move(do func(server.Broadcast, context.Context, ...string) error) func(context.Context, server.Args) (string, error) {
	return func(ctx context.Context, a server.Args) (string, error) {
		var namespace, room string
		var filter *string
		if err := a.Decode(&namespace, &room, &filter); err != nil {
			return "", err
		}
		target, text, err := u.target(namespace, filter)
		if err != nil {
			return text, err
		}
		return text + " room=" + room, do(target, ctx, room)
	}
}

// command registers what a page can ask for. do returns what it was about, for the log. A
// page hears of no error: the protocol has none.
func (u *UI) command(name string, do func(context.Context, server.Args) (string, error)) {
	server.On(u.ns, name, func(ctx context.Context, s *server.Socket, a server.Args) error {
		ctx, cancel := context.WithTimeout(ctx, commandTimeout)
		defer cancel()
		about, err := do(ctx, a)
		level := slog.LevelInfo
		if err != nil {
			level = slog.LevelWarn
		}
		u.log.Log(ctx, level, "admin UI: action", "kind", name, "about", about, "client", s.Handshake().RemoteAddr, "error", err)
		return nil
	})
}

// target selects all sockets of a namespace, or those in a room; a socket's id is one. The
// namespace must exist on this node: server.Of would make it.
func (u *UI) target(namespace string, room *string) (server.Broadcast, string, error) {
	all := u.server.Namespaces()
	at := slices.IndexFunc(all, func(n *server.Namespace) bool { return n.Name() == namespace })
	if at < 0 || slices.Contains(u.options.Hidden, namespace) {
		return server.Broadcast{}, "", fmt.Errorf("adminui: this node has no namespace %q", namespace)
	}
	if room == nil || *room == "" {
		return all[at].All(), "namespace=" + namespace, nil
	}
	return all[at].To(*room), "namespace=" + namespace + " to=" + *room, nil
}
