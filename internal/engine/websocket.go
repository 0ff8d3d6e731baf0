package engine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// Errors that end a WebSocket.
var (
	errTooBig      = errors.New("engine: message exceeds MaxPayload")
	errUTF8        = errors.New("engine: text message is not UTF-8")
	errClientClose = errors.New("engine: closed by the client")
)

// maxPooledBytes is the largest message buffer that is kept for the next message.
const maxPooledBytes = 64 << 10

var messageBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// putBuffer gives a message buffer back.
func putBuffer(buffer *[]byte) {
	if cap(*buffer) <= maxPooledBytes {
		messageBuffers.Put(buffer)
	}
}

// webSocket is one WebSocket connection. Its reader goroutine, if it is not
// parked, owns conn and frames. Everything that is written goes through send and finish, also the
// library's own control frames.
type webSocket struct {
	engine      *Engine
	session     *Session
	conn        *websocket.Conn
	frames      frameConn
	deflate     bool // compression was negotiated
	textOnly    bool // the client wants no binary frames
	opening     bool // the response goes with the first message, and waits in the queue until then
	established bool // the response was made; set before the reader starts
	place       place

	mu        sync.Mutex  // guards what follows
	queue     []*Message  // waits to be written
	queued    int         // its bytes, without what was written of the first
	written   int         // bytes of the first that were written
	writing   bool        // a goroutine is writing, or will when the session opens
	blocked   bool        // what is queued waits for the client, not for a goroutine
	stopped   bool        // nothing more is taken
	dropTimer *time.Timer // ends the close handshake
	changed   chan struct{}
}

// hijacker gives the WebSocket library a frameConn instead of the connection.
type hijacker struct {
	http.ResponseWriter
	socket *webSocket
}

// Hijack implements http.Hijacker. What the HTTP server has read already is kept
// for the first read.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	f := &h.socket.frames
	f.init(conn, h.socket, &h.socket.engine.options)
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n) // n bytes are buffered
		f.surplus = bytes.Clone(early)
		_, _ = rw.Reader.Discard(n)
	}
	return f, rw, nil
}

// upgradeConn answers the handshake of a WebSocket, whose session is opening or is there
// already. If it fails, the request has been answered.
func (e *Engine) upgradeConn(w http.ResponseWriter, r *http.Request, s *Session, opening bool) (*webSocket, error) {
	socket := &webSocket{engine: e, session: s, textOnly: r.URL.Query().Get("b64") != "", opening: opening}
	// What the response got so far, such as CORS headers, belongs into the 101.
	conn, err := e.upgrader.Upgrade(&hijacker{w, socket}, withJudgedOffers(r), w.Header().Clone())
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(e.options.MaxPayload)
	conn.SetPingHandler(socket.pong)
	socket.conn = conn
	socket.established = true
	return socket, nil
}

// pong answers a WebSocket ping. Reading goes on when the queue has room.
func (w *webSocket) pong(data string) error {
	frame := append(appendFrameHeader(nil, framePong, len(data)), data...)
	if err := w.send(&Message{frames: frame, uncompressed: true}); errors.Is(err, ErrSlowConsumer) {
		return err // otherwise the connection ends anyway
	}
	w.awaitFlow()
	return nil
}

// serve is the reader goroutine of a session's WebSocket. It may end with the
// connection parked, whose next reader it is then started as.
func (w *webSocket) serve() {
	w.frames.parks = canPark && w.frames.raw != nil && w.engine.options.ParkAfter > 0
	for {
		err := w.engine.guard(w.read)
		if !errors.Is(err, errQuiet) {
			w.end(err)
			return
		}
		if w.engine.parking.park(w) {
			return
		}
		w.frames.recent = true // try again later
	}
}

// read passes messages to the receiver until the connection is quiet, or it or
// the session ends.
func (w *webSocket) read() error {
	for {
		w.awaitFlow()
		if err := w.readOne(w.receive); err != nil {
			return err
		}
	}
}

// receive takes one message of the session.
func (w *webSocket) receive(binary bool, data []byte) error {
	if binary || len(data) != 1 || data[0] != packetPong {
		w.frames.recent = true
		w.frames.greetings = min(w.frames.greetings+1, 2)
	}
	return w.session.receive(binary, data)
}

// readOne waits for a message and passes it to handle.
func (w *webSocket) readOne(handle func(binary bool, data []byte) error) error {
	if err := w.frames.await(); err != nil {
		return err
	}
	buffer := messageBuffers.Get().(*[]byte)
	defer putBuffer(buffer)
	kind, reader, err := w.conn.NextReader()
	if err != nil {
		return err
	}
	data, err := readAtMost(reader, (*buffer)[:0], w.engine.options.MaxPayload)
	*buffer = data[:0]
	w.engine.counters.framed.received.Add(uint64(len(data)))
	if err != nil {
		return err
	}
	if kind == websocket.TextMessage && !utf8.Valid(data) {
		return errUTF8
	}
	return handle(kind == websocket.BinaryMessage, data)
}

