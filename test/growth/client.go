package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// dialer makes small connections: there are thousands.
var dialer = websocket.Dialer{ReadBufferSize: 512, WriteBufferSize: 512, WriteBufferPool: &sync.Pool{}, HandshakeTimeout: patience}

// client is one connection. Its methods are safe for concurrent use.
type client struct {
	conn *websocket.Conn

	mu sync.Mutex // guards writes
}

// dial connects to a server and joins namespaces.
func dial(ctx context.Context, addr string, namespaces []string) (*client, error) {
	conn, _, err := dialer.DialContext(ctx, "ws://"+addr+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return nil, fmt.Errorf("growth: %w", err)
	}
	// A reset leaves no port behind that has to wait.
	if tcp, ok := conn.NetConn().(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	m := &client{conn: conn}
	if err := m.enter(namespaces); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return m, nil
}

// enter does the handshakes of Engine.IO and Socket.IO.
func (m *client) enter(namespaces []string) error {
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	if err := m.hear("0{"); err != nil {
		return err
	}
	for _, name := range namespaces {
		if err := m.send("40" + qualifier(name)); err != nil {
			return err
		}
	}
	for range namespaces {
		if err := m.hear("40"); err != nil {
			return err
		}
	}
	return m.conn.SetReadDeadline(time.Time{})
}

// qualifier is how a packet names its namespace.
func qualifier(namespace string) string {
	if namespace == "/" {
		return ""
	}
	return namespace + ","
}

// hear reads a packet that must begin with prefix.
func (m *client) hear(prefix string) error {
	_, text, err := m.conn.ReadMessage()
	if err == nil && !strings.HasPrefix(string(text), prefix) {
		err = fmt.Errorf("the server says %.40q instead of %s", text, prefix)
	}
	if err != nil {
		return fmt.Errorf("growth: handshake: %w", err)
	}
	return nil
}

// send sends an Engine.IO packet.
func (m *client) send(packet string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("growth: %w", err)
	}
	if err := m.conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		return fmt.Errorf("growth: %w", err)
	}
	return nil
}

// next reads a packet and returns its first two bytes and its size.
func (m *client) next(head *[2]byte) (size int64, err error) {
	_, r, err := m.conn.NextReader()
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r, head[:])
	if err == io.ErrUnexpectedEOF {
		return int64(n), nil
	}
	if err != nil {
		return 0, err
	}
	rest, err := io.Copy(io.Discard, r)
	return int64(n) + rest, err
}
