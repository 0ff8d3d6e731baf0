package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/roomcast/roomcast/pkg/server"
)

// maxActionBytes bounds the body of a request for an action.
const maxActionBytes = 64 << 10

// The kinds of actions.
const (
	kindDisconnect = "disconnect" // the client of a socket, which stays away then
	kindDrain      = "drain"      // a node
	kindMessage    = "message"    // to a room, on all nodes
)

// action is what somebody with the credential wants a node to do.
type action struct {
	Kind string `json:"kind"`
	// Node is the id of the node that does it. For kindMessage it is any that has the
	// namespace.
	Node      string            `json:"node"`
	Namespace string            `json:"namespace,omitempty"`
	Socket    string            `json:"socket,omitempty"`
	Room      string            `json:"room,omitempty"`
	Event     string            `json:"event,omitempty"`
	Args      []json.RawMessage `json:"args,omitempty"`
	// By is where the request came from, for the log.
	By string `json:"by"`
}

// outcome is what became of an action.
type outcome struct {
	// Node did it; empty from a node that was not meant.
	Node  string `json:"node"`
	Error string `json:"error,omitempty"`
}

// validate says what is missing.
func (act *action) validate() error {
	need := map[string]string{"node": act.Node}
	switch act.Kind {
	case kindDisconnect:
		need["namespace"], need["socket"] = act.Namespace, act.Socket
	case kindMessage:
		need["namespace"], need["room"], need["event"] = act.Namespace, act.Room, act.Event
	case kindDrain:
	default:
		return fmt.Errorf("kind %q is none of disconnect, drain and message", act.Kind)
	}
	for _, field := range []string{"node", "namespace", "socket", "room", "event"} {
		if value, needed := need[field]; needed && value == "" {
			return fmt.Errorf("%s is missing", field)
		}
	}
	return nil
}

// checkCredential tells the page whether it holds the credential.
func (a *Admin) checkCredential(w http.ResponseWriter, r *http.Request) {
	if !a.holdsToken(r) {
		a.refuse(w, r, "Bearer")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// act has an action carried out by the node that it names.
func (a *Admin) act(w http.ResponseWriter, r *http.Request) {
	if !a.holdsToken(r) {
		a.refuse(w, r, "Bearer")
		return
	}
	var act action
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxActionBytes)).Decode(&act); err != nil {
		http.Error(w, "the body is no action: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := act.validate(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	act.By = r.RemoteAddr
	result, err := a.send(r.Context(), act)
	a.log.LogAttrs(r.Context(), slog.LevelInfo, "admin action", append(act.attributes(), slog.String("error", result.Error))...)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	case result.Error != "":
		http.Error(w, result.Error, http.StatusConflict)
	default:
		answer(w, http.StatusOK, result)
	}
}

// attributes describe an action in the log. What is said to a room is not logged.
func (act *action) attributes() []slog.Attr {
	return []slog.Attr{
		slog.String("kind", act.Kind), slog.String("on", act.Node), slog.String("namespace", act.Namespace), slog.String("socket", act.Socket),
		slog.String("room", act.Room), slog.String("event", act.Event), slog.String("by", act.By),
	}
}

// errNoNode means that no node with that id carries out actions.
var errNoNode = errors.New("no node with this id has answered")

// send has the node that is meant carry out act.
func (a *Admin) send(ctx context.Context, act action) (outcome, error) {
	if act.Node == a.options.Server.NodeID() {
		return a.perform(act), nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	results, err := server.CallServers[outcome](ctx, a.topic, askAction, act)
	for _, result := range results {
		if result.Node == act.Node {
			return result, nil // whoever else has not answered was not meant
		}
	}
	return outcome{Error: errNoNode.Error()}, errors.Join(errNoNode, err)
}

// serveAction carries out what another node was asked for, if this node is meant.
func (a *Admin) serveAction(ctx context.Context, act action) outcome {
	if act.Node != a.options.Server.NodeID() {
		return outcome{}
	}
	result := a.perform(act)
	a.log.LogAttrs(ctx, slog.LevelInfo, "admin action of another node", append(act.attributes(), slog.String("error", result.Error))...)
	return result
}

// perform carries out act on this node.
func (a *Admin) perform(act action) outcome {
	var err error
	switch act.Kind {
	case kindDisconnect:
		err = a.disconnect(act)
	case kindMessage:
		err = a.message(act)
	case kindDrain:
		if a.options.Drain == nil {
			err = errors.New("this node cannot be drained from here")
		} else {
			a.options.Drain()
		}
	default:
		err = fmt.Errorf("this node does not know the action %q", act.Kind)
	}
	result := outcome{Node: a.options.Server.NodeID()}
	if err != nil {
		result.Error = err.Error()
	}
	return result
}

// namespace returns the namespace of that name, which must exist: Server.Of would make it.
func (a *Admin) namespace(name string) (*server.Namespace, error) {
	all := a.options.Server.Namespaces()
	at := slices.IndexFunc(all, func(n *server.Namespace) bool { return n.Name() == name && name != Topic })
	if at < 0 {
		return nil, fmt.Errorf("this node has no namespace %q", name)
	}
	return all[at], nil
}

func (a *Admin) disconnect(act action) error {
	n, err := a.namespace(act.Namespace)
	if err != nil {
		return err
	}
	for _, s := range n.SocketsIn(act.Socket) {
		if s.ID() == act.Socket {
			s.Disconnect(true)
			return nil
		}
	}
	return errors.New("this socket is gone")
}

func (a *Admin) message(act action) error {
	n, err := a.namespace(act.Namespace)
	if err != nil {
		return err
	}
	args := make([]any, len(act.Args))
	for i, arg := range act.Args {
		args[i] = arg
	}
	return n.To(act.Room).Emit(act.Event, args...)
}
