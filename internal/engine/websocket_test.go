package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// onEveryConn runs a test on real sockets, which are read and written without
// blocking, and over TLS, where they cannot be.
func onEveryConn(t *testing.T, o Options, test func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Run("raw", func(t *testing.T) { test(t, onSockets(t, o)) })
	t.Run("TLS", func(t *testing.T) { test(t, onTLS(t, o)) })
}

// echo sends back what a session gets.
func echo(r *recorder, data []byte) error { return r.session.Send(NewMessage(data)) }

func TestWebSocket_MessagesOfEverySizeAndKind(t *testing.T) {
	onEveryConn(t, Options{}, func(t *testing.T, f *fixture) {
		f.onText = echo
		c, r := f.openSocket()
		for _, size := range []int{0, 1, 118, 119, 120, 250, 1000, 4090, 5000, 65_535, 70_000, 999_990} {
			text := strings.Repeat("x", size)
			c.send("4" + text)
			c.expect("4" + text)
			if err := c.conn.WriteMessage(websocket.BinaryMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
			c.expect("4binary:" + text)
		}
		f.expectOpen(r)
	})
}

func TestWebSocket_BinaryMayComeAsText(t *testing.T) {
	f := onSockets(t, Options{})
	c, r := f.openSocket()
	c.send("4a")
	c.send("bAQID")
	c.send("b")
	f.expectMessages(r, "a", "binary:\x01\x02\x03", "binary:")
	c.send("bAQI") // no padding
	f.expectEnd(r, ReasonParseError)
}

func TestWebSocket_ClientWithoutBinaryFramesGetsText(t *testing.T) {
	f := onSockets(t, Options{})
	message := NewMessage([]byte("a"), []byte{1, 2, 3}, nil)

	c := f.dial(socketQuery + "&b64=1")
	c.read()
	r := f.next()
	_ = r.session.Send(message)
	r.session.SendVolatile(message)
	c.expect("4a", "bAQID", "b")
	c.expect("4a", "bAQID", "b")

	p, r := f.openPolling()
	c = p.dial(socketQuery + "&b64=1&sid=" + p.sid)
	c.send("2probe")
	c.expect("3probe")
	_ = r.session.Send(message)
	c.send("5")
	c.expect("4a", "bAQID", "b")
	f.expectOpen(r)
}

func TestWebSocket_MessageOfExactlyMaxPayloadIsAccepted(t *testing.T) {
	onEveryConn(t, Options{MaxPayload: 1000}, func(t *testing.T, f *fixture) {
		c, r := f.openSocket()
		c.send("4" + strings.Repeat("x", 999))
		c.send("4" + strings.Repeat("x", 1000))
		c.expectCode(1009)
		f.expectEnd(r, ReasonTransportError)
		if got := r.messages(); len(got) != 1 || len(got[0]) != 999 {
			t.Errorf("received %d messages", len(got))
		}
	})
}

// long returns a header that announces a length, without payload.
func long(first byte, size uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 0xff}, size), 0, 0, 0, 0)
}

