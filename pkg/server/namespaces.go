package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Of returns the namespace of that name, making it when it does not exist; a
// slash is added in front if missing. The patterns of OfFunc are asked first: the
// namespace that one of them accepts has its handlers. Either way it stays for
// good. Of panics for a name that cannot be one (longer than MaxNamespaceLength,
// or with a comma): names in a program's text are constants. A new namespace joins
// the adapter's topic of its name, for which Of waits 1 s at most.
func (s *Server) Of(name string) *Namespace {
	if name == "" || name[0] != '/' {
		name = "/" + name
	}
	if !validNamespace(name, s.options.MaxNamespaceLength) {
		panic(fmt.Errorf("%w: %q", ErrNamespace, name))
	}
	if n := s.find(name); n != nil {
		<-n.ready
		return n
	}
	parent := s.patternOf(name)
	s.mu.Lock()
	n, known := s.namespaces[name]
	if !known {
		n = s.add(name, parent)
	}
	n.hold()
	s.mu.Unlock()
	if !known {
		n.join(s.base)
	}
	<-n.ready
	return n
}

// Namespaces returns the namespaces that this node has at the moment, sorted by name:
// those of Of, and those that patterns were asked for. Patterns themselves are not among
// them. It waits for none to join the adapter, unlike Of.
func (s *Server) Namespaces() []*Namespace {
	s.mu.RLock()
	all := slices.Collect(maps.Values(s.namespaces))
	s.mu.RUnlock()
	all = slices.DeleteFunc(all, func(n *Namespace) bool { return !n.isReady() })
	slices.SortFunc(all, func(a, b *Namespace) int { return strings.Compare(a.name, b.name) })
	return all
}

// patternOf returns the pattern that accepts name for the program itself, or nil.
func (s *Server) patternOf(name string) *Namespace {
	s.mu.RLock()
	patterns := s.patterns
	s.mu.RUnlock()
	for _, parent := range patterns {
		if parent.pattern.match(s.base, name, &Handshake{Handshake: &engine.Handshake{}}) {
			return parent
		}
	}
	return nil
}

// add makes a namespace, of a pattern unless parent is nil. The caller holds mu.
func (s *Server) add(name string, parent *Namespace) *Namespace {
	n := newNamespace(s, name, newHandlers(), nil)
	if parent != nil {
		n.handlers, n.pattern = parent.handlers, parent.pattern
		n.pattern.add(n)
		s.dynamic++
	}
	s.namespaces[name] = n
	return n
}

// OfFunc returns a pattern: a namespace that stands for all those whose names
// match accepts. It is asked, in the order of registration, when a client
// connects to a namespace that does not exist, with that client's handshake; ctx
// ends when the client goes. Of asks it too, with a handshake of no client, in
// which everything is empty. The namespace made then has the pattern's handlers;
// without sockets it is removed after 60 s. What is emitted to a pattern goes to
// all its namespaces of this moment that this node has.
func (s *Server) OfFunc(match func(ctx context.Context, name string, h *Handshake) bool) *Namespace {
	p := &pattern{match: match, children: make(map[string]*Namespace)}
	n := newNamespace(s, "", newHandlers(), p)
	close(n.ready)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patterns = append(s.patterns, n)
	return n
}

// To selects the sockets of the namespace "/" that are in any of rooms.
func (s *Server) To(rooms ...string) Broadcast { return s.Of(packet.DefaultNamespace).To(rooms...) }

// Emit sends event to all sockets of the namespace "/". See Broadcast.Emit.
func (s *Server) Emit(event string, args ...any) error {
	return s.Of(packet.DefaultNamespace).Emit(event, args...)
}

// find returns the namespace of that name, held for one socket, or nil.
func (s *Server) find(name string) *Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.namespaces[name]
	if n != nil {
		n.hold()
	}
	return n
}

// namespaceFor returns the namespace that a client asks for, held for its socket.
func (s *Server) namespaceFor(socket *Socket) (*Namespace, error) {
	if n := s.find(socket.requested); n != nil {
		return n, nil
	}
	s.mu.RLock()
	patterns := s.patterns
	s.mu.RUnlock()
	for _, parent := range patterns {
		accepted := false
		socket.guard("namespace", func() error {
			accepted = parent.pattern.match(socket.Context(), socket.requested, socket.Handshake())
			return nil
		})
		if accepted {
			return s.child(parent, socket.requested)
		}
	}
	return nil, errInvalidNamespace
}

// child returns the pattern's namespace of that name, held, making it if need be.
func (s *Server) child(parent *Namespace, name string) (*Namespace, error) {
	s.mu.Lock()
	n := s.namespaces[name]
	fresh := n == nil
	if fresh {
		if exceeds(s.dynamic+1, s.options.MaxDynamicNamespaces) {
			s.mu.Unlock()
			s.hit(limitDynamicNamespaces)
			return nil, &ConnectError{Message: "too many namespaces"}
		}
		n = s.add(name, parent)
	}
	n.hold()
	s.mu.Unlock()
	if fresh {
		n.join(s.base)
	}
	<-n.ready
	return n, nil
}

// expire removes a dynamic namespace that stayed empty.
func (s *Server) expire(n *Namespace) {
	s.mu.Lock()
	// A timer that fired while a client came and went finds another timer running,
	// which then finds n removed, and perhaps the next namespace of that name.
	unused := s.namespaces[n.name] == n && n.unused() && !s.closing.Load()
	if unused {
		delete(s.namespaces, n.name)
		n.pattern.remove(n)
		s.dynamic--
	}
	s.mu.Unlock()
	if unused {
		s.tasks.Go(n.close)
	}
}

// hold counts what uses n: a socket, from before its middlewares run, or a call
// of Of, which never ends.
func (n *Namespace) hold() {
	if n.pattern == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.users++
	if n.expiry != nil {
		n.expiry.Stop()
		n.expiry = nil
	}
}

func (n *Namespace) release() {
	if n.pattern == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.users--; n.users == 0 && !n.server.closing.Load() {
		n.expiry = time.AfterFunc(n.emptyLife(), func() { n.server.expire(n) })
	}
}

// emptyLife is how long n stays without users: at least as long as one may recover.
func (n *Namespace) emptyLife() time.Duration {
	if r := n.server.options.Recovery; r != nil {
		return max(emptyNamespaceLife, r.MaxDisconnectionDuration)
	}
	return emptyNamespaceLife
}

// unused says whether n's life without users is over. Nobody can come to hold it
// while the server's lock is held.
func (n *Namespace) unused() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.users == 0 && n.expiry != nil
}

func (p *pattern) add(n *Namespace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.children[n.name] = n
}

func (p *pattern) remove(n *Namespace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.children, n.name)
}

func (p *pattern) namespaces() []*Namespace {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*Namespace, 0, len(p.children))
	for _, child := range p.children {
		all = append(all, child)
	}
	return all
}
