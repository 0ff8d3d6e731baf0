package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"time"
	"unicode/utf8"
)

// lingerTime is how long the close packet of a polling session waits for a request.
const lingerTime = 30 * time.Second

// Errors that end a session that polls.
var (
	errPending     = errors.New("engine: second request while one is pending")
	errOctetStream = errors.New("engine: payload is not text")
)

// polling is the state of a session that polls; Session.mu guards it. Between
// two requests the session has no goroutine.
type polling struct {
	queue   []*Message
	queued  int
	changed chan struct{} // closed when the queue was emptied, if someone awaits it

	waiting chan struct{}            // of the GET that waits; closed to release it
	posting bool                     // a POST is being served
	posted  chan struct{}            // closed when that POST is done, if someone awaits it
	body    *http.ResponseController // of that POST while its body is being read
	linger  *time.Timer              // after Close: forgets the session
}

// push queues m and releases the GET that waits.
func (p *polling) push(m *Message) {
	p.queue = append(p.queue, m)
	p.queued += m.Size()
	p.release()
}

// release lets the GET that waits be answered with what is queued.
func (p *polling) release() {
	if p.waiting != nil {
		close(p.waiting)
		p.waiting = nil
	}
}

// releaseBody ends the reading of a body.
func (p *polling) releaseBody() {
	if p.body != nil {
		_ = p.body.SetReadDeadline(time.Unix(0, 0)) // without it the body's own deadline ends the reading
	}
}

// closing says that what is queued ends with the close packet.
func (p *polling) closing() bool {
	return len(p.queue) > 0 && p.queue[len(p.queue)-1] == closeMessage
}

// clear empties the queue.
func (p *polling) clear() {
	p.queue, p.queued = nil, 0
	p.announce()
}

// awaitChange returns what is closed when the queue has been emptied or the
// session ends.
func (p *polling) awaitChange() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// announce wakes those who await a change.
func (p *polling) announce() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// sendPolling is Send while the session polls.
func (s *Session) sendPolling(m *Message) error {
	s.mu.Lock()
	if socket := s.socket.Load(); socket != nil {
		s.mu.Unlock()
		return socket.send(m)
	}
	defer s.mu.Unlock()
	if s.ended.Load() {
		return ErrClosed
	}
	if s.full(m) {
		return ErrSlowConsumer
	}
	s.polling.push(m)
	return nil
}

// sendVolatilePolling is SendVolatile while the session polls.
func (s *Session) sendVolatilePolling(m *Message) bool {
	s.mu.Lock()
	if socket := s.socket.Load(); socket != nil {
		s.mu.Unlock()
		return socket.sendVolatile(m)
	}
	defer s.mu.Unlock()
	mayWait := s.engine.options.SlowConsumer == DropVolatile && !s.full(m)
	if s.ended.Load() || s.polling.waiting == nil && !mayWait {
		return false
	}
	s.polling.push(m)
	return true
}

// full says whether the queue has no room for m. The caller holds mu.
func (s *Session) full(m *Message) bool {
	queued := s.polling.queued
	return queued > 0 && queued+m.Size() > int(s.engine.options.MaxSendQueueBytes)
}

// servePolling answers a request with the id of a session that polls.
func (s *Session) servePolling(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		s.serveGet(w, r)
	case http.MethodPost:
		s.servePost(w, r)
	default:
		w.WriteHeader(http.StatusInternalServerError) // as the reference does
	}
}

