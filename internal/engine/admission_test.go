package engine

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The answers of the protocol to refused requests.
const (
	unknownTransport   = `{"code":0,"message":"Transport unknown"}`
	unknownSession     = `{"code":1,"message":"Session ID unknown"}`
	badMethod          = `{"code":2,"message":"Bad handshake method"}`
	badRequestBody     = `{"code":3,"message":"Bad request"}`
	unsupportedVersion = `{"code":5,"message":"Unsupported protocol version"}`
)

func TestHandshake_RefusalsOverHTTP(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	_, ws := f.openSocket()
	type test struct{ method, query, want string }
	tests := map[string]test{
		"no transport":              {"GET", "EIO=4", unknownTransport},
		"wrong case":                {"GET", "EIO=4&transport=Polling", unknownTransport},
		"encoded zero byte":         {"GET", "EIO=4&transport=polling%00", unknownTransport},
		"webtransport":              {"GET", "EIO=4&transport=webtransport", unknownTransport},
		"unknown session":           {"GET", pollQuery + "&sid=x", unknownSession},
		"unknown session, POST":     {"POST", pollQuery + "&sid=x", unknownSession},
		"path in the sid":           {"GET", pollQuery + "&sid=..%2f..%2fetc%2fpasswd", unknownSession},
		"sid not ASCII":             {"GET", pollQuery + "&sid=%F0%9F%98%80", unknownSession},
		"long sid":                  {"GET", pollQuery + "&sid=" + strings.Repeat("a", 4000), unknownSession},
		"WebSocket without upgrade": {"GET", socketQuery, badRequestBody},
		"no EIO":                    {"GET", "transport=polling", unsupportedVersion},
		"EIO 3":                     {"GET", "EIO=3&transport=polling", unsupportedVersion},
		"other transport":           {"GET", socketQuery + "&sid=" + p.sid, badRequestBody},
		"sid of a WebSocket":        {"GET", pollQuery + "&sid=" + ws.session.ID(), badRequestBody},
		"sid of a WebSocket, POST":  {"POST", pollQuery + "&sid=" + ws.session.ID(), badRequestBody},
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
		tests["handshake by "+method] = test{method, pollQuery, badMethod}
	}
	for _, name := range []string{"constructor", "__proto__", "hasOwnProperty", "toString", "prototype"} {
		tests["transport "+name] = test{"GET", "EIO=4&transport=" + name, unknownTransport}
		tests["sid "+name] = test{"GET", pollQuery + "&sid=" + name, unknownSession}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := f.do(tt.method, tt.query, "")
			a.expect(t, http.StatusBadRequest, tt.want)
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q", got)
			}
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type is %q", got)
			}
		})
	}
	f.expectOpen(r)
	f.expectOpen(ws)
}

func TestHandshake_RefusalsOfUpgrades(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	tests := map[string]struct{ query, want string }{
		"unknown transport": {"EIO=4&transport=constructor", "Transport unknown"},
		"polling":           {pollQuery, "Bad request"},
		"polling with sid":  {p.query(), "Bad request"},
		"unknown session":   {socketQuery + "&sid=__proto__", "Session ID unknown"},
		"no EIO":            {"transport=websocket", "Unsupported protocol version"},
		"EIO 3":             {"EIO=3&transport=websocket", "Unsupported protocol version"},
		"sid, no EIO":       {"transport=websocket&sid=" + p.sid, "Unsupported protocol version"},
		"sid, EIO 3":        {"EIO=3&transport=websocket&sid=" + p.sid, "Unsupported protocol version"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, a := f.tryDial(tt.query, nil)
			if a.status != http.StatusBadRequest || a.body != tt.want {
				t.Errorf("got %d %q, want 400 %q", a.status, a.body, tt.want)
			}
		})
	}
	f.expectOpen(r)
	p.upgrade(r)
}

