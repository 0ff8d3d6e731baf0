// Package check proves that a chat works behind a router.
package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// Chat starts routes on 127.0.0.1 and has two clients talk to each other: one that
// begins with WebSocket, and one that polls and then upgrades. Other routes still
// answer.
func Chat(t *testing.T, chat *server.Server, routes http.Handler) {
	t.Helper()
	web := httptest.NewServer(routes)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := chat.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	one, id := rawclient.Join(t, web.URL, "/", nil)
	one.Send(`20["enter","lobby"]`)
	one.Expect(`30[]`)

	two := poll(t, web.URL)
	two.post(`40`)
	two.get() // the answer to CONNECT
	two.post(`420["enter","lobby"]`)
	two.expect(`430[]`)
	two.upgrade()

	one.Send(`2["say",{"Room":"lobby","Text":"hello"}]`)
	said := fmt.Sprintf(`2["said",%q,"hello"]`, id)
	one.Expect(said)
	two.expect("4" + said)

	if got := fetch(t, http.MethodGet, web.URL+"/hello", ""); got != "hello" {
		t.Errorf("another route answers %q", got)
	}
}

// Writer proves that the router's http.ResponseWriter gives a handler what the
// server needs: deadlines, and the connection itself.
func Writer(t *testing.T, routes func(http.Handler) http.Handler) {
	t.Helper()
	tried := make(chan error, 3)
	probe := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		tried <- c.SetReadDeadline(time.Now().Add(time.Minute))
		tried <- c.SetWriteDeadline(time.Now().Add(time.Minute))
		conn, _, err := c.Hijack()
		tried <- err
		if err == nil {
			_ = conn.Close()
		}
	})
	web := httptest.NewServer(routes(probe))
	t.Cleanup(web.Close)
	if response, err := http.Get(web.URL + "/socket.io/?EIO=4"); err == nil {
		_ = response.Body.Close()
		t.Errorf("got the status %d, want a closed connection", response.StatusCode)
	}
	for _, what := range []string{"SetReadDeadline", "SetWriteDeadline", "Hijack"} {
		if err := <-tried; err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// poller is a client that begins with HTTP long-polling.
type poller struct {
	t    *testing.T
	base string // the server's address
	url  string // of the session
	conn *websocket.Conn
}

func poll(t *testing.T, base string) *poller {
	t.Helper()
	p := &poller{t: t, base: base, url: base + "/socket.io/?EIO=4&transport=polling"}
	var handshake struct {
		SID      string   `json:"sid"`
		Upgrades []string `json:"upgrades"`
	}
	open, ok := strings.CutPrefix(p.get(), "0")
	if !ok || json.Unmarshal([]byte(open), &handshake) != nil || len(handshake.Upgrades) != 1 {
		t.Fatalf("the first packet is %q", open)
	}
	p.url += "&sid=" + handshake.SID
	return p
}

func (p *poller) get() string {
	p.t.Helper()
	return fetch(p.t, http.MethodGet, p.url, "")
}

func (p *poller) post(packet string) {
	p.t.Helper()
	if got := fetch(p.t, http.MethodPost, p.url, packet); got != "ok" {
		p.t.Fatalf("the answer to a POST is %q", got)
	}
}

// upgrade moves the session to WebSocket. See Engine.IO v4, "Upgrade".
func (p *poller) upgrade() {
	p.t.Helper()
	url := "ws" + strings.TrimPrefix(strings.Replace(p.url, "transport=polling", "transport=websocket", 1), "http")
	conn, response, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = response.Body.Close()
	p.t.Cleanup(func() { _ = conn.Close() })
	p.conn = conn
	p.send("2probe")
	p.expect("3probe")
	p.send("5")
}

func (p *poller) send(packet string) {
	p.t.Helper()
	if err := p.conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		p.t.Fatal(err)
	}
}

// expect reads the next packet over the session's transport.
func (p *poller) expect(want string) {
	p.t.Helper()
	got := ""
	if p.conn == nil {
		got = p.get()
	} else {
		_ = p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, data, err := p.conn.ReadMessage()
		if err != nil {
			p.t.Fatal(err)
		}
		got = string(data)
	}
	if got != want {
		p.t.Fatalf("got %q, want %q", got, want)
	}
}

// fetch makes one request and returns the body of its answer.
func fetch(t *testing.T, method, url, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: status %d, %q, %v", method, url, response.StatusCode, data, err)
	}
	return string(data)
}
