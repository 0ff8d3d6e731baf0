package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// errPanic marks a panic that was recovered.
var errPanic = errors.New("engine: panic")

// ErrFull is what Options.Elsewhere returns when there is no room for another connection.
var ErrFull = errors.New("engine: no room for another connection")

// ErrClosing is what Options.Elsewhere returns when the node is about to end.
var ErrClosing = errors.New("engine: closing")

// Engine is an http.Handler that serves Engine.IO requests, whatever their path.
// It is safe for concurrent use.
type Engine struct {
	options   Options
	accept    func(*Session) Receiver
	upgrader  websocket.Upgrader
	heartbeat heartbeat
	counters  counters
	parking   parking
	reclaim   reclaim
	rate      *bucket // nil: handshakes come at any rate

	// work counts requests, open sessions, and the goroutines of both.
	work   sync.WaitGroup
	closer sync.WaitGroup // those that wait for work

	mu       sync.RWMutex        // guards what follows
	sessions map[string]*Session // a nil session reserves its id
	draining bool                // no session may be opened
	closing  bool                // and no request is served
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
	e.parking.work = &e.work
	e.reclaim.after = o.ReleaseMemoryAfter
	if o.MaxHandshakesPerSecond > 0 {
		e.rate = newBucket(o.MaxHandshakesPerSecond)
	}
	e.upgrader = websocket.Upgrader{
		HandshakeTimeout:  o.WriteTimeout,
		ReadBufferSize:    maxControlBytes, // the smallest that the library's own needs allow; frameConn has the big ones
		WriteBufferSize:   256,             // nothing is written through the library but the response and control frames
		WriteBufferPool:   &sync.Pool{},
		CheckOrigin:       func(*http.Request) bool { return true }, // CORS was asked before
		EnableCompression: o.PerMessageDeflate != nil,
		Error: func(w http.ResponseWriter, r *http.Request, _ int, reason error) {
			e.refuse(w, r, badRequest(reason))
		},
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
	if r.ContentLength != 0 {
		// net/http reads what a handler leaves of a body, however slowly it comes.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(e.options.ReadBodyTimeout)) // where it is not supported, the server has its own
	}
	err := e.guard(func() error {
		e.serve(w, r)
		return nil
	})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError) // without effect if an answer has begun
	}
	if !isUpgrade(r) { // whose connection may be a session's
		// net/http writes what the handler has left in its buffer, and waits for the client.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(e.options.WriteTimeout)) // where it is not supported, the server has its own
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
	query, malformed := url.ParseQuery(r.URL.RawQuery)
	transport, id := query.Get("transport"), query.Get("sid")
	s := e.session(id)
	var absent *Refusal
	if s == nil && id != "" && malformed == nil {
		if absent = e.lookElsewhere(w, r, id); absent == nil {
			return // with headers of its own
		}
	}
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
	if malformed != nil {
		// The part that does not parse may be the session's id: without it this would
		// be taken for a handshake.
		e.refuse(w, r, badRequest(malformed))
		return
	}
	switch refusal := e.verify(r, transport, id, s); {
	case refusal == refuseSession && absent != nil:
		e.refuse(w, r, absent)
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

// lookElsewhere has a request answered whose session is not here, and returns nil, or says
// why it is refused.
func (e *Engine) lookElsewhere(w http.ResponseWriter, r *http.Request, id string) *Refusal {
	if e.options.Elsewhere == nil {
		return refuseSession
	}
	switch err := e.options.Elsewhere(w, r, id); {
	case err == nil:
		return nil
	case errors.Is(err, ErrFull):
		return refuseConnections
	case errors.Is(err, ErrClosing):
		return refuseClosing
	default:
		return absentSession(err)
	}
}

// SetCORS adds the headers of Options.CORS to an answer that the engine does not
// give itself, unless the request's origin is a foreign one.
func (e *Engine) SetCORS(header http.Header, r *http.Request) {
	if e.options.CORS.allows(r) {
		e.options.CORS.setHeaders(header, r)
	}
}

// isUpgrade says whether a request wants to become a WebSocket.
func isUpgrade(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

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

// forget makes a session's id unknown, unless it is another's by now.
func (e *Engine) forget(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sessions[s.id] == s {
		delete(e.sessions, s.id)
	}
}

func (e *Engine) isClosing() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.closing
}

// Close ends all sessions with ReasonShutdown, refuses requests from now on
// with status 503, and waits until everything that the engine has started has
// ended, but no longer than ctx. Closing twice is harmless.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closing, e.draining = true, true
	e.mu.Unlock()
	for _, s := range e.snapshot() {
		s.shutdown()
	}
	done := make(chan struct{})
	e.closer.Go(func() {
		e.work.Wait()
		e.heartbeat.stop()
		e.parking.close()
		e.reclaim.stop()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine: close: %w", ctx.Err())
	}
}

// logged returns the text of an error, which may hold what a client has sent, in
// a length that a log can bear. Handlers of slog quote it.
func logged(err error) string {
	const limit = 256
	if err == nil {
		return ""
	}
	text := err.Error()
	return text[:min(len(text), limit)]
}

// guard turns a panic of f into an error.
func (e *Engine) guard(f func() error) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler: // the HTTP server's own way to break off an answer
			panic(p)
		default:
			e.counters.panics.Add(1)
			e.options.Logger.Error("engine: panic", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return f()
}