// readAtMost appends to buffer what r has. Memory grows as bytes arrive. It
// fails with errTooBig beyond limit bytes.
func readAtMost(r io.Reader, buffer []byte, limit int64) ([]byte, error) {
	for {
		if len(buffer) == cap(buffer) {
			grown := make([]byte, len(buffer), max(2*cap(buffer), 1024))
			copy(grown, buffer)
			buffer = grown
		}
		n, err := r.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		switch {
		case int64(len(buffer)) > limit:
			return buffer, errTooBig
		case err == io.EOF:
			return buffer, nil
		case err != nil:
			return buffer, err
		}
	}
}

// awaitFlow keeps the reader from taking more from a client that does not take
// what it is sent.
func (w *webSocket) awaitFlow() {
	w.mu.Lock()
	flows := w.flows()
	w.mu.Unlock()
	if flows {
		return
	}
	since := w.session.suspend()
	w.awaitChange(w.flows)
	w.session.resume(since)
}

// end closes session and connection for the reason that err gives.
func (w *webSocket) end(err error) {
	reason, code := verdict(err)
	cause := err
	if reason == ReasonTransportClose {
		cause = nil
	}
	w.session.end(reason, cause)
	w.close(code, err)
}

// verdict says what an error of the reader means: the session's reason, and the
// code of the close frame or 0 when the connection is gone.
func verdict(err error) (Reason, int) {
	var closed *websocket.CloseError
	var refused *receiverError
	switch {
	case errors.As(err, &closed):
		return ReasonTransportClose, 0
	case errors.Is(err, errClientClose):
		return ReasonTransportClose, websocket.CloseNormalClosure
	case errors.As(err, &refused):
		return ReasonForcedClose, websocket.CloseNormalClosure
	case errors.Is(err, errPacket):
		return ReasonParseError, websocket.CloseProtocolError
	case errors.Is(err, errTooBig), errors.Is(err, websocket.ErrReadLimit):
		return ReasonTransportError, websocket.CloseMessageTooBig
	case errors.Is(err, errFragments), errors.Is(err, errFragmentTimeout), errors.Is(err, ErrSlowConsumer):
		return ReasonTransportError, websocket.ClosePolicyViolation
	case errors.Is(err, errUTF8):
		return ReasonTransportError, websocket.CloseInvalidFramePayloadData
	case errors.Is(err, errPanic):
		return ReasonTransportError, websocket.CloseInternalServerErr
	case isGone(err):
		return ReasonTransportClose, 0
	}
	// What is left are violations that the library has found.
	return ReasonTransportError, websocket.CloseProtocolError
}

// isGone says whether err means that the connection has ended.
func isGone(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// closeFrame returns a close frame with a code.
func closeFrame(code int) *Message {
	body := websocket.FormatCloseMessage(code, "")
	return &Message{frames: append(appendFrameHeader(nil, frameClose, len(body)), body...), uncompressed: true}
}

// close ends the connection after the reader has met err. Unless the connection
// is gone, what is queued and a close frame are written, and what the client
// still sends is read and thrown away: closing a socket with unread bytes would
// take the close frame from the client.
func (w *webSocket) close(code int, err error) {
	var peerClosed *websocket.CloseError
	answered := errors.As(err, &peerClosed)
	if code != 0 {
		w.finish(closeFrame(code))
	}
	w.mu.Lock()
	closing := w.stopped && w.dropTimer != nil
	w.mu.Unlock()
	if closing {
		w.awaitChange(w.idle)
		if !answered {
			w.discard()
		}
	}
	w.abort()
	w.awaitChange(w.idle)
	w.mu.Lock()
	if w.dropTimer != nil {
		w.dropTimer.Stop()
	}
	w.mu.Unlock()
	w.frames.release()
}

// discard reads until the client closes the connection or it is dropped.
func (w *webSocket) discard() {
	if c, ok := w.frames.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // the read finds out
	}
	_ = w.frames.Conn.SetReadDeadline(time.Time{})
	buffer := scratch.Get().(*[]byte)
	for {
		if _, err := w.frames.Conn.Read(*buffer); err != nil {
			break
		}
	}
	scratch.Put(buffer)
}

// drop closes the connection without waiting, which tls.Conn.Close would. Its
// reader finds out; there is one from now on.
func (w *webSocket) drop() {
	w.engine.parking.leave(w)
	conn := w.frames.Conn
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	_ = conn.Close() // nothing could be done about it
}

// lost tells the session that writing has failed.
func (w *webSocket) lost(err error) {
	if w.session.socket.Load() == w {
		w.session.end(ReasonTransportError, fmt.Errorf("engine: write: %w", err))
	}
}
