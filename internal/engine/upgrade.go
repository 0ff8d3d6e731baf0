package engine

import (
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// errProbe closes a probe that did not follow the protocol.
var errProbe = errors.New("engine: unexpected packet on a probe")

// serveUpgrade opens a WebSocket for a session that polls. At most one is being
// probed at a time; a second one leaves the first alone.
func (e *Engine) serveUpgrade(w http.ResponseWriter, r *http.Request, s *Session) {
	if !s.reserveProbe() {
		e.refuse(w, r, refuseUpgraded)
		return
	}
	socket, err := e.upgradeConn(w, r, s, false)
	if err != nil {
		s.endProbe()
		return
	}
	e.work.Go(socket.serveProbe)
}

// reserveProbe reports whether the session may be upgraded now.
func (s *Session) reserveProbe() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probing || s.socket.Load() != nil || s.ended.Load() {
		return false
	}
	s.probing = true
	return true
}

// endProbe leaves the session polling.
func (s *Session) endProbe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probe, s.probing, s.probed = nil, false, false
}

// serveProbe is the reader goroutine of a WebSocket that is to become a
// session's transport.
func (w *webSocket) serveProbe() {
	s := w.session
	timer := time.AfterFunc(w.engine.options.UpgradeTimeout, w.abort)
	s.setProbe(w)
	err := w.engine.guard(w.exchangeProbe)
	if timer.Stop() && err == nil && s.upgradeTo(w) {
		w.serve()
		return
	}
	s.endProbe()
	_, code := verdict(err)
	w.close(code, err)
}

// setProbe makes the end of the session that of the probe, too, also when it has come already.
func (s *Session) setProbe(w *webSocket) {
	s.mu.Lock()
	s.probe = w
	aborted := s.aborted
	s.mu.Unlock()
	if aborted {
		w.abort()
	}
}

// exchangeProbe waits for the probe, answers it, and waits for the upgrade packet.
func (w *webSocket) exchangeProbe() error {
	err := w.readOne(func(binary bool, data []byte) error {
		if binary || string(data) != probeRequest {
			return errProbe
		}
		return nil
	})
	if err != nil {
		return err
	}
	// The poll is released first and later ones are answered at once, so that
	// the client can stop polling whatever it has in flight.
	w.session.releasePolls()
	if err := w.send(probeMessage); err != nil {
		return err
	}
	return w.readOne(func(binary bool, data []byte) error {
		if binary || len(data) != 1 || data[0] != packetUpgrade {
			return errProbe
		}
		return nil
	})
}

// abortProbe ends the upgrade that is running, or about to run, if any.
func (s *Session) abortProbe() {
	s.mu.Lock()
	s.aborted = true
	probe := s.probe
	s.mu.Unlock()
	if probe != nil {
		probe.abort()
	}
}

// releasePolls ends the poll that waits and keeps later ones from waiting.
func (s *Session) releasePolls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probed = true
	s.polling.release()
}

// upgradeTo makes w the session's transport. What is queued goes out by it,
// before what is sent from now on. What a POST that is being served brings is
// received before anything that w brings. A session that Close has ended is
// upgraded all the same: a client that has stopped polling for the upgrade would
// hear of the end, and of what was sent before, nowhere else.
func (s *Session) upgradeTo(w *webSocket) bool {
	s.mu.Lock()
	ended := s.ended.Load()
	if ended && !s.polling.closing() {
		s.mu.Unlock()
		return false
	}
	messages := s.polling.queue
	if ended {
		messages = messages[:len(messages)-1] // instead of the close packet there is a close frame
	}
	s.polling.clear()
	s.polling.release()
	s.probe, s.probing, s.probed = nil, false, false
	drain := w.adopt(messages)
	if !ended {
		s.engine.counters.upgraded.Add(1)
		s.engine.counters.polling.Add(-1)
		s.engine.counters.websocket.Add(1)
	}
	s.socket.Store(w) // whoever sees it finds it counted
	var posted chan struct{}
	if s.polling.posting {
		posted = make(chan struct{})
		s.polling.posted = posted
	}
	s.mu.Unlock()

	if drain {
		s.engine.work.Go(w.drain)
	}
	if posted != nil {
		<-posted
	}
	if ended {
		s.engine.forget(s) // before the client hears of the end
		w.finish(closeFrame(websocket.CloseNormalClosure))
	}
	return true
}
