package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestOpen_PacketOverPolling(t *testing.T) {
	f := onSockets(t, Options{})
	a := f.do("GET", pollQuery, "")
	sid := sidOf(t, a.body)
	a.expect(t, http.StatusOK, `0{"sid":"`+sid+`","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`)
	for name, want := range map[string]string{
		"Content-Type": "text/plain; charset=UTF-8", "Cache-Control": "no-store", "Set-Cookie": "",
		"Access-Control-Allow-Origin": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if s := f.next().session; s.ID() != sid || s.Transport() != "polling" {
		t.Errorf("session %q on %q", s.ID(), s.Transport())
	}
}

func TestOpen_PacketOverWebSocket(t *testing.T) {
	f := onSockets(t, Options{PingInterval: time.Second, PingTimeout: 2 * time.Second, MaxPayload: 5})
	c := f.dial(socketQuery)
	packet := c.read()
	if want := `0{"sid":"` + sidOf(t, packet) + `","upgrades":[],"pingInterval":1000,"pingTimeout":2000,"maxPayload":5}`; packet != want {
		t.Errorf("got %q, want %q", packet, want)
	}
}

func TestOpen_WhatAcceptSendsFollowsTheOpenPacket(t *testing.T) {
	f := onSockets(t, Options{})
	f.onOpen = func(r *recorder) {
		_ = r.session.Send(NewMessage([]byte("first")))
		_ = r.session.Send(NewMessage([]byte("second"), []byte("x")))
		if r.session.SendVolatile(NewMessage([]byte("volatile"))) {
			t.Error("a session is writable before its open packet")
		}
	}
	a := f.do("GET", pollQuery, "")
	if _, rest, _ := strings.Cut(a.body, "\x1e"); rest != "4first\x1e4second\x1ebeA==" {
		t.Errorf("polling: got %q after the open packet", rest)
	}
	c, _ := f.openSocket()
	c.expect("4first", "4second", "binary:x")
}

func TestOpen_SessionThatAcceptClosesEndsAfterItsOpenPacket(t *testing.T) {
	f := onSockets(t, Options{})
	f.onOpen = func(r *recorder) { r.session.Close() }
	a := f.do("GET", pollQuery, "")
	if !strings.HasSuffix(a.body, "\x1e1") {
		t.Errorf("polling: got %q", a.body)
	}
	f.expectEnd(f.next(), ReasonForcedClose)
	c := f.dial(socketQuery)
	sidOf(t, c.read())
	c.expectCode(1000)
	f.expectEnd(f.next(), ReasonForcedClose)
	if s := f.engine.Stats(); s.Polling != 0 || s.WebSocket != 0 || s.Opened != 2 || s.Closed[ReasonForcedClose] != 2 {
		t.Errorf("got %+v", s)
	}
}

func TestOpen_SessionThatAcceptClosesKeepsNoPlace(t *testing.T) {
	f := onSockets(t, Options{MaxConnections: 1})
	f.onOpen = func(r *recorder) { r.session.Close() }
	for range 2 {
		if a := f.do("GET", pollQuery, ""); a.status != http.StatusOK {
			t.Errorf("got %d %q", a.status, a.body)
		}
	}
	if f.engine.Lingers() {
		t.Error("a session is known whose client has heard of its end")
	}
}

func TestOpen_PanicOfAcceptIsAnswered500(t *testing.T) {
	f := onSockets(t, Options{})
	f.onOpen = func(*recorder) { panic("accept") }
	if a := f.do("GET", pollQuery, ""); a.status != http.StatusInternalServerError || strings.Contains(a.body, "accept") {
		t.Errorf("got %d %q", a.status, a.body)
	}
	if _, a := f.tryDial(socketQuery, nil); !errors.Is(a.err, io.ErrUnexpectedEOF) {
		t.Errorf("a WebSocket got %v, want its connection closed", a.err)
	}
	if got := f.engine.Stats().Panics; got != 2 {
		t.Errorf("counted %d panics, want 2", got)
	}
	f.onOpen = nil
	f.openSocket()
}

func TestOpen_CookieAndHeaderHooks(t *testing.T) {
	f := onSockets(t, Options{
		Cookie:         &http.Cookie{},
		InitialHeaders: func(h http.Header, _ *http.Request) { h.Set("X-Initial", "1") },
		Headers:        func(h http.Header, _ *http.Request) { h.Set("X-Every", "1") },
	})
	a := f.do("GET", pollQuery, "")
	sid := sidOf(t, a.body)
	if got, want := a.header.Get("Set-Cookie"), "io="+sid+"; Path=/; HttpOnly; SameSite=Lax"; got != want {
		t.Errorf("cookie is %q, want %q", got, want)
	}
	if a.header.Get("X-Initial") != "1" || a.header.Get("X-Every") != "1" {
		t.Errorf("first response has the headers %q", a.header)
	}
	a = f.do("POST", pollQuery+"&sid="+sid, "4x")
	if a.header.Get("X-Initial") != "" || a.header.Get("X-Every") != "1" || a.header.Get("Set-Cookie") != "" {
		t.Errorf("second response has the headers %q", a.header)
	}
	conn, a := f.tryDial(socketQuery, nil)
	if a.err != nil {
		t.Fatal(a.err)
	}
	_ = conn.Close()
	if a.header.Get("X-Initial") != "1" || a.header.Get("X-Every") != "1" || !strings.HasPrefix(a.header.Get("Set-Cookie"), "io=") {
		t.Errorf("WebSocket response has the headers %q", a.header)
	}
}

func TestOpen_CookieIsSecureOverTLS(t *testing.T) {
	f := newFixture(t, Options{Cookie: &http.Cookie{Name: "mine", Path: "/x"}})
	r := httptest.NewRequest("GET", "/", nil)
	r.TLS = &tls.ConnectionState{}
	header := http.Header{}
	f.engine.setInitialHeaders(header, r, "id")
	if got := header.Get("Set-Cookie"); got != "mine=id; Path=/x; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("cookie is %q", got)
	}
}
