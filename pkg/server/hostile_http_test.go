package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// poller is an attacker's polling session.
type poller struct {
	t   *testing.T
	v   *victim
	sid string
}

// open opens a polling session.
func (v *victim) open(t *testing.T) *poller {
	t.Helper()
	a := v.ask(t, request("GET", pollQuery, ""))
	return &poller{t, v, sidOf(t, a.body)}
}

// enter opens a polling session that is connected to the namespace "/".
func (v *victim) enter(t *testing.T) *poller {
	t.Helper()
	p := v.open(t)
	p.works()
	return p
}

// sidOf reads the session's id out of an open packet.
func sidOf(t *testing.T, packet string) string {
	t.Helper()
	var open struct {
		SID string `json:"sid"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(packet, "0")), &open); err != nil || open.SID == "" {
		t.Fatalf("%q is not an open packet: %v", packet, err)
	}
	return open.SID
}

func (p *poller) query() string { return pollQuery + "&sid=" + p.sid }

func (p *poller) get() answer { p.t.Helper(); return p.v.ask(p.t, request("GET", p.query(), "")) }

func (p *poller) post(body string, header ...string) answer {
	p.t.Helper()
	return p.v.ask(p.t, request("POST", p.query(), body, header...))
}

// works proves that the session lives and polls, by connecting or by an echo.
func (p *poller) works() {
	p.t.Helper()
	p.expects("40", `40{"sid":"`)
}

func (p *poller) echoes() {
	p.t.Helper()
	p.expects(`421["echo","alive"]`, `431["alive"]`)
}

func (p *poller) expects(packet, reply string) {
	p.t.Helper()
	if a := p.post(packet); a.status != http.StatusOK || a.body != "ok" {
		p.t.Fatalf("POST: got %d %q, want 200 ok", a.status, a.body)
	}
	for got := ""; !strings.Contains(got, reply); {
		a := p.get()
		if a.status != http.StatusOK {
			p.t.Fatalf("GET: got %d %q, want a packet %q", a.status, a.body, reply)
		}
		got = a.body
	}
}

// ended checks that the server has forgotten the session.
func (p *poller) ended() {
	p.t.Helper()
	for _, method := range []string{"GET", "POST"} {
		p.v.ask(p.t, request(method, p.query(), "")).refused(p.t, method+" after the end", 1)
	}
}

var oddNames = []string{"constructor", "__proto__", "hasOwnProperty", "toString", "prototype"}

func TestHostileHTTP_RequestsThatAreRefused(t *testing.T) {
	v := besiege(t, server.Options{})
	odd := append([]string{"", "POLLING", "WebSocket", "polling%00", "%00", "webtransport", "flashsocket"}, oddNames...)
	t.Run("unknown transport", func(t *testing.T) {
		v.ask(t, request("GET", "EIO=4", "")).refused(t, "none", 0)
		for _, name := range odd {
			query := "EIO=4&transport=" + name
			v.ask(t, request("GET", query, "")).refused(t, query, 0)
			v.ask(t, upgrading(query)).refused(t, "upgrade "+query, 0)
		}
		v.unharmed(t)
	})
	t.Run("unknown sid", func(t *testing.T) {
		for _, id := range append([]string{strings.Repeat("A", 4000), "..%2f..%2fetc%2fpasswd", "%c3%a9", "%ff%fe", "%00", "AAAAAAAAAAAAAAAAAAAA"}, oddNames...) {
			for _, method := range []string{"GET", "POST"} {
				v.ask(t, request(method, pollQuery+"&sid="+id, "")).refused(t, method+" "+id, 1)
			}
			v.ask(t, upgrading(socketQuery+"&sid="+id)).refused(t, "upgrade "+id, 1)
		}
		v.unharmed(t)
	})
	t.Run("malformed query", func(t *testing.T) {
		// Whoever drops what does not parse would take these for handshakes.
		for _, id := range []string{"%zz", "%", "a;b"} {
			v.ask(t, request("GET", pollQuery+"&sid="+id, "")).refused(t, "GET "+id, 3)
			v.ask(t, request("POST", pollQuery+"&sid="+id, "")).refused(t, "POST "+id, 3)
			v.ask(t, upgrading(socketQuery+"&sid="+id)).refused(t, "upgrade "+id, 3)
		}
		v.unharmed(t)
	})
	t.Run("handshake by another method", func(t *testing.T) {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "FOO"} {
			v.ask(t, request(method, pollQuery, "")).refused(t, method, 2)
		}
		v.unharmed(t)
	})
	t.Run("websocket without upgrade", func(t *testing.T) {
		v.ask(t, request("GET", socketQuery, "")).refused(t, "GET", 3)
		v.unharmed(t)
	})
	t.Run("protocol version", func(t *testing.T) {
		for _, eio := range []string{"", "EIO=3&", "EIO=5&", "EIO=04&", "EIO=4.0&", "EIO=%34%00&", "eio=4&"} {
			v.ask(t, request("GET", eio+"transport=polling", "")).refused(t, eio, 5)
			v.ask(t, upgrading(eio+"transport=websocket")).refused(t, "upgrade "+eio, 5)
		}
		v.unharmed(t)
	})
	if n := v.sessions(); n != 1 {
		t.Errorf("%d sessions exist, want only the bystander's", n)
	}
}

func TestHostileHTTP_OtherMethodsOnLiveSession(t *testing.T) {
	v := besiege(t, server.Options{})
	p := v.enter(t)
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "FOO"} {
		a := v.ask(t, request(method, p.query(), "", "X-Secret: pearl"))
		if a.status <= 0 || a.status == http.StatusOK || strings.Contains(a.body, "pearl") {
			t.Errorf("%s: got %d %q, want an error that echoes nothing", method, a.status, a.body)
		}
		p.echoes()
	}
}

