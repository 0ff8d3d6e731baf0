package engine

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// errPanic marks a panic that was recovered.
var errPanic = errors.New("engine: panic")

// Engine is an http.Handler that serves Engine.IO requests, whatever their path.
// It is safe for concurrent use.
type Engine struct {
	options    Options
	accept     func(*Session) Receiver
	upgrader   websocket.Upgrader
	heartbeat  heartbeat
	counters   counters
	refusalLog logLimit
	rate       *bucket // nil: handshakes come at any rate

	// work counts requests, open sessions, and the goroutines of both.
	work sync.WaitGroup

	mu       sync.RWMutex        // guards what follows
	sessions map[string]*Session // a nil session reserves its id
	closing  bool
}

// New returns an Engine. accept is called for each session, concurrently and
// before the client is told of it, so that nothing it sends can be missed; what
// it sends to the session leaves after the open packet. An error of New names
// the option that is wrong.
func New(options Options, accept func(*Session) Receiver) (*Engine, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{options: o, accept: accept, sessions: map[string]*Session{}}
	e.heartbeat.init(&e.options)
	if o.MaxHandshakesPerSecond > 0 {
		e.rate = newBucket(o.MaxHandshakesPerSecond)
	}
	e.upgrader = websocket.Upgrader{
		HandshakeTimeout:  o.WriteTimeout,
		ReadBufferSize:    256, // the smallest that the library's own needs allow; frameConn has the big ones
		WriteBufferSize:   256, // nothing is written through the library but the response and control frames
		WriteBufferPool:   &sync.Pool{},
		CheckOrigin:       func(*http.Request) bool { return true }, // CORS was asked before
		EnableCompression: o.PerMessageDeflate != nil,
	}
	return e, nil
}

// ServeHTTP answers one request: a handshake, a poll, a payload or an upgrade.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.enter() {
		e.refuse(w, r, refuseClosing)
		return
	}
	defer e.work.Done()
	err := e.guard(func() error {
		e.serve(w, r)
		return nil
	})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError) // without effect if an answer has begun
	}
}

// enter counts a request in, unless the engine is closing.
func (e *Engine) enter() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if !e.closing {
		e.work.Add(1)
	}
	return !e.closing
}

func (e *Engine) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if e.options.Headers != nil {
		e.options.Headers(w.Header(), r)
	}
	if !e.options.CORS.allows(r) {
		e.refuse(w, r, refuseOrigin)
		return
	}
	e.options.CORS.setHeaders(w.Header(), r)
	if e.options.CORS != nil && r.Method == http.MethodOptions {
		e.options.CORS.preflight(w, r)
		return
	}
	query := r.URL.Query()
	transport, id := query.Get("transport"), query.Get("sid")
	s := e.session(id)
	switch refusal := e.verify(r, transport, id, s); {
	case refusal != nil:
		e.refuse(w, r, refusal)
	case id == "":
		e.open(w, r, transport)
	case isUpgrade(r):
		e.serveUpgrade(w, r, s)
	default:
		s.servePolling(w, r)
	}
}

