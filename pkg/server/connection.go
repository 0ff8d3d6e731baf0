package server

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Violations close the connection of the client that committed them.
var (
	errNotJoined       = errors.New("server: packet for a namespace that was not joined")
	errJoinedTwice     = errors.New("server: CONNECT for a joined namespace")
	errConnectError    = errors.New("server: CONNECT_ERROR from a client")
	errConnectAttempts = errors.New("server: more CONNECT packets than MaxConnectAttempts")
	errEventsInFlight  = errors.New("server: more than twice MaxEventsInFlight while a handler waits for the client")
)

// connection is one client: its session, and its sockets, one per namespace. It
// receives what the session reads.
type connection struct {
	server  *Server
	session *engine.Session
	decoder packet.Reader

	mu          sync.Mutex
	main        *Socket            // of the namespace "/", which most clients only have
	others      map[string]*Socket // of other namespaces; nil until the first
	attempts    int                // CONNECT packets so far
	joined      int                // sockets that are connecting or connected
	closed      bool
	lonely      *time.Timer   // closes a client without a namespace
	attachments *time.Timer   // closes a client that owes attachments
	events      int           // received and not yet handled
	bytes       int64         // of these events
	awaits      int           // acknowledgements that handlers wait for
	room        chan struct{} // closed when the reader that waits for room may look again
}

// newConnection is called before the session's first byte leaves, so that nothing
// that a client sends is missed.
func (s *Server) newConnection(session *engine.Session) engine.Receiver {
	c := &connection{server: s, session: session, decoder: s.newReader()}
	c.lonely = c.closeAfter(s.options.ConnectTimeout, limitConnectTimeout)
	return c
}

// closeAfter closes the session when d is over, and counts that.
func (c *connection) closeAfter(d time.Duration, l limit) *time.Timer {
	return time.AfterFunc(d, func() {
		c.server.hit(l)
		c.session.Close()
	})
}

// Text implements engine.Receiver.
func (c *connection) Text(data []byte) error { return c.judge(c.text(data)) }

// Binary implements engine.Receiver.
func (c *connection) Binary(data []byte) error { return c.judge(c.binary(data)) }

func (c *connection) text(data []byte) error {
	p, complete, err := c.decoder.Text(data)
	if err != nil {
		return err
	}
	if !complete {
		if c.socket(p.Namespace) == nil {
			return errNotJoined
		}
		c.awaitAttachments()
		return nil
	}
	p.Data = p.Data.Clone() // the engine reuses its memory
	return c.receive(p)
}

func (c *connection) binary(data []byte) error {
	p, complete, err := c.decoder.Binary(data)
	if err != nil || !complete {
		return err
	}
	c.mu.Lock()
	if c.attachments != nil {
		c.attachments.Stop()
	}
	c.mu.Unlock()
	return c.receive(p)
}

func (c *connection) awaitAttachments() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return // while this packet was read; nobody would stop the timer
	}
	if c.attachments == nil {
		c.attachments = c.closeAfter(c.server.options.AttachmentTimeout, limitAttachmentTimeout)
	} else {
		c.attachments.Reset(c.server.options.AttachmentTimeout)
	}
}

// receive acts on a packet. An error closes the connection: the client broke the
// protocol.
func (c *connection) receive(p packet.Packet) error {
	if p.Type == packet.Connect {
		return c.connect(p)
	}
	s := c.socket(p.Namespace)
	if s == nil || s.state.Load() == connecting {
		return errNotJoined
	}
	switch p.Type {
	case packet.Disconnect:
		c.drop(s, true)
		c.server.fanout.deafen(s)
		s.end(ClientDisconnect)
	case packet.Event:
		if !s.Connected() {
			return nil // sent before the client knew that the server had ended it
		}
		if err := c.admit(packetSize(&p)); err != nil {
			return err
		}
		s.put(p)
	case packet.Ack:
		s.answered(p)
	default:
		return errConnectError
	}
	return nil
}

// socket returns the client's socket of a namespace, or nil. One that the server
// disconnected stays until the client connects again, since packets may be on
// their way.
func (c *connection) socket(namespace string) *Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.find(namespace)
}