func TestWebSocket_ViolationsCloseTheConnection(t *testing.T) {
	fragments := append(frame(0x01, "4"), bytes.Repeat(frame(0x00, "x"), 20)...)
	tests := map[string]struct {
		bytes  []byte
		code   int
		reason Reason
	}{
		"unmasked":                      {[]byte{0x81, 1, '4'}, 1002, ReasonTransportError},
		"RSV1":                          {frame(0xc1, "4x"), 1002, ReasonTransportError},
		"RSV2":                          {frame(0xa1, "4x"), 1002, ReasonTransportError},
		"RSV3":                          {frame(0x91, "4x"), 1002, ReasonTransportError},
		"reserved opcode":               {frame(0x83, "4x"), 1002, ReasonTransportError},
		"reserved control opcode":       {frame(0x8b, ""), 1002, ReasonTransportError},
		"long ping":                     {frame(0x89, strings.Repeat("x", 126)), 1002, ReasonTransportError},
		"fragmented ping":               {frame(0x09, "x"), 1002, ReasonTransportError},
		"continuation without start":    {frame(0x80, "x"), 1002, ReasonTransportError},
		"message inside a fragmented":   {append(frame(0x01, "4"), frame(0x81, "4x")...), 1002, ReasonTransportError},
		"length 2^63":                   {long(0x81, 1<<63), 1002, ReasonTransportError},
		"length 2^64-1":                 {long(0x82, 1<<64-1), 1002, ReasonTransportError},
		"length 2^63-1":                 {long(0x81, 1<<63-1), 1009, ReasonTransportError},
		"length 2^62":                   {long(0x81, 1<<62), 1009, ReasonTransportError},
		"length 2^32":                   {long(0x81, 1<<32), 1009, ReasonTransportError},
		"length 2^62, continuation":     {append(frame(0x01, "4"), long(0x80, 1<<62)...), 1009, ReasonTransportError},
		"length 2^63, continuation":     {append(frame(0x01, "4"), long(0x80, 1<<63)...), 1002, ReasonTransportError},
		"fragments above MaxPayload":    {append(frame(0x01, strings.Repeat("4", 6000)), frame(0x80, strings.Repeat("4", 6000))...), 1009, ReasonTransportError},
		"too many fragments":            {fragments, 1008, ReasonTransportError},
		"close with a body of one byte": {frame(0x88, "x"), 1005, ReasonTransportClose},
		"close with an invalid code":    {frame(0x88, "\x00\x01"), 1002, ReasonTransportError},
		"close with a code":             {frame(0x88, "\x03\xe9bye"), 1001, ReasonTransportClose},
		"text that is not UTF-8":        {frame(0x81, "4\xff"), 1007, ReasonTransportError},
		"empty text":                    {frame(0x81, ""), 1002, ReasonParseError},
		"unknown packet type":           {frame(0x81, "9"), 1002, ReasonParseError},
		"ping packet":                   {frame(0x81, "2"), 1002, ReasonTransportError},
		"probe on an open session":      {frame(0x81, "2probe"), 1002, ReasonTransportError},
		"upgrade packet":                {frame(0x81, "5"), 1002, ReasonParseError},
		"close packet":                  {frame(0x81, "1"), 1000, ReasonTransportClose},
		"message that receivers refuse": {frame(0x81, "4refuse"), 1000, ReasonForcedClose},
		"message that makes them panic": {frame(0x81, "4panic"), 1011, ReasonTransportError},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			onEveryConn(t, Options{MaxPayload: 10_000, MaxFragments: 20}, func(t *testing.T, f *fixture) {
				f.onText = func(_ *recorder, data []byte) error {
					switch string(data) {
					case "refuse":
						return errors.New("refused")
					case "panic":
						panic("receiver")
					}
					return nil
				}
				c, r := f.openSocket()
				c.sendRaw(tt.bytes)
				c.expectCode(tt.code)
				_ = c.conn.Close()
				f.expectEnd(r, tt.reason)
			})
		})
	}
}

func TestWebSocket_FragmentsWithControlFramesBetween(t *testing.T) {
	onEveryConn(t, Options{MaxFragments: 3}, func(t *testing.T, f *fixture) {
		c, r := f.openSocket()
		pongs := make(chan string, 10)
		c.conn.SetPongHandler(func(data string) error { pongs <- data; return nil })
		for range 3 { // the count begins anew with each message
			c.sendRaw(frame(0x01, "4a"))
			c.sendRaw(frame(0x89, "ping"))
			c.sendRaw(frame(0x00, "b"))
			c.sendRaw(frame(0x80, "c"))
		}
		f.expectMessages(r, "abc", "abc", "abc")
		_ = r.session.Send(NewMessage([]byte("end")))
		c.expect("4end")
		if len(pongs) != 3 || <-pongs != "ping" {
			t.Errorf("got %d pongs, want 3", len(pongs)+1)
		}
	})
}