func TestHandshake_WebSocketHeadersOfHostileClients(t *testing.T) {
	f := onSockets(t, Options{PerMessageDeflate: &PerMessageDeflate{}})
	request := func(name, value string) *http.Response {
		r, err := http.NewRequest("GET", f.base+"?"+socketQuery, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
		}
		r.Header.Set(name, value)
		response, err := f.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response
	}
	if got := request("Sec-WebSocket-Version", "12").StatusCode; got != http.StatusBadRequest {
		t.Errorf("version 12 got %d, want 400", got)
	}
	if got := request("Sec-WebSocket-Key", "x").StatusCode; got != http.StatusBadRequest {
		t.Errorf("bad key got %d, want 400", got)
	}
	for _, extension := range []string{"constructor", "__proto__"} {
		if got := request("Sec-WebSocket-Extensions", extension).Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("extension %q was negotiated as %q", extension, got)
		}
	}
	start := time.Now()
	conn, a := f.tryDial(socketQuery, http.Header{"Sec-Websocket-Protocol": {"x" + strings.Repeat(" ", 15_000) + "x"}})
	if a.err != nil {
		t.Fatalf("thousands of blanks: %v", a.err)
	}
	_ = conn.Close()
	if took := time.Since(start); took > time.Second {
		t.Errorf("thousands of blanks took %v", took)
	}
}

func TestHandshake_NothingIsReflected(t *testing.T) {
	f := onSockets(t, Options{})
	script := url.QueryEscape("<script>alert(1)</script>\r\nX-Injected: 1")
	for _, query := range []string{
		"EIO=4&transport=" + script, pollQuery + "&sid=" + script, "transport=polling&EIO=" + script,
		pollQuery + "&j=" + script, pollQuery + "&t=" + script,
	} {
		a := f.do("GET", query, "")
		if strings.Contains(a.body, "script") || a.header.Get("X-Injected") != "" {
			t.Errorf("%s is reflected: %q %q", query, a.header, a.body)
		}
	}
	if a := f.do("TRACE", pollQuery, "", "X-Secret", "secret"); strings.Contains(a.body, "secret") {
		t.Errorf("TRACE echoes %q", a.body)
	}
	a := f.do("GET", pollQuery+"&j=0", "")
	if !strings.HasPrefix(a.body, "0{") {
		t.Errorf("j makes the answer %q", a.body)
	}
}

func TestHandshake_OriginWithControlBytesIsRefused(t *testing.T) {
	for value, want := range map[string]bool{
		"": true, "https://a.example": true, "a\tb": true, "\xe9": true,
		"a\x00b": false, "a\x7fb": false, "a\x01": false, "a\rb": false, "a\nb": false,
	} {
		if got := validHeader(value); got != want {
			t.Errorf("%q is valid: %v, want %v", value, got, want)
		}
	}
}

func TestHandshake_ErrorOfAllowRequestReachesTheClient(t *testing.T) {
	var refused atomic.Pointer[Refusal]
	f := onSockets(t, Options{
		AllowRequest: func(r *http.Request) error {
			if r.Header.Get("X-Token") == "" {
				return errors.New("no token")
			}
			return nil
		},
		OnRefused: func(_ *http.Request, refusal Refusal) { refused.Store(&refusal) },
	})
	f.do("GET", pollQuery, "").expect(t, http.StatusForbidden, `{"code":4,"message":"no token"}`)
	if got := refused.Load(); got == nil || got.Code != 4 || got.Message != "no token" || got.Reason != "forbidden" {
		t.Errorf("OnRefused got %+v", got)
	}
	if _, a := f.tryDial(socketQuery, nil); a.status != http.StatusBadRequest || a.body != "no token" {
		t.Errorf("WebSocket got %d %q, want 400", a.status, a.body)
	}
	// The version is checked last.
	f.do("GET", "transport=polling", "").expect(t, http.StatusForbidden, `{"code":4,"message":"no token"}`)
	a := f.do("GET", pollQuery, "", "X-Token", "1")
	if a.status != http.StatusOK {
		t.Fatalf("with a token: %d", a.status)
	}
	// Requests of the session are not asked again.
	f.do("POST", pollQuery+"&sid="+sidOf(t, a.body), "4x").expect(t, http.StatusOK, "ok")
}

