package adminui

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// How much one node shows, however much there is.
const (
	maxSockets = 1000
	maxEvents  = 500 // between two reports
	// maxFollowed bounds the namespaces whose events are shown, of all that ever were.
	maxFollowed = 1000
)

// feed follows what Options.Development shows: it looks at the node's sockets now and then
// and tells what has changed. Only the goroutine of Run uses known.
type feed struct {
	known map[string]socket // by id

	mu       sync.Mutex
	followed map[string]bool // namespaces whose handlers are registered
	awake    bool            // somebody looks
	events   []event
}

// event is something that a client or the program has sent.
type event struct {
	kind          string // the name of what the page is told
	namespace, id string
	args          []any // the event's name first
	at            time.Time
}

func newFeed() *feed {
	return &feed{known: make(map[string]socket), followed: make(map[string]bool)}
}

// follow tells what has changed since the last look.
func (f *feed) follow(u *UI) {
	sockets := f.look(u)
	f.mu.Lock()
	events, first := f.events, !f.awake
	f.events, f.awake = nil, true
	f.mu.Unlock()
	if first { // whoever looks gets all sockets
		f.known = sockets
		return
	}
	now := time.Now()
	for id, before := range f.known {
		if _, still := sockets[id]; !still {
			u.tell("socket_disconnected", before.Namespace, id, before.whyGone(), now)
		}
	}
	for id, s := range sockets {
		if before, known := f.known[id]; known {
			s.tellChanges(u, before, now)
		} else {
			u.tell("socket_connected", s, now)
		}
	}
	f.known = sockets
	for _, e := range events {
		u.mention(e.kind, e.namespace, e.id, e.args, e.at)
	}
}

// look describes the node's sockets, up to maxSockets: those that were known before all
// others, so that none comes and goes because of the limit.
func (f *feed) look(u *UI) map[string]socket {
	sockets := make(map[string]socket, len(f.known))
	var fresh []*server.Socket
	for _, n := range u.shown() {
		f.register(u, n)
		for _, s := range n.Sockets() {
			if _, known := f.known[s.ID()]; known {
				sockets[s.ID()] = newSocket(s)
			} else {
				fresh = append(fresh, s)
			}
		}
	}
	for _, s := range fresh {
		if len(sockets) >= maxSockets {
			break
		}
		sockets[s.ID()] = newSocket(s)
	}
	return sockets
}

// sockets are those that pages know of.
func (f *feed) sockets() []socket {
	all := make([]socket, 0, len(f.known))
	for _, s := range f.known {
		all = append(all, s)
	}
	return all
}

// rest forgets everything while nobody looks.
func (f *feed) rest() {
	f.known = make(map[string]socket)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.awake, f.events = false, nil
}

// register has the namespace's events noted, from the first time that somebody looks. The
// namespaces of a pattern share their handlers, so each one's tell for its own sockets only.
func (f *feed) register(u *UI, n *server.Namespace) {
	name := n.Name()
	f.mu.Lock()
	leave := f.followed[name] || len(f.followed) >= maxFollowed
	if !leave {
		f.followed[name] = true
	}
	f.mu.Unlock()
	if leave {
		return
	}
	if name == u.options.Namespace {
		return // what pages hear must not be told to them again
	}
	n.OnAny(func(_ context.Context, s *server.Socket, event string, args server.Args) error {
		f.note("event_received", name, s, event, args)
		return nil
	})
	n.OnAnyOutgoing(func(s *server.Socket, event string, args server.Args) { f.note("event_sent", name, s, event, args) })
}

// note keeps an event for the next report, unless there are too many.
func (f *feed) note(kind, namespace string, s *server.Socket, name string, args server.Args) {
	if s.Namespace().Name() != namespace {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.awake || len(f.events) >= maxEvents {
		return
	}
	e := event{kind: kind, namespace: namespace, id: s.ID(), args: []any{name}, at: time.Now()}
	for i := range args.Len() {
		e.args = append(e.args, shownValue(args.At(i).Value))
	}
	f.events = append(f.events, e)
}

// maxShownBytes is the size of the largest argument that is shown.
const maxShownBytes = 4 << 10

// shownValue is an argument as the page shows it, with placeholders for binary parts.
func shownValue(value []byte) any {
	switch {
	case value == nil:
		return nil
	case len(value) > maxShownBytes:
		return "(too long to be shown)"
	}
	return json.RawMessage(slices.Clone(value))
}
