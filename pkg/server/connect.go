package server

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/packet"
)

// errorPayload is the payload of a CONNECT_ERROR packet.
type errorPayload struct {
	Message string         `json:"message"`
	Data    jsontext.Value `json:"data,omitzero"`
}

var (
	errInvalidNamespace = &ConnectError{Message: "Invalid namespace"}
	errInternal         = &ConnectError{Message: "internal error"}
)

// connect lets the client into a namespace. What may wait (a namespace that is
// being made, middlewares, handlers) runs in the new socket's own goroutine. See
// Socket.IO v5, "Connection to a namespace".
func (c *connection) connect(p packet.Packet) error {
	s, err := c.newSocket(p)
	if err != nil {
		return err
	}
	if s == nil {
		return nil
	}
	n := c.server.find(s.requested)
	r := s.beginConnect(n)
	if n != nil && n.isReady() && n.handlers.current.Load().immediate() && s.recovery == nil {
		err := error(errGone)
		if s.enterNamespace(n) && s.accept() {
			err = nil
		}
		s.endConnect(r, err)
		return nil
	}
	s.mu.Lock()
	s.wake()
	s.mu.Unlock()
	if n != nil && s.comesBack() { // no code of the program runs before it has what it missed
		c.server.doorway.enter(func(leave func()) { s.introduce(n, r, leave) })
	} else {
		c.server.tasks.Go(func() { s.introduce(n, r, func() {}) })
	}
	return nil
}

// newSocket makes the socket of a CONNECT packet. It returns nil when the client
// was refused, and an error when it broke the protocol.
func (c *connection) newSocket(p packet.Packet) (*Socket, error) {
	name := p.Namespace
	if isMain(name) {
		name = packet.DefaultNamespace
	}
	o := &c.server.options
	c.mu.Lock()
	c.attempts++
	attempts, joined, known, closed := c.attempts, c.joined, c.find(name), c.closed
	c.mu.Unlock()
	switch {
	case exceeds(attempts, o.MaxConnectAttempts):
		return nil, errConnectAttempts
	case known != nil && known.state.Load() != disconnected:
		return nil, errJoinedTwice
	case closed:
		return nil, nil
	case !validNamespace(name, o.MaxNamespaceLength):
		if len(name) > o.MaxNamespaceLength {
			c.server.hit(limitNamespaceLength)
		}
		return nil, c.refuse(name, errInvalidNamespace)
	case exceeds(joined+1, o.MaxNamespacesPerConnection):
		c.server.hit(limitNamespacesPerConnection)
		return nil, c.refuse(name, &ConnectError{Message: "too many namespaces"})
	}
	s := &Socket{id: c.server.newID(), requested: name, connection: c}
	credentials, auth := cutCredentials(p.Data) // of a server with recovery, maybe another one
	s.auth = auth
	if o.Recovery != nil {
		s.recovery = new(recovery)
		if credentials.complete() {
			s.recovery.comeback = &comeback{credentials: credentials}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil
	}
	c.keep(name, s)
	c.joined++
	return s, nil
}

// introduce finds the socket's namespace unless n is it, asks its middlewares,
// accepts the client and goes on as the socket's goroutine. It calls restored before it
// asks, or ends.
func (s *Socket) introduce(n *Namespace, r *running, restored func()) {
	err, unwelcome := errExit, error(nil)
	defer func() { // also when a handler has ended the goroutine
		restored()
		s.endConnect(r, errors.Join(err, unwelcome))
		if err != nil {
			s.reject(err)
		} else {
			s.run()
		}
	}()
	if err = s.admit(n, restored); err != nil {
		return
	}
	for _, handle := range s.namespace.handlers.current.Load().connect {
		s.refused, unwelcome = true, errUnwelcome // unless handle says otherwise
		if !s.guard("connect", func() error { return handle(s.Context(), s) }) {
			s.Disconnect(false)
			return
		}
		s.refused, unwelcome = false, nil
	}
}

// errExit means that a middleware has ended its goroutine.
var errExit = errors.New("server: middleware called runtime.Goexit")

// errUnwelcome means that a handler of OnConnect has failed.
var errUnwelcome = errors.New("server: handler of OnConnect failed")

// errGone means that the client went, or was disconnected, while it was connecting.
var errGone = &ConnectError{Message: "disconnected"}

func (s *Socket) admit(n *Namespace, restored func()) error {
	if n == nil {
		var err error
		if n, err = s.connection.server.namespaceFor(s); err != nil {
			return err
		}
	}
	<-n.ready
	if !s.enterNamespace(n) {
		return errGone
	}
	c := s.restore()
	restored()
	if c == nil || !s.connection.server.options.Recovery.SkipMiddlewares {
		if err := s.askMiddlewares(); err != nil {
			return err
		}
	}
	if c != nil {
		return s.reconnect(c)
	}
	if !s.accept() {
		return errGone
	}
	return nil
}

// enterNamespace binds s to n, which is held for it, and says whether the client
// is still there.
func (s *Socket) enterNamespace(n *Namespace) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == disconnected {
		n.release()
		return false
	}
	s.namespace = n
	return true
}

