package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Errors of a WebSocket that breaks a limit or RFC 6455 below the level of messages.
var (
	errFragments       = errors.New("engine: too many fragments in a message")
	errFragmentTimeout = errors.New("engine: message not completed in time")
	errFrame           = errors.New("engine: malformed frame")
)

// errQuiet says that a connection has had nothing but heartbeats for ParkAfter.
var errQuiet = errors.New("engine: connection is quiet")

// newcomerParkAfter is ParkAfter for a client that has said one thing at most.
const newcomerParkAfter = 20 * time.Millisecond

// deadline says what the read deadline of a connection is there for.
type deadline uint8

const (
	noDeadline deadline = iota
	untilQuiet          // the connection can be parked when it passes
	untilWhole          // the rest of a message must have come when it passes
)

// directReadBytes is the size from which on payload is read straight into the
// reader's memory.
const directReadBytes = 1024

// scratch holds the buffers into which sockets are read. A connection has one
// only while it holds bytes that were not handed out yet.
var scratch = sync.Pool{New: func() any { b := make([]byte, 4096); return &b }}

// frameConn is the connection that the WebSocket library gets. It never hands
// out a byte beyond the end of the current frame, so that the library's buffer
// is empty whenever a message has been read, and waiting for the next one can be
// done by await, with no buffer held. It also sees the frames' headers.
type frameConn struct {
	net.Conn
	raw       syscall.RawConn // nil: Conn is read in exact pieces instead
	readReady func(uintptr) bool
	socket    *webSocket
	limits    *Options

	surplus []byte  // read from the connection, not yet handed out
	buffer  *[]byte // from scratch, while surplus points into it
	readErr error   // of the last readReady

	header    [14]byte // of the current frame
	deadline  deadline // that is set
	parks     bool     // await tells when the connection is quiet
	recent    bool     // something other than heartbeats came since the deadline untilQuiet was set, or parking was tried
	greetings uint8    // messages of the client, as far as two
	trying    bool     // readRaw is not to wait
	have      int      // bytes of header handed out
	left      int64    // payload bytes of the current frame not yet handed out
	fragments int      // frames of the current message so far; 0 between messages
}

func (f *frameConn) init(conn net.Conn, socket *webSocket, limits *Options) {
	f.Conn, f.socket, f.limits, f.recent = conn, socket, limits, true
	if f.raw = rawConnOf(conn); f.raw != nil {
		f.readReady = f.readRaw // bound once: a new one for each read would be allocated
	}
}

// await blocks, between two messages, until there is something to read. If the
// connection may be parked it fails with errQuiet when nothing has come for a
// while. A connection that was parked is quiet again at once when all that has
// come is a heartbeat.
func (f *frameConn) await() error {
	for {
		taken, err := f.takePing()
		switch {
		case err != nil:
			return err
		case taken:
		case len(f.surplus) > 0:
			return nil
		case !f.parks:
			return f.fill()
		default:
			if err = f.fillUnlessQuiet(); err != nil {
				return err
			}
		}
	}
}

// fillUnlessQuiet is fill for a connection that may be parked. It may return
// with nothing read.
func (f *frameConn) fillUnlessQuiet() error {
	if f.deadline == noDeadline {
		if !f.recent {
			return f.tryFill()
		}
		f.recent = false
		f.setDeadline(untilQuiet, f.patience())
	}
	err := f.fill()
	if err == nil || f.deadline != untilQuiet || !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	f.setDeadline(noDeadline, 0)
	if !f.recent {
		return errQuiet
	}
	return nil
}

// patience is how long a connection is quiet before it is parked. A client that has just
// come says what it wants and then waits for the answer: when many come at once, they need
// not have a goroutine each until all have theirs.
func (f *frameConn) patience() time.Duration {
	if f.greetings < 2 {
		return min(f.limits.ParkAfter, newcomerParkAfter)
	}
	return f.limits.ParkAfter
}

// tryFill is fill without waiting.
func (f *frameConn) tryFill() error {
	f.trying = true
	err := f.fill()
	f.trying = false
	if err == nil && len(f.surplus) == 0 {
		return errQuiet
	}
	return err
}

// takePing answers a ping, or passes over a pong, that has come whole. The
// library would do so as well, but then wait for a message by itself.
func (f *frameConn) takePing() (bool, error) {
	const overhead, masked = 6, 0x80 // the header of a short frame with its key
	b := f.surplus
	if len(b) < overhead || b[0] != framePing && b[0] != framePong || b[1] < masked || b[1] > masked|maxControlBytes {
		return false, nil
	}
	size := int(b[1] &^ masked)
	if len(b) < overhead+size {
		return false, nil
	}
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = b[overhead+i] ^ b[2+i%4]
	}
	isPing := b[0] == framePing
	if f.surplus = b[overhead+size:]; len(f.surplus) == 0 {
		f.release()
	}
	if isPing {
		return true, f.socket.pong(string(payload))
	}
	return true, nil
}

// Read hands out bytes of the current frame, or of the next one.
func (f *frameConn) Read(p []byte) (int, error) {
	if len(f.surplus) > 0 {
		return f.take(p)
	}
	if f.left > 0 && (f.raw == nil || len(p) >= directReadBytes) {
		return f.readPayload(p[:min(int64(len(p)), f.left)])
	}
	if err := f.fill(); err != nil {
		return 0, err
	}
	return f.take(p)
}

// readPayload reads at most what the frame has left straight into p.
func (f *frameConn) readPayload(p []byte) (int, error) {
	f.limitTime()
	n, err := f.Conn.Read(p)
	f.left -= int64(n)
	if f.left == 0 {
		f.endFrame()
	}
	return n, f.explain(err)
}