func (c *connection) find(namespace string) *Socket {
	if isMain(namespace) {
		return c.main
	}
	return c.others[namespace]
}

// keep notes s as the client's socket of a namespace; nil forgets it.
func (c *connection) keep(namespace string, s *Socket) {
	switch {
	case isMain(namespace):
		c.main = s
	case s == nil:
		delete(c.others, namespace)
	default:
		if c.others == nil {
			c.others = make(map[string]*Socket)
		}
		c.others[namespace] = s
	}
}

// drop uncounts s, and forgets it when the client itself has left. A client that
// is then in no namespace has a while to join another.
func (c *connection) drop(s *Socket, forget bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if forget && c.find(s.requested) == s {
		c.keep(s.requested, nil)
	}
	if s.dropped {
		return
	}
	s.dropped = true
	if c.joined--; c.joined == 0 && !c.closed && c.lonely == nil {
		c.lonely = c.closeAfter(c.server.options.ConnectTimeout, limitConnectTimeout)
	}
}

// settled ends the wait for a first namespace, unless the client is out of it again.
func (c *connection) settled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lonely != nil && c.joined > 0 {
		c.lonely.Stop()
		c.lonely = nil
	}
}

// sockets returns the client's sockets.
func (c *connection) sockets() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*Socket, 0, 1+len(c.others))
	if c.main != nil {
		all = append(all, c.main)
	}
	for _, s := range c.others {
		all = append(all, s)
	}
	return all
}

// disconnect takes the client out of all its namespaces, in order with all that
// was emitted before, and closes the session. asked may have left already.
func (c *connection) disconnect(asked *Socket) {
	for _, s := range c.sockets() {
		s.leave()
	}
	_ = asked.write(delivery{one: asked, close: true})
}

// Closed implements engine.Receiver. It may run while Text waits for room.
func (c *connection) Closed(reason engine.Reason, cause error) {
	c.mu.Lock()
	c.closed = true
	for _, timer := range []*time.Timer{c.lonely, c.attachments} {
		if timer != nil {
			timer.Stop()
		}
	}
	c.wakeReader()
	c.mu.Unlock()
	why := DisconnectReason(reason)
	if cause != nil {
		c.server.log.Debug("connection closed", "session", c.session.Handshake().RemoteAddr, "reason", why, "error", cause)
	}
	for _, s := range c.sockets() {
		s.connection.server.fanout.deafen(s)
		s.end(why)
	}
}

// admit counts an event that waits for its handler. At the limit it waits: nothing
// more is read from this client. But the answer that a handler waits for would be
// behind what is not read, so then twice as much may wait.
func (c *connection) admit(size int64) error {
	c.mu.Lock()
	waited := false
	for !c.closed && c.full(1) {
		if c.awaits > 0 {
			if c.full(2) {
				c.mu.Unlock()
				return errEventsInFlight
			}
			break
		}
		wait := make(chan struct{})
		c.room = wait
		c.mu.Unlock()
		if !waited {
			waited = true
			c.server.hit(limitEventsInFlight)
		}
		<-wait
		c.mu.Lock()
	}
	c.events++
	c.bytes += size
	c.mu.Unlock()
	return nil
}

func (c *connection) full(times int) bool {
	o := &c.server.options
	return c.events >= times*o.MaxEventsInFlight || c.bytes >= int64(times)*o.MaxEventBytesInFlight
}

// release counts an event as handled.
func (c *connection) release(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events--
	c.bytes -= size
	c.wakeReader()
}

// awaited counts w if it is a Call, for which a handler may wait. A CallAll concerns
// clients whose handlers know nothing of it, and has an end without their answers.
func (c *connection) awaited(w waiter, n int) {
	if _, call := w.(single); !call {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaits += n
	c.wakeReader()
}

func (c *connection) wakeReader() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

func isMain(namespace string) bool { return namespace == "" || namespace == packet.DefaultNamespace }

// clip makes text that a client may have written, or an application made of such
// text, fit for a log line.
func clip(text string) string {
	const most = 256
	if len(text) > most {
		text = text[:most]
	}
	return fmt.Sprintf("%q", text)
}
