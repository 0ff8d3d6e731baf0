package engine

import (
	"bytes"
	"strings"
	"testing"
)

func TestWebSocket_DeflateOnlyWhenSwitchedOn(t *testing.T) {
	f := onSockets(t, Options{})
	f.dialer.EnableCompression = true
	conn, a := f.tryDial(socketQuery, nil)
	if a.err != nil {
		t.Fatal(a.err)
	}
	_ = conn.Close()
	if got := a.header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("negotiated %q", got)
	}
}

func TestWebSocket_DeflateInBothDirections(t *testing.T) {
	onEveryConn(t, Options{PerMessageDeflate: &PerMessageDeflate{}}, func(t *testing.T, f *fixture) {
		f.onText = echo
		plain, _ := f.openSocket() // without the extension
		f.dialer.EnableCompression = true
		c, r := f.openSocket()
		if r.session.socket.Load().deflate != true {
			t.Error("deflate was not negotiated")
		}
		for _, size := range []int{1, 1023, 1024, 100_000} {
			text := "4" + strings.Repeat("x", size)
			c.send(text)
			c.expect(text)
			plain.send(text)
			plain.expect(text)
		}
		m := NewMessage([]byte(strings.Repeat("y", 5000)), bytes.Repeat([]byte("z"), 5000))
		_ = r.session.Send(m)
		_ = r.session.Send(m.Uncompressed())
		for range 2 {
			c.expect("4"+strings.Repeat("y", 5000), "binary:"+strings.Repeat("z", 5000))
		}
	})
}

func TestWebSocket_BombIsCutAtMaxPayload(t *testing.T) {
	f := onSockets(t, Options{PerMessageDeflate: &PerMessageDeflate{}})
	f.dialer.EnableCompression = true
	bomb := frame(0xc1, string(deflate(bytes.Repeat([]byte("4"), 100<<20)))) // before the session, as this may take longer than a pong
	c, r := f.openSocket()
	before := heap()
	c.sendRaw(bomb)
	c.expectCode(1009)
	f.expectEnd(r, ReasonTransportError)
	if grown := heap() - before; grown > 10<<20 {
		t.Errorf("memory has grown by %d bytes", grown)
	}
	for name, raw := range map[string][]byte{
		"not deflated":             frame(0xc1, "not deflated"),
		"RSV1 on the continuation": append(frame(0x41, string(deflate([]byte("4x")))), frame(0xc0, "")...),
		"RSV1 on a ping":           frame(0xc9, "x"),
	} {
		c, r = f.openSocket()
		c.sendRaw(raw)
		c.expectCode(1002)
		if end := f.awaitEnd(r); end.reason != ReasonTransportError || len(r.messages()) != 0 {
			t.Errorf("%s: session ended with %v after %q", name, end, r.messages())
		}
	}
}

// What counts is the size after inflating, in however many frames it comes.
func TestWebSocket_InflatedSizeIsCompared(t *testing.T) {
	f := onSockets(t, Options{PerMessageDeflate: &PerMessageDeflate{}, MaxPayload: 10_000})
	f.dialer.EnableCompression = true
	exact := deflate([]byte("4" + strings.Repeat("x", 9999)))
	c, r := f.openSocket()
	c.sendRaw(frame(0xc1, string(exact)))
	c.sendRaw(append(frame(0x41, string(exact[:3])), frame(0x80, string(exact[3:]))...))
	f.expectMessages(r, strings.Repeat("x", 9999), strings.Repeat("x", 9999))
	f.expectOpen(r)

	more := deflate([]byte("4" + strings.Repeat("x", 10_000)))
	for name, raw := range map[string][]byte{
		"one frame":        frame(0xc1, string(more)),
		"fragments":        append(frame(0x41, string(more[:3])), frame(0x80, string(more[3:]))...),
		"binary":           frame(0xc2, string(more)),
		"bomb without end": frame(0x41, string(deflate(make([]byte, 10<<20)))),
	} {
		c, r := f.openSocket()
		c.sendRaw(raw)
		c.expectCode(1009)
		if end := f.awaitEnd(r); end.reason != ReasonTransportError || len(r.messages()) != 0 {
			t.Errorf("%s: session ended with %v after %d messages", name, end, len(r.messages()))
		}
	}
}
