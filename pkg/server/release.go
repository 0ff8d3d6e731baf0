package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roomcast/roomcast/internal/cluster"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// releaseTimeout is how long a node may take to let go of a socket. After it, it counts
// as dead.
const releaseTimeout = time.Second

// maxOwners bounds how many sockets an attempt to recover has released, one after the
// other: so many others of the same client were quicker.
const maxOwners = 4

// settleOwner has whoever has the socket of c's record let go of it, and reads the
// record as it then is. If that is another socket's, it goes on with its owner.
func (c *catchUp) settleOwner(ctx context.Context, offset string) error {
	n := c.namespace
	if n.keeper == nil {
		return nil
	}
	for range maxOwners {
		if c.record.Node == "" {
			return nil
		}
		asked := c.record.Incarnation
		err := n.reclaim(ctx, c.record)
		if errors.Is(err, cluster.ErrNodeLost) {
			return nil // nobody writes it any more
		}
		if c.record, err = n.log.Find(ctx, c.record.PrivateID, offset); err != nil || c.record.Incarnation == asked {
			return err
		}
	}
	return errStaleRecord
}

// reclaim has the node that is named in r let go of the socket: a connection that still
// stands is closed, and the record is that of its end. An error means that the node did
// not say so; should it live after all, what it saves later is refused.
func (n *Namespace) reclaim(ctx context.Context, r *adapter.Record) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	if r.Node == n.server.cluster.ID() {
		return n.releaseHere(ctx, r.SocketID)
	}
	if n.server.silences.has(r.Node) {
		return fmt.Errorf("server: %w: it did not answer a moment ago", cluster.ErrNodeLost)
	}
	request := &adapter.Request{Action: adapter.ActionRelease, Rooms: []string{r.SocketID}}
	o := n.beginRequest(ctx, request)
	err := n.topic.AskNode(ctx, r.Node, request, func(*adapter.Response) {})
	o.end(err)
	if errors.Is(err, context.DeadlineExceeded) {
		n.server.silences.add(r.Node)
	}
	return err
}

// releaseHere is reclaim for a socket of this node.
func (n *Namespace) releaseHere(ctx context.Context, id string) error {
	s := n.standing(id)
	if s == nil {
		return nil
	}
	n.server.tasks.Go(s.supersede)
	return n.keeper.await(ctx, s)
}

// standing returns the socket with that id, if it has not ended or its record is not
// final, or nil. Others may be in the room of its id.
func (n *Namespace) standing(id string) *Socket {
	for _, s := range n.rooms.Select([]string{id}) {
		if s.id == id {
			return s
		}
	}
	return n.keeper.find(id)
}

// supersede ends the connection of a client that has come back on another one, s first.
func (s *Socket) supersede() {
	for _, socket := range append([]*Socket{s}, s.connection.sockets()...) {
		socket.connection.server.fanout.deafen(socket)
		socket.end(TransportClose)
	}
	s.connection.session.Close()
}

// serveRelease is releaseHere for another node, which asked this one alone.
func (n *Namespace) serveRelease(r *adapter.Request, answer func(*adapter.Response)) {
	if !n.isReady() || n.keeper == nil || len(r.Rooms) != 1 {
		answer(&adapter.Response{Done: true})
		return
	}
	id := r.Rooms[0]
	accepted := n.releases.run(n.server.tasks, 0, func() {
		ctx, cancel := context.WithTimeout(n.server.life, n.patience(r))
		defer cancel()
		if n.releaseHere(ctx, id) == nil { // else who has asked does not wait any more
			answer(&adapter.Response{Done: true})
		}
	})
	if !accepted {
		n.server.undeliverable.Add(1)
		n.server.log.Warn("request of another node dropped: too many wait", "namespace", clip(n.name))
	}
}
