package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds every wait of these tests; nothing should come near it.
const patience = 10 * time.Second

// client is a bare Socket.IO client over WebSocket.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	id   string
}

// dial connects to the default namespace of the server at address.
func dial(t *testing.T, address string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, response, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+address+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatalf("dial %s: %v", address, err)
	}
	response.Body.Close()
	c := &client{t: t, conn: conn}
	t.Cleanup(c.close)
	c.write("40")
	var connected struct{ SID string }
	c.decode(c.next("40"), &connected)
	c.id = connected.SID
	return c
}

func (c *client) close() { c.conn.Close() }

// readOn reads in the background as a browser does, so that the client answers
// when the server closes; the function that it returns waits for that end.
func (c *client) readOn() (ended func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for err := error(nil); err == nil; {
			_, _, err = c.conn.ReadMessage()
		}
	})
	return wg.Wait
}

func (c *client) write(packet string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// next returns what follows prefix in the next packet that begins with it, and
// answers heartbeats on the way.
func (c *client) next(prefix string) string {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		_, data, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		switch text := string(data); {
		case text == "2":
			c.write("3")
		case strings.HasPrefix(text, prefix):
			return strings.TrimPrefix(text, prefix)
		}
	}
}

// ask emits an event and decodes the first argument of its acknowledgement.
func (c *client) ask(event string, argument, reply any) {
	c.t.Helper()
	text, err := json.Marshal([]any{event, argument})
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("427" + string(text))
	var arguments []json.RawMessage
	c.decode(c.next("437"), &arguments)
	if len(arguments) > 0 && reply != nil {
		c.decode(string(arguments[0]), reply)
	}
}

// event decodes the argument of the next event of that name for which ok holds.
func event[T any](c *client, name string, ok func(T) bool) T {
	c.t.Helper()
	for {
		var argument T
		c.decode(c.next(fmt.Sprintf("42[%q,", name)), &argument)
		if ok(argument) {
			return argument
		}
	}
}

// decode reads one JSON value; what follows it, such as the end of an event's
// array, is of no interest.
func (c *client) decode(text string, v any) {
	c.t.Helper()
	if err := json.NewDecoder(strings.NewReader(text)).Decode(v); err != nil {
		c.t.Fatalf("decode %q: %v", text, err)
	}
}
