//go:build integration

package integration

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Clients that connect at full rate and send CONNECT without waiting for anything
// are all answered.
func TestHandshake_ManyClientsThatSendAtOnceAreAllAnswered(t *testing.T) {
	nodes, _ := startNodes(t)
	const clients, workers = 2000, 64
	urls := make(chan string)
	failures := make(chan error, clients)
	conns := make(chan *websocket.Conn, clients)
	start := time.Now()
	var connecting sync.WaitGroup
	for range workers {
		connecting.Go(func() {
			for url := range urls {
				conn, err := connectAtOnce(url)
				if err != nil {
					failures <- err
				} else {
					conns <- conn
				}
			}
		})
	}
	for i := range clients {
		urls <- nodes[i%len(nodes)].url
	}
	close(urls)
	connecting.Wait()
	took := time.Since(start)
	close(failures)
	close(conns)
	for err := range failures {
		t.Error(err)
	}
	t.Logf("%d clients in %v, %.0f/s", clients, took, clients/took.Seconds())
	sockets := 0
	for _, n := range nodes {
		sockets += len(n.Of("/").Sockets())
	}
	if sockets != len(conns) {
		t.Errorf("the nodes have %d sockets, want %d", sockets, len(conns))
	}
	if err := nodes[0].Emit("all"); err != nil {
		t.Fatal(err)
	}
	for conn := range conns {
		if err := expect(conn, `42["all"]`); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
}

// connectAtOnce opens a WebSocket, sends CONNECT before anything was received, and
// reads the two answers.
func connectAtOnce(url string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	conn, response, err := dialer.Dial("ws"+strings.TrimPrefix(url, "http")+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	_ = response.Body.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		return nil, fmt.Errorf("send CONNECT: %w", err)
	}
	for _, prefix := range []string{`0{"sid":"`, `40{"sid":"`} {
		if err := expect(conn, prefix); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// expect reads a message that begins with prefix.
func expect(conn *websocket.Conn, prefix string) error {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, data, err := conn.ReadMessage()
	if err != nil {
		return fmt.Errorf("wait for %q: %w", prefix, err)
	}
	if !strings.HasPrefix(string(data), prefix) {
		return fmt.Errorf("got %q, want %q", data, prefix)
	}
	return nil
}
