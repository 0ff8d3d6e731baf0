package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
)

// guest is a client inside the process. It is in its rooms from the start, answers
// heartbeats, and counts the events that it gets.
type guest struct {
	conn    *websocket.Conn
	events  atomic.Int64
	reading sync.WaitGroup
}

// visit connects a guest; the server's handler of connections gives it its rooms.
func visit(ctx context.Context, network *pipenet.Network) (*guest, error) {
	dialer := websocket.Dialer{NetDialContext: network.Dial}
	conn, response, err := dialer.DialContext(ctx, "ws://pipe/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return nil, fmt.Errorf("scaling: visit: %w", err)
	}
	_ = response.Body.Close()
	g := &guest{conn: conn}
	if err := g.enter(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("scaling: visit: %w", err)
	}
	g.reading.Go(g.read)
	return g, nil
}

// enter returns when the guest is in its rooms: the server says so.
func (g *guest) enter() error {
	if err := g.conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		return err
	}
	for {
		switch _, text, err := g.conn.ReadMessage(); {
		case err != nil:
			return err
		case string(text) == welcome:
			return nil
		}
	}
}

func (g *guest) read() {
	for {
		_, text, err := g.conn.ReadMessage()
		switch {
		case err != nil:
			return
		case string(text) == "2":
			err = g.conn.WriteMessage(websocket.TextMessage, []byte("3"))
		case strings.HasPrefix(string(text), "42"):
			g.events.Add(1)
		}
		if err != nil {
			return
		}
	}
}

func (g *guest) leave() {
	_ = g.conn.Close()
	g.reading.Wait()
}