func (s *Socket) askMiddlewares() error {
	for _, ask := range s.namespace.handlers.current.Load().middlewares {
		err := errors.New("server: middleware panicked")
		s.guard("middleware", func() error {
			err = ask(s.Context(), s)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// accept connects the client, and says false when it has gone meanwhile. A client
// that has the reply gets everything from then on, and nothing before: so its
// reply takes a place in the fan-out queue in one step with the socket's becoming
// connected.
func (s *Socket) accept() bool {
	if n := s.namespace; n.topic != nil && n.topic.IDsAreRooms() {
		s.claimRoom()
		n.interest.note(n.server.base, s.id)
	}
	s.connection.settled()
	m, err := s.connectReply()
	return err == nil && s.connection.server.fanout.addIf(delivery{one: s, message: m}, s.register)
}

// connectReply returns the answer to CONNECT.
func (s *Socket) connectReply() (*engine.Message, error) {
	data := jsontext.Value(`{"sid":"` + s.id + `"}`)
	if s.recovery != nil && s.recovery.privateID != "" {
		data = jsontext.Value(`{"sid":"` + s.id + `","pid":"` + s.recovery.privateID + `"}`)
	}
	return s.connection.server.encode(&packet.Packet{Type: packet.Connect, Namespace: s.namespace.name, Data: data}, false)
}

// reject refuses the client; it may try again on the same connection.
func (s *Socket) reject(err error) {
	s.end(ServerDisconnect)
	s.connection.drop(s, true)
	s.mu.Lock()
	s.running, s.rooms = false, nil
	s.mu.Unlock()
	told := false
	defer func() {
		if !told {
			_ = s.connection.refuse(s.requested, errInternal)
		}
	}()
	told = s.guard("refusal", func() error { // err is the program's, and so are its methods and those of its data
		return s.connection.refuse(s.requested, err)
	})
}

// refuse answers a CONNECT packet with CONNECT_ERROR. Only errors that were made
// for the client show their text.
func (c *connection) refuse(namespace string, err error) error {
	var payload errorPayload
	var known *ConnectError
	if !errors.As(err, &known) {
		c.server.log.Warn("connection to namespace refused", "namespace", clip(namespace), "error", clip(err.Error()))
		known = errInternal
	}
	payload.Message = known.Message
	if known.Data != nil {
		data, err := packet.MarshalValue(known.Data)
		if err != nil {
			c.server.log.Error("data of a ConnectError is not sent", "namespace", clip(namespace), "error", err)
		}
		payload.Data = data
	}
	data, err := packet.MarshalValue(payload)
	if err != nil {
		return fmt.Errorf("server: encode refusal: %w", err)
	}
	m, err := c.server.encode(&packet.Packet{Type: packet.ConnectError, Namespace: namespace, Data: data}, false)
	if err != nil {
		return err
	}
	_ = c.session.Send(m)
	return nil
}