// fill reads what the connection has, which is at least one byte.
func (f *frameConn) fill() error {
	f.limitTime()
	if f.raw == nil {
		// Exactly what the header lacks. Payload is read by readPayload.
		b := f.header[f.have:f.headerSize()]
		n, err := f.Conn.Read(b)
		f.surplus = b[:n]
		return f.explain(err)
	}
	if err := f.raw.Read(f.readReady); err != nil {
		return f.explain(err)
	}
	return f.readErr
}

// readRaw is called by the runtime's poller when the descriptor may be readable.
func (f *frameConn) readRaw(fd uintptr) bool {
	buffer := scratch.Get().(*[]byte)
	n, ready, err := readFD(fd, *buffer)
	if n > 0 {
		f.buffer, f.surplus, f.readErr = buffer, (*buffer)[:n], nil
		return true
	}
	scratch.Put(buffer)
	if f.readErr = err; ready && err == nil {
		f.readErr = io.EOF
	}
	return ready || f.trying
}

// take hands out what surplus holds of the current frame.
func (f *frameConn) take(p []byte) (n int, err error) {
	for n < len(p) && len(f.surplus) > 0 {
		if f.left > 0 {
			k := copy(p[n:], f.surplus[:min(f.left, int64(len(f.surplus)))])
			n, f.left, f.surplus = n+k, f.left-int64(k), f.surplus[k:]
		} else {
			f.header[f.have], p[n] = f.surplus[0], f.surplus[0]
			n, f.have, f.surplus = n+1, f.have+1, f.surplus[1:]
			if f.have < f.headerSize() {
				continue
			}
			if err = f.beginFrame(); err != nil {
				return 0, err // not even the header gets to the library
			}
		}
		if f.left == 0 {
			f.endFrame()
			break
		}
	}
	if len(f.surplus) == 0 {
		f.release()
	}
	return n, err
}

// release gives the buffer back, with what it may still hold.
func (f *frameConn) release() {
	f.surplus = nil
	if f.buffer != nil {
		scratch.Put(f.buffer)
		f.buffer = nil
	}
}

// headerSize returns the length of the current header, as far as it is known.
func (f *frameConn) headerSize() int {
	if f.have < 2 {
		return 2
	}
	size := 2
	switch f.header[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.header[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// beginFrame is called when the header is complete.
func (f *frameConn) beginFrame() error {
	switch size := f.header[1] & 0x7f; size {
	case 126:
		f.left = int64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		f.left = int64(binary.BigEndian.Uint64(f.header[2:]))
	default:
		f.left = int64(size)
	}
	if f.left < 0 {
		f.left = 0
		return errFrame
	}
	if !f.isControl() {
		f.fragments++
	}
	if f.limits.MaxFragments > 0 && f.fragments > f.limits.MaxFragments {
		return errFragments
	}
	// The library checks the other bits; with compression it lets this one pass on
	// every frame, where only the first of a message may have it.
	if f.header[0]&frameRSV1 != 0 && (f.isControl() || f.fragments > 1) {
		return errFrame
	}
	return nil
}

// endFrame is called when the last byte of a frame has been handed out.
func (f *frameConn) endFrame() {
	f.have = 0
	const fin = 0x80
	if !f.isControl() && f.header[0]&fin != 0 {
		f.fragments = 0
	}
	if f.deadline == untilWhole && f.fragments == 0 {
		f.setDeadline(noDeadline, 0)
	}
}

func (f *frameConn) isControl() bool { return f.header[0]&0x08 != 0 }

// limitTime sets a deadline before a read that may have to wait for the rest of
// a message. Messages that arrive whole never get here.
func (f *frameConn) limitTime() {
	incomplete := f.have > 0 || f.left > 0 || f.fragments > 0
	switch {
	case !incomplete || f.deadline == untilWhole:
	case f.limits.FragmentTimeout > 0:
		f.setDeadline(untilWhole, f.limits.FragmentTimeout)
	case f.deadline != noDeadline:
		f.setDeadline(noDeadline, 0)
	}
}

// setDeadline has reads fail after a time, or never.
func (f *frameConn) setDeadline(d deadline, after time.Duration) {
	var at time.Time
	if f.deadline = d; d != noDeadline {
		at = time.Now().Add(after)
	}
	_ = f.Conn.SetReadDeadline(at) // fails only on a closed connection
}

func (f *frameConn) explain(err error) error {
	if f.deadline == untilWhole && errors.Is(err, os.ErrDeadlineExceeded) {
		return errFragmentTimeout
	}
	return err
}

// Write sends the response that opens the WebSocket, then whole control frames
// that the library makes. Those take their place among the session's frames.
func (f *frameConn) Write(p []byte) (int, error) {
	if !f.socket.established {
		// The library does not tell what it has negotiated, but its response does.
		f.socket.deflate = bytes.Contains(p, []byte("\r\nSec-WebSocket-Extensions: permessage-deflate;"))
		if f.socket.opening {
			f.socket.queue = []*Message{{frames: bytes.Clone(p), uncompressed: true}}
			return len(p), nil
		}
		return f.Conn.Write(p)
	}
	return len(p), f.socket.sendControl(p)
}

// SetWriteDeadline does nothing once the WebSocket is open: the library would
// set it for its control frames, but the writes are not its own.
func (f *frameConn) SetWriteDeadline(t time.Time) error {
	if f.socket.established {
		return nil
	}
	return f.Conn.SetWriteDeadline(t)
}