func TestWebSocket_OneBytePerSegmentWorks(t *testing.T) {
	onEveryConn(t, Options{}, func(t *testing.T, f *fixture) {
		c, r := f.openSocket()
		for _, b := range append(frame(0x81, "4"+strings.Repeat("x", 200)), frame(0x81, "4y")...) {
			c.sendRaw([]byte{b})
		}
		f.expectMessages(r, strings.Repeat("x", 200), "y")
	})
}

func TestWebSocket_ManyMessagesInOneSegmentKeepTheirOrder(t *testing.T) {
	onEveryConn(t, Options{}, func(t *testing.T, f *fixture) {
		c, r := f.openSocket()
		var all []byte
		var want []string
		for i := range 5000 {
			text := fmt.Sprint(i)
			all, want = append(all, frame(0x81, "4"+text)...), append(want, text)
		}
		c.sendRaw(all)
		f.expectMessages(r, want...)
	})
}

func TestWebSocket_UnfinishedMessageIsGivenUp(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		starts := map[string][]byte{
			"header":    {0x81},
			"payload":   frame(0x81, "4xxxxx")[:8],
			"fragments": frame(0x01, "4"),
		}
		for name, start := range starts {
			c, r := f.openSocket()
			began := time.Now()
			c.sendRaw(start)
			go func() {
				if name == "fragments" { // progress does not prolong it
					<-time.After(20 * time.Second)
					c.sendRaw(frame(0x00, "x"))
				}
			}()
			<-time.After(24 * time.Second) // before the first ping
			f.expectOpen(r)
			for !r.session.ended.Load() {
				_ = c.conn.SetReadDeadline(time.Now().Add(time.Hour))
				if _, _, err := c.conn.ReadMessage(); err != nil {
					break
				}
			}
			f.expectEnd(r, ReasonTransportError)
			if took := time.Since(began); took != 30*time.Second {
				f.t.Errorf("%s: given up after %v, want 30s", name, took)
			}
			_ = c.conn.Close()
		}
		// A finished message leaves no deadline behind.
		c, r := f.openSocket()
		c.sendRaw(frame(0x01, "4"))
		<-time.After(time.Second)
		c.sendRaw(frame(0x80, "x"))
		f.expectMessages(r, "x")
		for range 3 {
			c.expect("2")
			c.send("3")
		}
		f.expectOpen(r)
	})
}

func TestWebSocket_EarlyBytesAreNotLost(t *testing.T) {
	f := onSockets(t, Options{})
	conn, err := net.Dial("tcp", strings.Split(f.base, "/")[2])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	request := "GET /?" + socketQuery + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	_, _ = conn.Write(append([]byte(request), frame(0x81, "4early")...))
	f.expectMessages(f.next(), "early")
}

func TestWebSocket_ClientThatVanishesEndsTheSession(t *testing.T) {
	onEveryConn(t, Options{}, func(t *testing.T, f *fixture) {
		c, r := f.openSocket()
		_ = c.conn.NetConn().Close()
		f.expectEnd(r, ReasonTransportClose)
		f.eventually("session forgotten", func() bool { return len(f.engine.snapshot()) == 0 })
	})
}

func TestWebSocket_CloseWritesTheQueueFirst(t *testing.T) {
	onEveryConn(t, Options{}, func(t *testing.T, f *fixture) {
		c, r := f.openSocket()
		var want []string
		for i := range 1000 {
			text := fmt.Sprint(i, strings.Repeat("x", 1000))
			if err := r.session.Send(NewMessage([]byte(text))); err != nil {
				t.Fatal(err)
			}
			want = append(want, "4"+text)
		}
		r.session.Close()
		if err := r.session.Send(NewMessage(nil)); !errors.Is(err, ErrClosed) {
			t.Errorf("Send got %v, want ErrClosed", err)
		}
		f.expectEnd(r, ReasonForcedClose)
		c.expect(want...)
		c.expectCode(1000)
	})
}

