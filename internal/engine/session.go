package engine

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Reason says why a session ended, in the words of the protocol.
type Reason string

// The reasons.
const (
	ReasonTransportError Reason = "transport error"
	ReasonTransportClose Reason = "transport close"
	ReasonForcedClose    Reason = "forced close"
	ReasonPingTimeout    Reason = "ping timeout"
	ReasonParseError     Reason = "parse error"
	ReasonShutdown       Reason = "server shutting down" // the engine was closed
)

var closeReasons = [...]Reason{
	ReasonTransportError, ReasonTransportClose, ReasonForcedClose, ReasonPingTimeout, ReasonParseError, ReasonShutdown,
}

// Errors that Send returns; test for them with errors.Is.
var (
	// ErrClosed means that the session has ended.
	ErrClosed = errors.New("engine: session is closed")
	// ErrSlowConsumer means that the send queue was full, and the session has
	// ended for it.
	ErrSlowConsumer = errors.New("engine: send queue is full")
)

// suspendAfter is how long a receiver may take before the client gets a new
// deadline for its pong, which may be waiting behind the message.
const suspendAfter = 100 * time.Millisecond

// Receiver is what a session's messages go to.
type Receiver interface {
	// Text is given one text message. Messages come one at a time, in the order in
	// which they were sent. data is valid during the call only. While it blocks,
	// nothing more is read from the session and its ping deadline is suspended.
	// An error closes the session with ReasonForcedClose.
	Text(data []byte) error
	// Binary is given one binary message, as Text is given a text.
	Binary(data []byte) error
	// Closed is called once, when the session has ended, in a goroutine of its
	// own: never from inside Send, Close or Text, and while a Text may still
	// block, which it may want to release. cause says more about reason, or is nil.
	Closed(reason Reason, cause error)
}

// receiverError is an error of a Receiver.
type receiverError struct{ err error }

func (e *receiverError) Error() string { return "engine: receiver: " + e.err.Error() }
func (e *receiverError) Unwrap() error { return e.err }

// Session is an Engine.IO session. It is safe for concurrent use.
type Session struct {
	engine    *Engine
	id        string
	handshake *Handshake
	receiver  Receiver // set once, with mu held, before a client can know the id

	// socket is the transport once that is a WebSocket; it is set once. Until
	// then polling is.
	socket atomic.Pointer[webSocket]
	beat   beat

	receiving atomic.Int32 // what suspends the ping deadline: a receiver has a message
	ended     atomic.Bool  // set with mu held, once

	mu      sync.Mutex // guards what follows
	polling polling
	early   *ending    // the session ended before it had a receiver
	probe   *webSocket // an upgrade is running on it
	probing bool       // one is running, or about to
	probed  bool       // the probe has been answered
	aborted bool       // no upgrade goes on any more
}

// ID returns the session's id, which is a secret of its client's.
func (s *Session) ID() string { return s.id }

// Handshake returns what is known of the request that opened the session.
func (s *Session) Handshake() *Handshake { return s.handshake }

// Receiver returns what the session's messages go to.
func (s *Session) Receiver() Receiver {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.receiver
}

// Transport returns "polling" or "websocket".
func (s *Session) Transport() string {
	if s.socket.Load() != nil {
		return transportWebSocket
	}
	return transportPolling
}

// Send sends m, or queues it for the transport. It does not block, and calls no
// code of the application. It fails with ErrClosed when the session has ended
// and with ErrSlowConsumer when m ends it because the queue is full. Messages of
// one goroutine arrive in the order of its calls.
func (s *Session) Send(m *Message) error {
	if s.ended.Load() {
		return ErrClosed // the socket may not know it yet
	}
	var err error
	if socket := s.socket.Load(); socket != nil {
		err = socket.send(m)
	} else {
		err = s.sendPolling(m)
	}
	if errors.Is(err, ErrSlowConsumer) {
		s.fail(ReasonTransportError, err)
	}
	return err
}

// SendVolatile sends m if the transport can take it at once: nothing waits for the
// client to read, or a polling request waits. It reports whether it did. With
// DropVolatile m may wait in the queue as well, unless that is full.
func (s *Session) SendVolatile(m *Message) bool {
	if s.ended.Load() {
		return false
	}
	if socket := s.socket.Load(); socket != nil {
		return socket.sendVolatile(m)
	}
	return s.sendVolatilePolling(m)
}