// isUpgrade says whether a request wants to become a WebSocket.
func isUpgrade(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// verify returns why a request is refused, or nil. The order of the checks is
// the protocol's.
func (e *Engine) verify(r *http.Request, transport, id string, s *Session) *Refusal {
	upgrade := isUpgrade(r)
	switch {
	case !e.options.has(transport):
		return refuseTransport
	case !validHeader(r.Header.Get("Origin")):
		return refuseBadRequest
	case id == "":
		return verifyHandshake(r, transport, upgrade)
	case s == nil:
		return refuseSession
	case upgrade && transport != transportWebSocket:
		return refuseBadRequest
	case upgrade && r.URL.Query().Get("EIO") != "4":
		return refuseVersion
	case upgrade && !e.options.upgrades():
		return refuseBadRequest
	case !upgrade && transport != s.Transport():
		return refuseBadRequest
	case !upgrade && transport == transportWebSocket:
		return refuseBadRequest // a WebSocket session takes no plain requests
	}
	return nil
}

func verifyHandshake(r *http.Request, transport string, upgrade bool) *Refusal {
	switch {
	case r.Method != http.MethodGet:
		return refuseMethod
	case upgrade != (transport == transportWebSocket):
		return refuseBadRequest
	}
	return nil
}

// validHeader says whether a header's value has only characters that HTTP allows.
func validHeader(value string) bool {
	return !slices.ContainsFunc([]byte(value), func(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// open answers a handshake.
func (e *Engine) open(w http.ResponseWriter, r *http.Request, transport string) {
	if refusal := e.admit(r); refusal != nil {
		e.refuse(w, r, refusal)
		return
	}
	id, refusal := e.reserve()
	if refusal != nil {
		e.refuse(w, r, refusal)
		return
	}
	opened := false
	defer func() {
		if !opened { // also when accept panics
			e.release(id)
		}
	}()
	s := &Session{engine: e, id: id, handshake: newHandshake(r)}
	e.setInitialHeaders(w.Header(), r, id)
	if transport == transportWebSocket {
		opened = e.openWebSocket(w, r, s)
		return
	}
	if opened = e.start(s); opened {
		_ = e.writePayload(w, s.openPayload()) // its loss is noticed by the heartbeat
	} else {
		e.refuse(w, r, refuseClosing)
	}
}

// admit returns why no session may be opened for a request, or nil.
func (e *Engine) admit(r *http.Request) *Refusal {
	e.mu.RLock()
	full := e.isFull()
	e.mu.RUnlock()
	if full {
		return refuseConnections
	}
	if e.rate != nil && !e.rate.take() {
		return refuseRate
	}
	if e.options.AllowRequest != nil {
		if err := e.options.AllowRequest(r); err != nil {
			return &Refusal{Code: codeForbidden, Message: err.Error(), Reason: reasonForbidden, Err: err}
		}
	}
	if r.URL.Query().Get("EIO") != "4" {
		return refuseVersion
	}
	return nil
}

// isFull says whether MaxConnections is reached. The caller holds mu.
func (e *Engine) isFull() bool {
	return e.options.MaxConnections > 0 && len(e.sessions) >= e.options.MaxConnections
}

// openWebSocket opens a session on a WebSocket.
func (e *Engine) openWebSocket(w http.ResponseWriter, r *http.Request, s *Session) bool {
	socket, err := e.upgradeConn(w, r, s)
	if err != nil {
		return false
	}
	socket.writing = true // holds what accept sends until the open packet is written
	s.socket.Store(socket)
	started := false
	defer func() {
		if !started {
			socket.drop()
		}
	}()
	if started = e.start(s); started {
		socket.write(s.openPacket())
		e.work.Go(socket.serve)
	}
	return started
}

// start makes a session known. It fails while the engine is closing.
func (e *Engine) start(s *Session) bool {
	s.receiver = e.accept(s)
	e.mu.Lock()
	closing := e.closing
	if !closing {
		e.sessions[s.id] = s
	}
	e.mu.Unlock()
	e.work.Add(1) // the request is counted, too, so Close is still waiting
	e.counters.opened.Add(1)
	e.counters.gauge(s.Transport()).Add(1)
	if closing {
		s.fail(ReasonForcedClose, nil)
		return false
	}
	e.heartbeat.add(s)
	return true
}

// openPacket returns the first packet of a session.
func (s *Session) openPacket() *Message {
	o := &s.engine.options
	upgrades := []string{}
	if s.Transport() == transportPolling && o.upgrades() {
		upgrades = append(upgrades, transportWebSocket)
	}
	data, _ := json.Marshal(struct {
		ID           string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int64    `json:"maxPayload"`
	}{s.id, upgrades, o.PingInterval.Milliseconds(), o.PingTimeout.Milliseconds(), o.MaxPayload}) // always has a JSON form
	return textMessage(string(packetOpen) + string(data))
}

// openPayload returns the answer to a polling handshake: the open packet and
// what accept has sent.
func (s *Session) openPayload() []byte {
	s.mu.Lock()
	messages := append([]*Message{s.openPacket()}, s.polling.queue...)
	s.polling.clear()
	s.mu.Unlock()
	return encodePayload(messages)
}

func (e *Engine) setInitialHeaders(header http.Header, r *http.Request, id string) {
	if e.options.InitialHeaders != nil {
		e.options.InitialHeaders(header, r)
	}
	if e.options.Cookie == nil {
		return
	}
	cookie := *e.options.Cookie
	setDefault(&cookie.Name, "io")
	setDefault(&cookie.Path, "/")
	setDefault(&cookie.SameSite, http.SameSiteLaxMode)
	cookie.Value, cookie.HttpOnly = id, true
	cookie.Secure = cookie.Secure || r.TLS != nil
	header.Add("Set-Cookie", cookie.String())
}

// reserve draws an id that no session has.
func (e *Engine) reserve() (string, *Refusal) {
	id := e.newID()
	e.mu.Lock()
	defer e.mu.Unlock()
	_, taken := e.sessions[id]
	switch {
	case e.closing:
		return "", refuseClosing
	case e.isFull():
		return "", refuseConnections
	case taken || id == "":
		return "", &Refusal{Code: codeBadRequest, Message: messageBadRequest, Reason: reasonBadRequest, Err: errors.New("engine: NewID gave no new id")}
	}
	e.sessions[id] = nil
	return id, nil
}

// newID returns 20 characters: 96 random bits and the node's tag.
func (e *Engine) newID() string {
	if e.options.NewID != nil {
		return e.options.NewID()
	}
	var id [15]byte
	_, _ = rand.Read(id[:]) // never fails
	if e.options.Tag != nil {
		tag := e.options.Tag()
		id[12], id[13], id[14] = byte(tag>>16), byte(tag>>8), byte(tag)
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// session returns the session with an id, or nil.
func (e *Engine) session(id string) *Session {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.sessions[id]
}

// snapshot returns all sessions.
func (e *Engine) snapshot() []*Session {
	e.mu.RLock()
	defer e.mu.RUnlock()
	sessions := make([]*Session, 0, len(e.sessions))
	for _, s := range e.sessions {
		if s != nil {
			sessions = append(sessions, s)
		}
	}
	return sessions
}

// release gives an id back that has no session.
func (e *Engine) release(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, id)
}

// forget makes a session's id unknown.
func (e *Engine) forget(s *Session) { e.release(s.id) }

func (e *Engine) isClosing() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.closing
}

// Close ends all sessions with ReasonForcedClose, refuses requests from now on
// with status 503, and waits until everything that the engine has started has
// ended, but no longer than ctx. Closing twice is harmless.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	for _, s := range e.snapshot() {
		s.shutdown()
	}
	done := make(chan struct{})
	go func() {
		e.work.Wait()
		e.heartbeat.stop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine: close: %w", ctx.Err())
	}
}

// guard turns a panic of f into an error.
func (e *Engine) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.counters.panics.Add(1)
			e.options.Logger.Error("engine: panic", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return f()
}

// bucket is a token bucket for one second's worth of tokens.
type bucket struct {
	mu     sync.Mutex
	rate   float64
	tokens float64
	last   time.Time
}

func newBucket(perSecond int) *bucket {
	return &bucket{rate: float64(perSecond), tokens: float64(perSecond), last: time.Now()}
}

// take reports whether there was a token.
func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.rate, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