func TestHandshake_BeyondMaxConnectionsIs503(t *testing.T) {
	asked := 0
	ask := func(*http.Request) error { asked++; return nil }
	f := onSockets(t, Options{
		MaxConnections: 2, AllowRequest: ask, InitialHeaders: func(_ http.Header, r *http.Request) { _ = ask(r) },
		NewID: func(r *http.Request) (string, error) { return strconv.Itoa(asked), ask(r) },
	})
	f.openPolling()
	c, r := f.openSocket()
	f.do("GET", pollQuery, "").expectLater(t)
	if _, a := f.tryDial(socketQuery, nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("WebSocket got %d, want 503", a.status)
	}
	if asked != 6 {
		t.Errorf("the application was asked %d times, want 3 for each session and none for who is refused", asked)
	}
	if got := f.engine.Stats().Refused[reasonConnections]; got != 2 {
		t.Errorf("counted %d, want 2", got)
	}
	_ = c.conn.Close()
	f.awaitEnd(r)
	f.openPolling()
}

func TestHandshake_RateIsATokenBucket(t *testing.T) {
	allowed := 0
	ask := func(*http.Request) error { allowed++; return nil }
	inBubble(t, Options{MaxHandshakesPerSecond: 3, AllowRequest: ask}, func(f *fixture) {
		count := func(n int) (opened int) {
			for range n {
				a := f.do("GET", pollQuery, "")
				if a.status == http.StatusOK {
					opened++
				} else {
					a.expectLater(t)
				}
			}
			return opened
		}
		for _, want := range []int{3, 3, 3} { // a burst, then what has come since
			if got := count(5); got != want {
				t.Errorf("%d of 5 handshakes passed, want %d", got, want)
			}
			<-time.After(time.Second)
		}
		<-time.After(time.Hour)
		if got := count(5); got != 3 {
			t.Errorf("%d of 5 handshakes passed after a pause, want 3", got)
		}
	})
	if allowed != 12 {
		t.Errorf("the application was asked %d times for 12 sessions", allowed)
	}
}

// expectLater says that the client is to try again, in a few seconds.
func (a answer) expectLater(t *testing.T) {
	t.Helper()
	after, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != http.StatusServiceUnavailable || err != nil || after < 1 || after > maxRetryAfter {
		t.Errorf("got %d, Retry-After %q, want 503 and 1 to %d s", a.status, a.header.Get("Retry-After"), maxRetryAfter)
	}
}

func TestRefusal_WhoIsRefusedTogetherIsNotToldTheSameTime(t *testing.T) {
	f := onSockets(t, Options{MaxConnections: 1})
	f.openPolling()
	told := map[string]bool{}
	for range 100 {
		told[f.do("GET", pollQuery, "").header.Get("Retry-After")] = true
	}
	if len(told) != maxRetryAfter {
		t.Errorf("100 clients were told %v, want %d different times", told, maxRetryAfter)
	}
}

func TestHandshake_GuessedSessionIDsLeaveNothing(t *testing.T) {
	f := onSockets(t, Options{})
	for i := range 2000 {
		f.do("GET", fmt.Sprintf("%s&sid=%020d", pollQuery, i), "").expect(t, http.StatusBadRequest, unknownSession)
	}
	if n := len(f.engine.snapshot()); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestHandshake_TransportsThatAreOffAreUnknown(t *testing.T) {
	f := onSockets(t, Options{Transports: []string{"websocket"}})
	f.do("GET", pollQuery, "").expect(t, http.StatusBadRequest, unknownTransport)
	f.openSocket()
	g := onSockets(t, Options{Transports: []string{"polling"}})
	if _, a := g.tryDial(socketQuery, nil); a.body != "Transport unknown" {
		t.Errorf("got %q", a.body)
	}
	if a := g.do("GET", pollQuery, ""); !strings.Contains(a.body, `"upgrades":[]`) {
		t.Errorf("got %q, want no upgrades", a.body)
	}
}