// QueuedBytes returns the length of the send queue in bytes.
func (s *Session) QueuedBytes() int {
	if socket := s.socket.Load(); socket != nil {
		socket.mu.Lock()
		defer socket.mu.Unlock()
		return socket.queued
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.polling.queued
}

// AwaitSendQueue blocks while more than half of the send queue's limit is used,
// until the session ends at the latest. Who answers a client's messages outside
// of its Receiver calls it before each answer: a client that sends faster than it
// reads is then slowed down, where it would be disconnected for a full queue.
func (s *Session) AwaitSendQueue() {
	for {
		if socket := s.socket.Load(); socket != nil {
			socket.awaitQueue()
			return
		}
		s.mu.Lock()
		if s.ended.Load() || s.polling.queued <= int(s.engine.options.MaxSendQueueBytes/2) {
			s.mu.Unlock()
			return
		}
		changed := s.polling.awaitChange()
		s.mu.Unlock()
		<-changed
	}
}

// Close ends the session with ReasonForcedClose. It does not block: what is
// queued is still written, for CloseTimeout at most, then a WebSocket gets a
// close frame; a polling client gets its close packet with the request that
// waits, or with the next one within 30 seconds. Closing twice is harmless.
func (s *Session) Close() { s.close(ReasonForcedClose) }

// close is Close for a reason.
func (s *Session) close(reason Reason) {
	if !s.end(reason, nil) {
		return
	}
	if socket := s.socket.Load(); socket != nil {
		socket.finish(closeFrame(websocket.CloseNormalClosure))
		return
	}
	s.closePolling()
}

// shutdown is Close for an engine that closes: no polling client finds its close
// packet later.
func (s *Session) shutdown() {
	if s.close(ReasonShutdown); s.socket.Load() != nil {
		return
	}
	s.mu.Lock()
	if s.polling.linger != nil {
		s.polling.linger.Stop()
	}
	probing := s.probing
	s.mu.Unlock()
	s.engine.forget(s)
	if !probing {
		return
	}
	// A client that has stopped polling would not hear of the end without its
	// upgrade; Close of the engine waits for the probe.
	time.AfterFunc(s.engine.closeTimeout(), s.abortProbe)
}

// fail ends the session and its connections at once.
func (s *Session) fail(reason Reason, cause error) {
	if !s.end(reason, cause) {
		return
	}
	if socket := s.socket.Load(); socket != nil {
		socket.abort()
		return
	}
	s.engine.forget(s)
	s.abortProbe()
	s.mu.Lock()
	s.polling.clear()
	s.polling.push(closeMessage)
	s.mu.Unlock()
}

// ending is why a session ended.
type ending struct {
	reason Reason
	cause  error
}

// end declares the session ended, for everyone but its transport, and reports
// whether it had not been before. A WebSocket session is forgotten now, a polling
// session by its caller.
func (s *Session) end(reason Reason, cause error) bool {
	s.mu.Lock()
	if s.ended.Load() {
		s.mu.Unlock()
		return false
	}
	s.ended.Store(true)
	started := s.receiver != nil
	if !started {
		s.early = &ending{reason, cause}
	}
	s.polling.releaseBody()
	s.polling.announce()
	s.mu.Unlock()

	s.engine.heartbeat.remove(s)
	if s.socket.Load() != nil {
		s.engine.forget(s)
	}
	if started {
		s.announce(ending{reason, cause})
	}
	return true
}

// begin gives the session its receiver and counts it in.
func (s *Session) begin(receiver Receiver) {
	e := s.engine
	e.work.Add(1) // until the receiver knows of the end; the request that opens the session is counted as well
	e.counters.countOpened(s.Transport())
	e.reclaim.count(e.counters.open())
	s.mu.Lock()
	s.receiver = receiver
	early := s.early
	s.mu.Unlock()
	if early != nil {
		s.announce(*early)
	}
}

// announce tells the receiver of the end and counts the session out.
func (s *Session) announce(end ending) {
	e := s.engine
	e.counters.gauge(s.Transport()).Add(-1)
	e.counters.countClosed(end)
	e.reclaim.count(e.counters.open())
	if end.cause != nil {
		e.options.Logger.Info("engine: session closed: "+string(end.reason), "cause", logged(end.cause))
	}
	e.work.Go(func() {
		defer e.work.Done()
		_ = e.guard(func() error { // a panic has been counted and logged
			s.receiver.Closed(end.reason, end.cause)
			return nil
		})
	})
}

// receive takes one message of the WebSocket protocol.
func (s *Session) receive(binary bool, data []byte) error {
	switch {
	case s.ended.Load():
		return nil // the client does not know it yet
	case binary:
		return s.deliver(s.receiver.Binary, data)
	}
	return s.receivePacket(data)
}

// receivePacket takes one packet that came as text. Also on a WebSocket that may
// be a binary message: some clients avoid binary frames.
func (s *Session) receivePacket(packet []byte) error {
	if len(packet) > 0 && packet[0] == binaryPrefix {
		data, err := decodeBinary(packet)
		if err != nil {
			return err
		}
		return s.deliver(s.receiver.Binary, data)
	}
	kind, payload, err := parsePacket(packet)
	switch {
	case err != nil:
		return err
	case kind == packetPong:
		s.engine.heartbeat.pong(s)
		return nil
	case kind == packetClose:
		return errClientClose
	}
	return s.deliver(s.receiver.Text, payload)
}

// deliver passes a message to the receiver's method.
func (s *Session) deliver(method func([]byte) error, data []byte) error {
	since := s.suspend()
	err := method(data)
	s.resume(since)
	if err != nil {
		return &receiverError{err}
	}
	return nil
}

// suspend keeps the session from timing out until resume.
func (s *Session) suspend() time.Time {
	s.receiving.Add(1)
	return time.Now()
}

func (s *Session) resume(since time.Time) {
	s.receiving.Add(-1)
	if time.Since(since) > suspendAfter {
		s.engine.heartbeat.renew(s)
	}
}
