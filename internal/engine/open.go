package engine

import (
	"encoding/json"
	"net/http"
)

// open answers a handshake.
func (e *Engine) open(w http.ResponseWriter, r *http.Request, transport string) {
	if refusal := e.admit(r); refusal != nil {
		e.refuse(w, r, refusal)
		return
	}
	id, refusal := e.reserve(r)
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
		defer e.heartbeat.add(s)                   // whatever becomes of the answer
		_ = e.writePayload(w, r, s.openMessages()) // its loss is noticed by the heartbeat
	} else {
		e.refuse(w, r, refuseClosing)
	}
}

// openWebSocket opens a session on a WebSocket.
func (e *Engine) openWebSocket(w http.ResponseWriter, r *http.Request, s *Session) bool {
	socket, err := e.upgradeConn(w, r, s, true)
	if err != nil {
		return false
	}
	socket.hold() // what accept sends
	s.socket.Store(socket)
	// A panic stops here: the HTTP server could not answer it any more.
	err = e.guard(func() error {
		if !e.start(s) {
			return ErrClosed
		}
		return nil
	})
	if err != nil {
		socket.drop()
		return false
	}
	socket.begin(s.openPacket())
	e.heartbeat.add(s)
	e.work.Go(socket.serve)
	return true
}

// start makes a session known. It fails while the engine is draining. The caller begins
// the heartbeat, once the open packet is on its way: the client's time does not run before.
func (e *Engine) start(s *Session) bool {
	s.begin(e.accept(s))
	e.mu.Lock()
	draining := e.draining
	switch {
	case s.ended.Load():
		delete(e.sessions, s.id) // the client hears of the end with the open packet
	case !draining:
		e.sessions[s.id] = s
	}
	e.mu.Unlock()
	if draining {
		s.fail(ReasonShutdown, nil)
		return false
	}
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

// openMessages returns the answer to a polling handshake: the open packet and
// what accept has sent.
func (s *Session) openMessages() []*Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages := append([]*Message{s.openPacket()}, s.polling.queue...)
	s.polling.clear()
	return messages
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
