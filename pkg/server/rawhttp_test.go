package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	gosync "sync"
	"testing"
	"time"
)

// reset closes a TCP connection with a RST.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// silence is the status of an answer that did not come.
const silence = -1

// answer is an HTTP response; status 0 means that the connection was closed
// without one.
type answer struct {
	status int
	header http.Header
	body   string
}

// readAnswer reads a response to a request of the given method.
func readAnswer(conn net.Conn, r *bufio.Reader, method string) answer {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return answer{status: silence}
	case err != nil:
		return answer{}
	}
	defer func() { _ = response.Body.Close() }()
	var body []byte
	if response.StatusCode != http.StatusSwitchingProtocols {
		body, _ = io.ReadAll(response.Body) // a body that is cut shows in the comparison
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// ask sends a whole request, text as it is, and returns the answer.
func (v *victim) ask(t *testing.T, text string) answer {
	t.Helper()
	conn := v.connect(t)
	defer func() { _ = conn.Close() }()
	var writing gosync.WaitGroup
	writing.Go(func() { _, _ = io.WriteString(conn, text) }) // the server may refuse to read all of it
	defer writing.Wait()
	method, _, _ := strings.Cut(text, " ")
	a := readAnswer(conn, bufio.NewReader(conn), method)
	_ = conn.Close()
	return a
}

// request makes the text of a request with header lines and a body.
func request(method, query, body string, header ...string) string {
	if body != "" {
		header = append(header, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	lines := ""
	for _, h := range header {
		lines += h + "\r\n"
	}
	return method + " /socket.io/?" + query + " HTTP/1.1\r\nHost: victim\r\n" + lines + "\r\n" + body
}

// upgrading makes the text of a WebSocket handshake.
func upgrading(query string, header ...string) string {
	return request("GET", query, "", append([]string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, header...)...)
}

// The queries that open a session.
const (
	pollQuery   = "EIO=4&transport=polling"
	socketQuery = "EIO=4&transport=websocket"
)

// refused checks that an answer is the protocol's error of that code, over
// polling or to an upgrade.
func (a answer) refused(t *testing.T, what string, code int) {
	t.Helper()
	message := [...]string{"Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden", "Unsupported protocol version"}[code]
	want := fmt.Sprintf(`{"code":%d,"message":%q}`, code, message)
	if a.status != http.StatusBadRequest || a.body != want && a.body != message {
		t.Errorf("%s: got %d %q, want 400 %s", what, a.status, a.body, want)
	}
}