func TestWebSocket_CloseHandshakeThatIsNotAnsweredIsDropped(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		c, r := f.openSocket()
		c.conn.SetCloseHandler(func(int, string) error { return nil })
		start := time.Now()
		r.session.Close()
		c.expectCode(1000)
		_ = c.conn.NetConn().SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := c.conn.NetConn().Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still used")
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("dropped after %v, want 5s", took)
		}
	})
}

func TestWebSocket_ReceiverThatBlocksIsReleasedByClosed(t *testing.T) {
	f := onSockets(t, Options{})
	entered := make(chan struct{})
	f.onText = func(r *recorder, _ []byte) error {
		close(entered)
		<-r.closed
		return nil
	}
	c, r := f.openSocket()
	c.send("4x")
	c.send("4never delivered")
	<-entered
	r.session.Close()
	f.expectEnd(r, ReasonForcedClose)
	c.expectCode(1000)
	f.stop()
	if got := r.messages(); len(got) != 1 {
		t.Errorf("received %q after the end", got)
	}
}

func TestWebSocket_PanicsAreCountedAndHurtNobodyElse(t *testing.T) {
	f := onSockets(t, Options{})
	f.onText = func(r *recorder, data []byte) error {
		if string(data) == "panic" {
			panic("receiver")
		}
		return echo(r, data)
	}
	c, r := f.openSocket()
	other, _ := f.openSocket()
	c.send("4panic")
	c.expectCode(1011)
	if end := f.awaitEnd(r); end.reason != ReasonTransportError || !errors.Is(end.cause, errPanic) {
		t.Errorf("session ended with %v", end)
	}
	other.send("4x")
	other.expect("4x")
	if got := f.engine.Stats().Panics; got != 1 {
		t.Errorf("counted %d panics, want 1", got)
	}
}

func TestWebSocket_PongsThatAreNeverReadAreBounded(t *testing.T) {
	f := onTightSockets(t, Options{MaxSendQueueBytes: 1 << 20, WriteTimeout: time.Second})
	c, r := f.openSocket()
	ping := bytes.Repeat(frame(0x89, strings.Repeat("x", 125)), 1000)
	_ = c.conn.NetConn().SetWriteDeadline(time.Now().Add(patience))
	for range 100 {
		if _, err := c.conn.NetConn().Write(ping); err != nil {
			break // held back, until the write timeout has ended the session
		}
		if n := r.session.QueuedBytes(); n > 1<<20 {
			t.Fatalf("%d bytes are queued", n)
		}
	}
	f.expectEnd(r, ReasonTransportError)
}

func TestWebSocket_EndlessFragmentsStayInMemoryBounds(t *testing.T) {
	f := onSockets(t, Options{})
	c, r := f.openSocket()
	before := heap()
	c.sendRaw(frame(0x01, "4"))
	fragment := bytes.Repeat(frame(0x00, "x"), 1000)
	for range 200 {
		c.sendRaw(fragment)
	}
	f.expectEnd(r, ReasonTransportError)
	if grown := heap() - before; grown > 24<<20 {
		t.Errorf("memory has grown by %d bytes", grown)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestWebSocket_ConnectsAndResetsLeaveNothing(t *testing.T) {
	f := onSockets(t, Options{})
	for i := range 300 {
		c := f.dial(socketQuery)
		switch i % 4 {
		case 0:
			_ = c.conn.WriteMessage(websocket.CloseMessage, nil)
		case 1:
			_ = c.conn.NetConn().(*net.TCPConn).SetLinger(0)
		case 2:
			c.sendRaw(frame(0x81, "4xxx")[:5])
			_ = c.conn.NetConn().(*net.TCPConn).SetLinger(0)
		}
		_ = c.conn.Close()
	}
	f.eventually("sessions forgotten", func() bool {
		s := f.engine.Stats()
		return s.WebSocket == 0 && s.Opened == 300 && len(f.engine.snapshot()) == 0
	})
	// A refused upgrade that is reset.
	for range 50 {
		_, _ = f.tryDial("transport=websocket", http.Header{})
	}
}
