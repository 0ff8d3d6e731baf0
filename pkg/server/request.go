package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// fetchedAtOnce bounds the sockets in one answer to another node, so that no
// answer is larger than a backend carries.
const fetchedAtOnce = 1000

// maxPatience bounds how long this node works on what another one asks for: clients
// owe acknowledgements so long, and the other may have made up its time.
const maxPatience = time.Hour

// serve does what another node asks for. It is called by the adapter, in order
// with that node's broadcasts, and so everything that may wait has a goroutine of
// its own.
func (n *Namespace) serve(r *adapter.Request, answer func(*adapter.Response)) {
	b := Broadcast{namespace: n, rooms: r.Rooms, except: r.Except, volatile: r.Volatile, uncompressed: r.Uncompressed}
	switch r.Action {
	case adapter.ActionJoin:
		n.serveJoin(r, b, answer)
	case adapter.ActionLeave:
		sockets := n.local(b)
		leaveAll(sockets, r.Targets)
		answer(&adapter.Response{Done: true, Receivers: len(sockets)})
	case adapter.ActionDisconnect:
		sockets := n.local(b)
		disconnectAll(sockets, r.Close)
		answer(&adapter.Response{Done: true, Receivers: len(sockets)})
	case adapter.ActionFetch:
		n.serveFetch(r, n.local(b), answer)
	case adapter.ActionRooms:
		answer(&adapter.Response{Done: true, Rooms: n.rooms.Names()})
	case adapter.ActionEvent:
		n.serveEvent(r, answer)
	case adapter.ActionCall:
		n.serveCall(r, b, answer)
	case adapter.ActionRelease:
		n.serveRelease(r, answer)
	}
}

// serveJoin answers when broadcasts of other nodes will arrive in the rooms.
func (n *Namespace) serveJoin(r *adapter.Request, b Broadcast, answer func(*adapter.Response)) {
	sockets := n.local(b)
	joined, err := joinAll(sockets, r.Targets)
	if err != nil {
		n.server.log.Warn("join for another node", "namespace", clip(n.name), "error", clip(err.Error()))
	}
	if joined == 0 {
		answer(&adapter.Response{Done: true})
		return
	}
	n.noteRooms(r.Targets)
	n.server.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(n.server.life, n.patience(r))
		defer cancel()
		if err := n.interest.announce(ctx, r.Targets); err != nil {
			n.server.log.Warn("join for another node", "namespace", clip(n.name), "error", err)
		}
		answer(&adapter.Response{Done: true, Receivers: joined})
	})
}

// noteRooms tells the adapter of rooms without waiting: what the asking node emits to
// them next may follow at once.
func (n *Namespace) noteRooms(rooms []string) {
	ctx, cancel := context.WithCancel(n.server.base)
	cancel()
	for _, room := range rooms {
		_ = n.topic.RoomOccupied(ctx, room) // announce will wait for it
	}
}

// patience is how long the node that asked will wait, within reason.
func (n *Namespace) patience(r *adapter.Request) time.Duration {
	if r.Timeout > 0 {
		return min(r.Timeout, maxPatience)
	}
	return n.server.options.RequestTimeout
}