func TestHostileHTTP_OversizedHeaders(t *testing.T) {
	v := besiege(t, server.Options{})
	for name, text := range map[string]string{
		"1 MB of headers":             request("GET", pollQuery, "", "X-Big: "+strings.Repeat("x", 1<<20)),
		"2,500 headers on an upgrade": upgrading(socketQuery, strings.Split(strings.Repeat("X-Many: xx\n", 2500), "\n")[:2500]...),
		"100 KB request line":         request("GET", pollQuery+"&x="+strings.Repeat("x", 100<<10), ""),
	} {
		t.Run(name, func(t *testing.T) {
			grows(t, 2<<20, func() {
				for range 10 {
					if a := v.ask(t, text); a.status != 0 && a.status/100 != 4 {
						t.Errorf("got %d, want 4xx or a close", a.status)
					}
				}
			})
			v.unharmed(t)
		})
	}
}

func TestHostileHTTP_WebSocketHandshakeHeaders(t *testing.T) {
	v := besiege(t, server.Options{})
	t.Run("blanks in Sec-WebSocket-Protocol", func(t *testing.T) {
		begin := time.Now()
		if a := v.ask(t, upgrading(socketQuery, "Sec-WebSocket-Protocol: a"+strings.Repeat(" ", 15_000)+"b")); a.status <= 0 {
			t.Error("no answer")
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("answered after %v, want less than 1 s", took)
		}
		v.unharmed(t)
	})
	t.Run("odd Sec-WebSocket-Extensions", func(t *testing.T) {
		for _, name := range oddNames {
			a := v.ask(t, upgrading(socketQuery, "Sec-WebSocket-Extensions: "+name))
			if a.status != http.StatusBadRequest && a.status != http.StatusSwitchingProtocols || a.header.Get("Sec-WebSocket-Extensions") != "" {
				t.Errorf("%s: got %d with extensions %q", name, a.status, a.header.Get("Sec-WebSocket-Extensions"))
			}
		}
		v.unharmed(t)
	})
	t.Run("Sec-WebSocket-Version", func(t *testing.T) {
		for _, version := range []string{"", "8", "12", "14", "013", "x"} {
			text := strings.Replace(upgrading(socketQuery), "Version: 13", "Version: "+version, 1)
			if a := v.ask(t, text); a.status != http.StatusBadRequest && a.status != http.StatusUpgradeRequired {
				t.Errorf("version %q: got %d, want 400 or 426", version, a.status)
			}
		}
		v.unharmed(t)
	})
}

func TestHostileHTTP_Origin(t *testing.T) {
	v := besiege(t, server.Options{})
	t.Run("control bytes", func(t *testing.T) {
		for _, c := range []string{"\x00", "\x7f", "\x01", "\r"} {
			for _, text := range []string{request("GET", pollQuery, "", "Origin: http://a"+c+"b"), upgrading(socketQuery, "Origin: http://a"+c+"b")} {
				if a := v.ask(t, text); a.status != 0 && a.status != http.StatusBadRequest {
					t.Errorf("%q: got %d, want 400 or a close", c, a.status)
				}
			}
		}
		v.unharmed(t)
	})
	t.Run("foreign by default", func(t *testing.T) {
		a := v.ask(t, request("GET", pollQuery, "", "Origin: http://evil.example"))
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("header %s: %s", name, a.header.Get(name))
			}
		}
		v.unharmed(t)
	})
	limited := besiege(t, server.Options{CORS: &server.CORS{Origins: []string{"https://good.example"}, Credentials: true}})
	t.Run("foreign when origins are set", func(t *testing.T) {
		for _, origin := range []string{"http://evil.example", "null", "https://good.example.evil.example", "https://good.example:444", "http://good.example", "https://GOOD.example.", "*"} {
			for _, text := range []string{request("GET", pollQuery, "", "Origin: "+origin), upgrading(socketQuery, "Origin: "+origin), request("OPTIONS", pollQuery, "", "Origin: "+origin)} {
				a := limited.ask(t, text)
				if a.status != http.StatusForbidden || a.header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s: got %d, allowed origin %q", origin, a.status, a.header.Get("Access-Control-Allow-Origin"))
				}
			}
		}
		a := limited.ask(t, request("GET", pollQuery, "", "Origin: https://good.example"))
		if got := a.header.Get("Access-Control-Allow-Origin"); a.status != http.StatusOK || got != "https://good.example" {
			t.Errorf("the allowed origin got %d and %q", a.status, got)
		}
		limited.unharmed(t)
	})
}

