package server_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// frame returns a masked frame. The key is zero, which leaves the payload readable.
func frame(first byte, payload string) []byte {
	return append(header(first, uint64(len(payload)), true), payload...)
}

// header returns the header of a frame that announces size bytes.
func header(first byte, size uint64, masked bool) []byte {
	b := []byte{first}
	switch {
	case size < 126:
		b = append(b, byte(size))
	case size < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), size)
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	return b
}

// readFrame reads a frame of the server.
func readFrame(t *testing.T, conn net.Conn, r *bufio.Reader) (first byte, payload []byte) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatalf("read: %v", err)
	}
	size := int(head[1])
	if size == 126 {
		var long [2]byte
		_, _ = io.ReadFull(r, long[:])
		size = int(binary.BigEndian.Uint16(long[:]))
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		t.Fatalf("read: %v", err)
	}
	return head[0], payload
}

// raw writes bytes past the WebSocket library. The server may have closed the
// connection already, which the test sees when it reads.
func raw(c *rawclient.Client, b ...[]byte) {
	_, _ = c.Conn().NetConn().Write(bytes.Join(b, nil))
}

// codes checks the code of the close frame that ends the connection.
func codes(t *testing.T, c *rawclient.Client, want ...int) {
	t.Helper()
	got := c.CloseCode()
	for _, code := range want {
		if got == code {
			return
		}
	}
	t.Errorf("closed with %d, want %d", got, want)
}

func TestHostileWebSocket_FramesThatBreakTheRules(t *testing.T) {
	v := besiege(t, server.Options{})
	const evil = `42["evil"]`
	rows := map[string][]byte{
		"unmasked":                        append(header(0x81, uint64(len(evil)), false), evil...),
		"control frame of 126 bytes":      frame(0x89, strings.Repeat("x", 126)),
		"fragmented control frame":        frame(0x09, "x"),
		"continuation without start":      frame(0x80, evil),
		"new message inside a fragmented": append(frame(0x01, "42["), frame(0x81, evil)...),
		"RSV1 on a continuation":          append(frame(0x01, "42["), frame(0xc0, `"evil"]`)...),
		"close with a body of one byte":   frame(0x88, "x"),
		"close with code 1005":            frame(0x88, "\x03\xed"),
		"close with code 999":             frame(0x88, "\x03\xe7"),
		"close with broken UTF-8":         frame(0x88, "\x03\xe8\xff"),
	}
	for _, bit := range []byte{0x40, 0x20, 0x10} {
		rows[fmt.Sprintf("RSV bit %#x", bit)] = frame(0x81|bit, evil)
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		rows[fmt.Sprintf("opcode %#x", opcode)] = frame(0x80|opcode, evil)
	}
	for name, bytes := range rows {
		t.Run(name, func(t *testing.T) {
			c := v.join(t)
			raw(c, bytes)
			codes(t, c, rowCodes(name)...)
			v.unharmed(t)
		})
	}
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events of broken frames were handled", n)
	}
}

// rowCodes returns what may stand in the close frame. A client that closes badly
// may be answered in kind.
func rowCodes(name string) []int {
	if strings.HasPrefix(name, "close ") {
		return []int{websocket.CloseProtocolError, websocket.CloseInvalidFramePayloadData, websocket.CloseNoStatusReceived}
	}
	return []int{websocket.CloseProtocolError}
}

func TestHostileWebSocket_AnnouncedLengths(t *testing.T) {
	v := besiege(t, server.Options{})
	for _, size := range []uint64{1 << 32, 1 << 62, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		for name, bytes := range map[string][]byte{
			"first frame":  header(0x81, size, true),
			"continuation": append(frame(0x01, "42["), header(0x80, size, true)...),
			"control":      header(0x89, size, true),
		} {
			t.Run(fmt.Sprintf("%s of %d", name, size), func(t *testing.T) {
				c := v.join(t)
				grows(t, 1<<20, func() {
					raw(c, bytes)
					codes(t, c, websocket.CloseProtocolError, websocket.CloseMessageTooBig)
				})
				v.unharmed(t)
			})
		}
	}
}

func TestHostileWebSocket_FragmentsNeverFinished(t *testing.T) {
	v := besiege(t, server.Options{})
	c := v.join(t)
	grows(t, 24<<20, func() {
		raw(c, frame(0x01, "4"), bytes.Repeat(frame(0x00, "x"), 200_000))
		codes(t, c, websocket.ClosePolicyViolation, websocket.CloseMessageTooBig)
	})
}

func TestHostileWebSocket_PingsWhosePongsAreNeverRead(t *testing.T) {
	v := besiege(t, server.Options{})
	c := v.join(t)
	grows(t, 32<<20, func() {
		pings := bytes.Repeat(frame(0x89, strings.Repeat("p", 125)), 1000)
		for range 100 {
			_ = c.Conn().NetConn().SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := c.Conn().NetConn().Write(pings); err != nil {
				t.Logf("held back or closed: %v", err)
				break
			}
		}
		v.unharmed(t)
	})
}

