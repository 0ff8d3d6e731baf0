package client

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxFrame is more than any server sends here.
const maxFrame = 1 << 20

// The opcodes of frames.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// bufferSize is small: there are ten thousand clients, and messages are too.
const bufferSize = 1 << 10

// errClosed says that the server has closed the WebSocket.
var errClosed = errors.New("client: closed by the server")

// refusedError is the answer of a server that takes no client.
type refusedError struct{ status int }

func (e *refusedError) Error() string { return fmt.Sprintf("client: refused with status %d", e.status) }

// wire is a WebSocket as far as this client needs one.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
}

// openWire connects to addr and upgrades the connection within limit.
func openWire(ctx context.Context, addr string, limit time.Duration) (*wire, error) {
	dialer := &net.Dialer{Timeout: limit}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	w := &wire{conn: conn, in: bufio.NewReaderSize(conn, bufferSize)}
	_ = conn.SetDeadline(time.Now().Add(limit))
	if err := w.upgrade(addr); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

func (w *wire) upgrade(addr string) error {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // it never fails
	_, err := fmt.Fprintf(w.conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
		addr, base64.StdEncoding.EncodeToString(nonce))
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	response, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		_ = response.Body.Close()
		return &refusedError{response.StatusCode}
	}
	return nil
}

// read returns the next text that the server sends. It answers WebSocket pings.
func (w *wire) read() ([]byte, error) {
	for {
		opcode, payload, err := w.readFrame()
		if err != nil {
			return nil, err
		}
		switch opcode {
		case opText:
			return payload, nil
		case opPing:
			if err := w.write(opPong, payload); err != nil {
				return nil, err
			}
		case opClose:
			return nil, errClosed
		}
	}
}

// readFrame reads a frame of the server, which has no mask and is not fragmented.
func (w *wire) readFrame() (opcode byte, payload []byte, err error) {
	var header [2]byte
	if _, err := io.ReadFull(w.in, header[:]); err != nil {
		return 0, nil, fmt.Errorf("client: %w", err)
	}
	size := uint64(header[1] & 0x7f)
	switch size {
	case 126:
		var long [2]byte
		_, err = io.ReadFull(w.in, long[:])
		size = uint64(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		_, err = io.ReadFull(w.in, long[:])
		size = binary.BigEndian.Uint64(long[:])
	}
	if err == nil && (size > maxFrame || header[0]&0x80 == 0) {
		err = errors.New("a frame of a form that is not expected")
	}
	if err == nil {
		payload = make([]byte, size)
		_, err = io.ReadFull(w.in, payload)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("client: %w", err)
	}
	return header[0] & 0x0f, payload, nil
}

// write sends a frame. Its mask is all zeros, which leaves the payload as it is:
// masks protect proxies, and there is none.
func (w *wire) write(opcode byte, payload []byte) error {
	frame := make([]byte, 0, len(payload)+14)
	frame = append(frame, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	default:
		frame = append(frame, 0x80|127)
		frame = binary.BigEndian.AppendUint64(frame, uint64(n))
	}
	frame = append(frame, 0, 0, 0, 0)
	if _, err := w.conn.Write(append(frame, payload...)); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}