func TestHostileHTTP_NothingIsReflected(t *testing.T) {
	v := besiege(t, server.Options{})
	for _, poison := range []string{"\r\nX-Injected: yes", "\nX-Injected: yes", "\r\n\r\n<script>alert(1)</script>", "<script>alert(1)</script>"} {
		for _, parameter := range []string{"sid", "transport", "EIO", "j", "t"} {
			values := url.Values{"EIO": {"4"}, "transport": {"polling"}}
			values.Set(parameter, poison)
			for _, text := range []string{request("GET", values.Encode(), ""), upgrading(values.Encode())} {
				a := v.ask(t, text)
				if a.status <= 0 || a.header.Get("X-Injected") != "" || strings.Contains(a.body, "script") || strings.Contains(fmt.Sprint(a.header), "script") {
					t.Errorf("%s=%q: got %d, headers %v, body %q", parameter, poison, a.status, a.header, a.body)
				}
				if kind := a.header.Get("Content-Type"); strings.Contains(kind, "html") {
					t.Errorf("%s=%q: answered as %s", parameter, poison, kind)
				}
			}
		}
	}
	if a := v.ask(t, request("GET", pollQuery+"&j=0", "")); !strings.HasPrefix(a.body, `0{"sid":`) {
		t.Errorf("with j=0 the answer is %q, want a plain open packet", a.body)
	}
}

func TestHostileHTTP_NoFilesAndNoDebugPages(t *testing.T) {
	v := besiege(t, server.Options{})
	for _, path := range []string{
		"/../../etc/passwd", "/socket.io/../../etc/passwd", "/socket.io/%2e%2e/%2e%2e/etc/passwd", "/socket.io/..%2f..%2fetc%2fpasswd",
		"/debug/pprof/", "/debug/vars", "/socket.io/../debug/pprof/", "/metrics", "/socket.io/%2e%2e/metrics",
	} {
		a := v.ask(t, "GET "+path+" HTTP/1.1\r\nHost: victim\r\n\r\n")
		if a.status == http.StatusOK || strings.Contains(a.body, "root:") || strings.Contains(a.body, "goroutine") {
			t.Errorf("%s: got %d %.60q", path, a.status, a.body)
		}
	}
	r := &http.Request{Method: "GET", Host: "victim", URL: &url.URL{Path: "/debug/pprof/"}}
	if _, pattern := http.DefaultServeMux.Handler(r); pattern != "" {
		t.Errorf("a debug page is registered for everybody at %q", pattern)
	}
}

func TestHostileHTTP_GuessedIDsCostNothing(t *testing.T) {
	v := besiege(t, server.Options{})
	conn := v.connect(t)
	reader := bufio.NewReader(conn)
	grows(t, 1<<20, func() {
		for n := range 2000 {
			_, _ = io.WriteString(conn, request("GET", pollQuery+fmt.Sprintf("&sid=%020d", n), ""))
			readAnswer(conn, reader, "GET").refused(t, "a guess", 1)
		}
	})
	v.unharmed(t)
}

// The answers are read, so that fake time stands still until all sessions exist.
func TestHostileHTTP_UnusedHandshakes(t *testing.T) {
	besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
		conn := v.connect(t)
		reader := bufio.NewReader(conn)
		grows(t, 80<<20, func() {
			for range 3000 {
				_, _ = io.WriteString(conn, request("GET", pollQuery, ""))
				if a := readAnswer(conn, reader, "GET"); a.status != http.StatusOK {
					t.Fatalf("handshake: got %d %q", a.status, a.body)
				}
			}
		})
		if n := v.sessions(); n != 3001 {
			t.Errorf("%d sessions exist, want 3001", n)
		}
		time.Sleep(46 * time.Second)
		synctest.Wait()
		if n := v.sessions(); n != 1 {
			t.Errorf("%d sessions are left after the ping timeout, want only the bystander's", n)
		}
	})
}

func TestHostileHTTP_SessionResponsesAreNotStored(t *testing.T) {
	v := besiege(t, server.Options{})
	p := v.open(t)
	for name, a := range map[string]answer{
		"handshake": v.ask(t, request("GET", pollQuery, "")),
		"POST":      p.post("40"),
		"GET":       p.get(),
		"refusal":   v.ask(t, request("GET", pollQuery+"&sid=x", "")),
		"PUT":       v.ask(t, request("PUT", p.query(), "")),
	} {
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control is %q, want no-store", name, got)
		}
	}
}