func TestHostileWebSocket_Compression(t *testing.T) {
	dial := func(t *testing.T, v *victim) (*websocket.Conn, *http.Response) {
		dialer := websocket.Dialer{EnableCompression: true}
		conn, response, err := dialer.Dial("ws"+strings.TrimPrefix(v.url, "http")+"/socket.io/?"+socketQuery, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
		return conn, response
	}
	t.Run("not negotiated by default", func(t *testing.T) {
		v := besiege(t, server.Options{})
		_, response := dial(t, v)
		if got := response.Header.Get("Sec-Websocket-Extensions"); got != "" {
			t.Errorf("negotiated %q, want nothing", got)
		}
	})
	t.Run("bomb is cut", func(t *testing.T) {
		v := besiege(t, server.Options{PerMessageDeflate: &server.Deflate{}})
		conn, _ := dial(t, v)
		_, _, _ = conn.ReadMessage() // the open packet
		var bomb bytes.Buffer
		w, _ := flate.NewWriter(&bomb, flate.BestSpeed)
		_, _ = io.Copy(w, io.LimitReader(zeros{}, 10<<20))
		_ = w.Flush()
		grows(t, 4<<20, func() {
			_, _ = conn.NetConn().Write(frame(0xc1, bomb.String()))
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
				t.Errorf("%d bytes that inflate to 10 MiB: %v, want close 1009", bomb.Len(), err)
			}
		})
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What is reset is whole, half or refused; all of it comes to an end.
func TestHostileWebSocket_ResetsLeakNothing(t *testing.T) {
	v := besiege(t, server.Options{})
	for name, attack := range map[string]func(t *testing.T){
		"refused upgrade": func(t *testing.T) {
			conn := v.connect(t)
			_, _ = io.WriteString(conn, upgrading("EIO=3&transport=websocket"))
			reset(conn)
		},
		"upgrade without its last byte": func(t *testing.T) {
			conn := v.connect(t)
			_, _ = io.WriteString(conn, strings.TrimSuffix(upgrading(socketQuery), "\n"))
			reset(conn)
		},
		"inside a header": func(t *testing.T) {
			c := rawclient.Dial(t, v.url, nil)
			raw(c, []byte{0x81})
			reset(c.Conn().NetConn())
		},
		"inside a frame": func(t *testing.T) {
			c := v.join(t)
			raw(c, header(0x81, 1000, true), []byte("42["))
			reset(c.Conn().NetConn())
		},
		"inside a message": func(t *testing.T) {
			c := v.join(t)
			raw(c, frame(0x01, `42["evil"`))
			reset(c.Conn().NetConn())
		},
	} {
		t.Run(name, func(t *testing.T) {
			givesBack(t, v, func() {
				for range 50 { // 250 in all
					attack(t)
				}
			})
			v.unharmed(t)
		})
	}
}

func TestHostileWebSocket_InvalidPacketsClose(t *testing.T) {
	v := besiege(t, server.Options{})
	for name, packet := range map[string]string{
		"empty": "", "unknown type": "9", "letter": "x", "open": `0{"sid":"x"}`, "upgrade": "5", "noop": "6",
		"ping": "2", "probe": "2probe", "pong with data": "3x", "close with data": "1x", "not UTF-8": "42[\"evil\",\"\xff\"]",
	} {
		t.Run(name, func(t *testing.T) {
			c := v.join(t)
			c.SendRaw(packet)
			c.Send(`2["evil"]`)
			c.ExpectClose()
			v.unharmed(t)
		})
	}
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events behind an invalid packet were handled", n)
	}
}

func TestHostileWebSocket_OneBytePerSegment(t *testing.T) {
	v := besiege(t, server.Options{})
	conn := v.connect(t)
	reader := bufio.NewReader(conn)
	write := func(text string) {
		for i := range text {
			if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(upgrading(socketQuery) + string(frame(0x81, "40")))
	if a := readAnswer(conn, reader, "GET"); a.status != http.StatusSwitchingProtocols {
		t.Fatalf("got %d", a.status)
	}
	for range 2 { // the open packet and the reply to CONNECT
		readFrame(t, conn, reader)
	}
	write(string(frame(0x81, `421["echo","slow"]`)) + string(frame(0x01, `422["ec`)) + string(frame(0x00, `ho",`)) +
		string(frame(0x89, "ping")) + string(frame(0x80, `"fragments"]`)))
	got := map[string]bool{}
	for range 3 {
		_, payload := readFrame(t, conn, reader)
		got[string(payload)] = true
	}
	for _, want := range []string{`431["slow"]`, `432["fragments"]`, "ping"} {
		if !got[want] {
			t.Errorf("%q did not come; got %v", want, got)
		}
	}
}