// local returns the sockets of this node that b selects. The slice is shared.
func (n *Namespace) local(b Broadcast) []*Socket {
	receivers, except := n.resolve(b.selected(), b.except)
	if except.one == nil && except.many == nil {
		return receivers
	}
	var rest []*Socket
	for _, s := range receivers {
		if !except.has(s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// joinAll makes sockets members of rooms on this node, and says how many became it
// and why the first of the others did not.
func joinAll(sockets []*Socket, rooms []string) (joined int, first error) {
	if len(sockets) == 0 {
		return 0, nil
	}
	if limit := sockets[0].connection.server.options.MaxRoomsPerSocket; exceeds(len(rooms), limit) {
		// What is too much for each is found once, not by each: another node may have
		// sent any number.
		var ok bool
		if rooms, ok = distinct(rooms, limit+1); !ok { // one may be a socket's own
			sockets[0].connection.server.hit(limitRoomsPerSocket)
			return 0, fmt.Errorf("%w: at most %d", ErrTooManyRooms, limit)
		}
	}
	for _, s := range sockets {
		err := s.enter(rooms)
		switch {
		case err == nil:
			joined++
		case first == nil && s.Connected(): // who has gone meanwhile is not selected
			first = err
		}
	}
	return joined, first
}

// distinct returns names without repetitions, and false as soon as there are more
// than most.
func distinct(names []string, most int) (unique []string, ok bool) {
	seen := make(map[string]struct{})
	for _, name := range names {
		if _, again := seen[name]; again {
			continue
		}
		if len(unique) == most {
			return nil, false
		}
		seen[name] = struct{}{}
		unique = append(unique, name)
	}
	return unique, true
}

// manyRooms is from when on it is quicker to look at what rooms a socket has.
const manyRooms = 100

func leaveAll(sockets []*Socket, rooms []string) {
	if len(rooms) > manyRooms {
		leaveMany(sockets, rooms)
		return
	}
	for _, s := range sockets {
		s.Leave(rooms...)
	}
}

// leaveMany looks rooms up among those that sockets have, which are fewer as a rule: a
// set of all of them would cost more than leaving does.
func leaveMany(sockets []*Socket, rooms []string) {
	leaves := make(map[string]bool) // the rooms of sockets
	for _, s := range sockets {
		for _, room := range s.Rooms() {
			leaves[room] = false
		}
	}
	for _, room := range rooms {
		if _, had := leaves[room]; had {
			leaves[room] = true
		}
	}
	for _, s := range sockets {
		s.Leave(slices.DeleteFunc(s.Rooms(), func(room string) bool { return !leaves[room] })...)
	}
}

func disconnectAll(sockets []*Socket, close bool) {
	for _, s := range sockets {
		s.expel(close)
	}
}

// serveFetch describes sockets after those that were asked for before: a description
// may be long, and so only one answer at a time takes memory. Who has waited in vain
// is not answered, and nobody is while the server ends.
func (n *Namespace) serveFetch(r *adapter.Request, sockets []*Socket, answer func(*adapter.Response)) {
	whole, late := r.Whole, time.Now().Add(n.patience(r))
	accepted := n.fetches.add(n.server.tasks, func() {
		if n.server.life.Err() == nil && time.Now().Before(late) {
			describeAll(sockets, whole, answer)
		}
	})
	if !accepted {
		n.server.undeliverable.Add(1)
		n.server.log.Warn("request of another node dropped: too many wait", "namespace", clip(n.name))
	}
}

// describeAll answers with what is known of sockets, in parts unless the asking
// node takes a whole answer only.
func describeAll(sockets []*Socket, whole bool, answer func(*adapter.Response)) {
	for {
		n := len(sockets)
		if !whole {
			n = min(n, fetchedAtOnce)
		}
		part := &adapter.Response{Done: n == len(sockets), Receivers: n, Sockets: describe(sockets[:n])}
		answer(part)
		if sockets = sockets[n:]; part.Done {
			return
		}
	}
}

// describe says what other nodes may know of sockets.
func describe(sockets []*Socket) []adapter.Socket {
	all := make([]adapter.Socket, 0, len(sockets))
	for len(all) < len(sockets) { // once, unless the encoding of data ends the goroutine
		sockets[0].connection.server.tasks.await(func() {
			for len(all) < len(sockets) {
				s := sockets[len(all)]
				all = append(all, adapter.Socket{
					ID: s.id, Rooms: s.Rooms(), Handshake: s.connection.session.Handshake().AppendJSON(nil, s.auth),
				})
				all[len(all)-1].Data = s.encodeData()
			}
		})
	}
	return all
}

// encodeData returns the JSON of what is attached to s. What has none is left out, and
// so is null: programs in JavaScript look into the data without asking. The program's
// own methods may run, and end the goroutine.
func (s *Socket) encodeData() (value []byte) {
	s.guard("data", func() error {
		encoded, err := s.data.Load().encode()
		if err != nil {
			s.connection.server.log.Warn("data of a socket has no JSON form", "namespace", clip(s.requested), "socket", s.id, "error", clip(err.Error()))
		}
		if encoded.Kind() != 'n' {
			value = encoded
		}
		return nil
	})
	return value
}
