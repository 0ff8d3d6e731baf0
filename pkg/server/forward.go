package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/roomcast/roomcast/internal/cluster"
	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/internal/router"
)

// Forwarding are counters of the requests that came to a node which does not have their
// session. See Options.ClusterSecret.
type Forwarding struct {
	// Forwarded counts the requests that another node has answered through this one, without
	// those that became relays.
	Forwarded uint64
	// Relays are the WebSockets that this node passes on for another one at present, or has
	// asked it for.
	Relays int64
	// Relayed counts those since the start.
	Relayed uint64
	// Unreachable counts the requests whose owner was not reached, or went away before it
	// had answered.
	Unreachable uint64
	// Full counts the WebSockets that were refused because MaxConnections of them are relayed.
	Full uint64
	// Admitted counts the requests that other nodes have sent to this one.
	Admitted uint64
	// Refused counts the requests that claimed to come from another node and were not good,
	// by reason: "malformed", "signature", "addressee", "time" or "repeated".
	Refused map[string]uint64
}

// errNoOwner refuses a request whose session no node has.
var errNoOwner = errors.New("server: no live node has this session")

// validateForwarding checks the options, of which the router knows more.
func (o *Options) validateForwarding() error {
	switch {
	case len(o.ClusterSecret) > 0 && len(o.ClusterSecret) < router.MinSecret:
		return fmt.Errorf("server: option ClusterSecret has %d bytes, at least %d are wanted", len(o.ClusterSecret), router.MinSecret)
	case o.Advertise == "":
		return nil
	case len(o.ClusterSecret) == 0:
		return errors.New("server: option Advertise needs ClusterSecret, with which the nodes know each other's requests")
	case o.GenerateID != nil:
		return errors.New("server: option Advertise cannot be combined with GenerateID, whose ids do not name their node")
	}
	if _, err := router.ParseAddress(o.Advertise); err != nil {
		return fmt.Errorf("server: option Advertise: %w", err)
	}
	return nil
}

// newSigner returns nil without a secret.
func (o *Options) newSigner() (*router.Signer, error) {
	if len(o.ClusterSecret) == 0 {
		return nil, nil
	}
	return router.NewSigner(o.ClusterSecret, o.Advertise)
}

// withSigner has the node announce its address, and believe the others that do.
func withSigner(o cluster.Options, signer *router.Signer) cluster.Options {
	if signer != nil {
		o.Announce, o.Trusts = signer.Announce, signer.Trusts
	}
	return o
}

// newRouter returns nil without a signer.
func (s *Server) newRouter(signer *router.Signer) *router.Router {
	if signer == nil {
		return nil
	}
	o := &s.options
	write := cmp.Or(o.WriteTimeout, 10*time.Second)
	return router.New(s.base, signer, router.Options{
		Self: s.cluster.ID(), WriteTimeout: write, MaxRelays: o.MaxConnections, Authorities: o.ClusterAuthorities, Dial: o.dial,
		AnswerTimeout: cmp.Or(o.PingInterval, 25*time.Second) + cmp.Or(o.PingTimeout, 20*time.Second) + write,
	})
}

// drainRouter has other nodes relay what is not relayed yet.
func (s *Server) drainRouter() {
	if s.router != nil {
		s.router.Drain()
	}
}

// closeRouter ends what this node does for others.
func (s *Server) closeRouter(ctx context.Context) error {
	if s.router == nil {
		return nil
	}
	return s.router.Close(ctx)
}

// admit returns the request that a client sent, to this node or to another one; nil if it was
// refused.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) *http.Request {
	if s.router == nil {
		return r
	}
	admitted, err := s.router.Admit(r)
	if err == nil {
		return admitted
	}
	s.log.Warn("server: request that claims to come from another node is refused", "remote", r.RemoteAddr, "error", err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(w, `{"code":4,"message":"Forbidden"}`) // who does not get it is gone
	return nil
}

// elsewhere has a request answered by the node that has its session.
func (s *Server) elsewhere(w http.ResponseWriter, r *http.Request, id string) error {
	owner, found := s.owner(r.Context(), id)
	switch {
	case !found:
		return errNoOwner
	case s.router == nil:
		s.log.Warn("server: request for another node's session is refused: give all nodes the option Advertise and one ClusterSecret, "+
			"or let the load balancer be sticky, or clients use the transport websocket alone", "owner", owner.ID)
		return fmt.Errorf("server: the session is on node %s", owner.ID)
	case owner.Address == "":
		s.log.Warn("server: request for another node's session is refused: the owner has no address that is signed with this node's secret; "+
			"give it the option Advertise and the same ClusterSecret", "owner", owner.ID)
		return fmt.Errorf("server: the session is on node %s, which has no address", owner.ID)
	}
	err := s.router.Forward(w, r, router.Owner{ID: owner.ID, Address: owner.Address})
	switch {
	case errors.Is(err, router.ErrFull):
		return fmt.Errorf("%w: %w", engine.ErrFull, err)
	case errors.Is(err, router.ErrClosed), errors.Is(err, router.ErrDraining): // of the session it says nothing
		return fmt.Errorf("%w: %w", engine.ErrClosing, err)
	}
	return err
}

// owner returns the node that has a session. Only if its requests can be forwarded is it
// worth a moment's patience with a node that is new.
func (s *Server) owner(ctx context.Context, id string) (cluster.Member, bool) {
	if s.router == nil {
		return s.cluster.Owner(id)
	}
	return s.cluster.AwaitOwner(ctx, id)
}

// forwarding returns the counters, all zero while nothing is forwarded.
func (s *Server) forwarding() Forwarding {
	if s.router == nil {
		return Forwarding{}
	}
	return Forwarding(s.router.Stats())
}

// relayed is a client of another node's whose WebSocket passes through this one. Its
// owner sees that it has gone, and lets it recover elsewhere.
type relayed struct{ *router.Relay }

func (r relayed) gone() bool { return r.Ended() }

// busy says that its probe is not over; of the rest its owner alone knows.
func (r relayed) busy() bool { return r.Probing() }

func (r relayed) letGo(DisconnectReason) { r.Close() }
