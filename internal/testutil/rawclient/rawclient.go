// Package rawclient speaks Socket.IO over a WebSocket, byte by byte, so that tests
// can say exactly what travels, also what no real client would send.
package rawclient

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds every wait of a client; a test that needs it has failed.
const patience = 10 * time.Second

// Client is one WebSocket connection. It answers pings by itself while somebody
// reads. Its methods end the test when they fail, and are for one goroutine,
// but Send may be called beside the others.
type Client struct {
	t    testing.TB
	conn *websocket.Conn

	mu sync.Mutex // guards writing
}

// Dialer makes connections for tests; nil means TCP.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Dial opens a session over WebSocket at base, such as "http://127.0.0.1:3000",
// and reads the open packet. The connection is closed when the test ends.
func Dial(t testing.TB, base string, dial Dialer) *Client {
	t.Helper()
	dialer := websocket.Dialer{NetDialContext: dial, HandshakeTimeout: patience}
	url := "ws" + strings.TrimPrefix(base, "http") + "/socket.io/?EIO=4&transport=websocket"
	conn, response, err := dialer.Dial(url, nil)
	if err != nil {
		t.Fatalf("dial %s: %v", url, err)
	}
	_ = response.Body.Close()
	c := &Client{t: t, conn: conn}
	t.Cleanup(func() { _ = conn.Close() })
	if open := c.read(); !strings.HasPrefix(open, `0{"sid":"`) {
		t.Fatalf("first packet is %q, want an open packet", open)
	}
	return c
}

// Join opens a session and connects it to namespace.
func Join(t testing.TB, base, namespace string, dial Dialer) (client *Client, id string) {
	t.Helper()
	c := Dial(t, base, dial)
	return c, c.Connect(namespace, "")
}

// Connect joins namespace with an auth payload, which may be empty, and returns
// the socket's id.
func (c *Client) Connect(namespace, auth string) string {
	c.t.Helper()
	prefix := ""
	if namespace != "/" {
		prefix = namespace + ","
	}
	c.Send("0" + prefix + auth)
	reply := c.Next()
	payload, ok := strings.CutPrefix(reply, "0"+prefix)
	var connected struct {
		SID string `json:"sid"`
	}
	if !ok || json.Unmarshal([]byte(payload), &connected) != nil || connected.SID == "" {
		c.t.Fatalf("the answer to CONNECT is %q", reply)
	}
	return connected.SID
}

// EnterRooms has the event "join" put the client of the namespace "/" into rooms, and waits
// for its acknowledgement. It is the first event of the client that wants one.
func (c *Client) EnterRooms(rooms ...string) {
	c.t.Helper()
	names, err := json.Marshal(rooms)
	if err != nil {
		c.t.Fatal(err)
	}
	c.Send(`21["join",` + string(names) + `]`)
	c.Expect(`31[]`)
}

// Send sends a Socket.IO packet's text.
func (c *Client) Send(packet string) { c.SendRaw("4" + packet) }

// SendRaw sends a text frame as it is.
func (c *Client) SendRaw(text string) {
	c.t.Helper()
	c.write(websocket.TextMessage, []byte(text))
}

// SendBinary sends an attachment.
func (c *Client) SendBinary(data []byte) {
	c.t.Helper()
	c.write(websocket.BinaryMessage, data)
}

func (c *Client) write(kind int, data []byte) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.WriteMessage(kind, data); err != nil {
		c.t.Logf("write: %v", err) // the server may have closed already, which the test sees when it reads
	}
}

// Next returns the text of the next Socket.IO packet, or an attachment with
// "binary:" in front.
func (c *Client) Next() string {
	c.t.Helper()
	text := c.read()
	if strings.HasPrefix(text, "binary:") {
		return text
	}
	packet, ok := strings.CutPrefix(text, "4")
	if !ok {
		c.t.Fatalf("got the Engine.IO packet %q, want a message", text)
	}
	return packet
}

// Expect reads packets and compares them with want.
func (c *Client) Expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.Next(); got != w {
			c.t.Fatalf("got packet %q, want %q", got, w)
		}
	}
}

// ExpectNothing proves that nothing was sent to the socket of namespace up to
// now: it lets the server answer an event named "sync" and expects that answer
// as the next packet. The server acknowledges such events.
func (c *Client) ExpectNothing(namespace string) {
	c.t.Helper()
	prefix := ""
	if namespace != "/" {
		prefix = namespace + ","
	}
	c.Send("2" + prefix + `999["sync"]`)
	c.Expect("3" + prefix + "999[]")
}

// ExpectClose reads until the server closes the connection and returns the packets
// that came before.
func (c *Client) ExpectClose() (before []string) {
	c.t.Helper()
	for {
		text, err := c.tryRead()
		if err == nil {
			before = append(before, text)
			continue
		}
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			c.t.Fatalf("the server did not close the connection; got %q", before)
		}
		return before
	}
}

// CloseCode returns the code of the close frame that ends the connection.
func (c *Client) CloseCode() int {
	c.t.Helper()
	for {
		_, err := c.tryRead()
		if err == nil {
			continue
		}
		if end, ok := err.(*websocket.CloseError); ok {
			return end.Code
		}
		c.t.Fatalf("the connection ended without a close frame: %v", err)
	}
}

// Close drops the connection without a close frame.
func (c *Client) Close() { _ = c.conn.Close() }

// Conn returns the WebSocket, for what the methods above cannot do.
func (c *Client) Conn() *websocket.Conn { return c.conn }

func (c *Client) read() string {
	c.t.Helper()
	text, err := c.tryRead()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return text
}

// tryRead returns the next frame that is not a ping.
func (c *Client) tryRead() (string, error) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		kind, data, err := c.conn.ReadMessage()
		switch {
		case err != nil:
			return "", err
		case kind == websocket.BinaryMessage:
			return "binary:" + string(data), nil
		case string(data) == "2":
			c.SendRaw("3")
		default:
			return string(data), nil
		}
	}
}