// serveGet answers a poll as soon as there is something to send.
func (s *Session) serveGet(w http.ResponseWriter, r *http.Request) {
	waiting, err := s.beginPoll()
	if err != nil {
		s.fail(ReasonTransportError, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	select {
	case <-waiting:
	case <-r.Context().Done():
	}
	err = r.Context().Err()
	if err == nil {
		messages, last := s.takeMessages()
		if last {
			s.engine.forget(s) // before the client knows, so that its next request finds no session
			s.abortProbe()
		}
		err = s.engine.writePayload(w, r, messages)
	}
	if err != nil {
		s.fail(ReasonTransportError, err)
	}
}

// released is what a poll gets that need not wait.
var released = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// beginPoll returns what a GET waits for.
func (s *Session) beginPoll() (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.polling
	switch {
	case p.waiting != nil:
		return nil, errPending
	// A client that was told to upgrade must not be kept waiting by this poll.
	case len(p.queue) > 0, s.probed, s.ended.Load(), s.socket.Load() != nil:
		return released, nil
	}
	p.waiting = make(chan struct{})
	return p.waiting, nil
}

// takeMessages returns what a poll gets; last says that nothing will follow. The
// close packet has a payload of its own: official clients lose what comes in the
// same one, because they end at once and handle messages a moment later.
func (s *Session) takeMessages() (messages []*Message, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	closing, ended := s.polling.closing(), s.ended.Load()
	messages = s.polling.queue
	s.polling.clear()
	switch {
	case closing && len(messages) > 1:
		s.polling.push(closeMessage)
		return messages[:len(messages)-1], false
	case len(messages) > 0:
	case ended:
		messages = []*Message{closeMessage}
	default:
		messages = []*Message{noopMessage}
	}
	if ended && s.polling.linger != nil {
		s.polling.linger.Stop()
	}
	return messages, ended
}

// Listening says whether the client would hear of the session's end at once: over a
// WebSocket it does, by polling only while a request waits.
func (s *Session) Listening() bool {
	if s.socket.Load() != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.polling.waiting != nil
}

// servePost takes a payload from the client.
func (s *Session) servePost(w http.ResponseWriter, r *http.Request) {
	if !s.beginPost() {
		s.fail(ReasonTransportError, errPending)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	// While a receiver blocks, nothing else would notice that the client is gone.
	stop := context.AfterFunc(r.Context(), func() { s.fail(ReasonTransportError, r.Context().Err()) })
	status := s.readPost(w, r)
	stop()
	s.endPost()
	if status != http.StatusOK {
		w.Header().Set("Connection", "close")
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Length", "2")
	_, _ = io.WriteString(w, "ok") // a client that does not get it is gone
}

// readPost reads a payload, passes its packets on and returns the status to answer.
func (s *Session) readPost(w http.ResponseWriter, r *http.Request) int {
	buffer := messageBuffers.Get().(*[]byte)
	defer putBuffer(buffer)
	if status, err := s.readBody(w, r, buffer); err != nil {
		s.fail(ReasonTransportError, err)
		return status
	}
	switch err := s.engine.guard(func() error { return s.receivePayload(*buffer) }); {
	case err == nil:
	case errors.Is(err, errClientClose):
		s.closeByClient()
	case errors.As(err, new(*receiverError)):
		if s.end(ReasonForcedClose, err) {
			s.closePolling()
		}
		return http.StatusBadRequest
	default:
		reason, _ := verdict(err)
		s.fail(reason, err)
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// readBody reads a body into buffer.
func (s *Session) readBody(w http.ResponseWriter, r *http.Request, buffer *[]byte) (status int, err error) {
	o := &s.engine.options
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/octet-stream" {
		return http.StatusBadRequest, errOctetStream
	}
	if r.ContentLength > o.MaxPayload {
		return http.StatusRequestEntityTooLarge, errTooBig
	}
	control := http.NewResponseController(w)
	s.setBody(control)
	*buffer, err = readAtMost(r.Body, (*buffer)[:0], o.MaxPayload)
	s.setBody(nil)
	s.engine.counters.polled.received.Add(uint64(len(*buffer)))
	switch {
	case errors.Is(err, errTooBig):
		return http.StatusRequestEntityTooLarge, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, err
	case err != nil:
		return http.StatusBadRequest, err
	}
	_ = control.SetReadDeadline(time.Time{})
	return http.StatusOK, nil
}

// setBody tells releaseBody what is being read.
func (s *Session) setBody(control *http.ResponseController) {
	s.mu.Lock()
	s.polling.body = control
	if control != nil && s.ended.Load() {
		s.polling.releaseBody()
	}
	s.mu.Unlock()
}

// receivePayload passes the packets of a payload on, in their order, up to the
// first one that is not valid.
func (s *Session) receivePayload(payload []byte) error {
	if !utf8.Valid(payload) {
		return fmt.Errorf("%w: not UTF-8", errPacket)
	}
	for more := true; more && !s.ended.Load(); {
		// The ping deadline holds meanwhile: a client that does not poll must end.
		s.AwaitSendQueue()
		var packet []byte
		packet, payload, more = cutPacket(payload)
		if err := s.receivePacket(packet); err != nil {
			return err
		}
	}
	return nil
}

// beginPost reports whether no other POST is being served.
func (s *Session) beginPost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.polling.posting {
		return false
	}
	s.polling.posting = true
	return true
}

func (s *Session) endPost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polling.posting = false
	if s.polling.posted != nil {
		close(s.polling.posted)
	}
}

// closeByClient ends the session after a close packet; its poll gets a noop.
func (s *Session) closeByClient() {
	if !s.end(ReasonTransportClose, nil) {
		return
	}
	s.engine.forget(s)
	s.abortProbe()
	s.mu.Lock()
	s.polling.push(noopMessage)
	s.mu.Unlock()
}

// closePolling leaves the close packet for the poll that waits or for the next
// one, after end.
func (s *Session) closePolling() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.polling.waiting == nil && !s.engine.isClosing() {
		s.polling.linger = time.AfterFunc(lingerTime, func() { s.engine.forget(s) })
	} else {
		s.engine.forget(s)
	}
	s.polling.push(closeMessage)
}
