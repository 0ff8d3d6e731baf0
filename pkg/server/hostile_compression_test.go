package server_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// decompress reverses a Content-Encoding.
func decompress(t *testing.T, coding, body string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	}
	if err != nil {
		t.Fatalf("%q: %v", coding, err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%q: %v", coding, err)
	}
	return string(text)
}

// fetches has an event of 40 KB wait for p, polls with these header lines, and returns
// the coding in which the event came.
func (p *poller) fetches(header ...string) (coding string) {
	p.t.Helper()
	load := strings.Repeat("four", 10_000)
	if a := p.post(`42["echo","` + load + `"]`); a.status != http.StatusOK {
		p.t.Fatalf("POST: got %d %q", a.status, a.body)
	}
	begin := time.Now()
	a := p.v.ask(p.t, request("GET", p.query(), "", header...))
	if took := time.Since(begin); took > worstEcho {
		p.t.Errorf("%.60q: answered after %v", header, took)
	}
	coding = a.header.Get("Content-Encoding")
	if got := decompress(p.t, coding, a.body); a.status != http.StatusOK || got != `42["echo","`+load+`"]` {
		p.t.Errorf("%.60q: got %d %.60q as %q", header, a.status, got, coding)
	}
	if got := a.header.Get("Vary"); got != "Accept-Encoding" {
		p.t.Errorf("%.60q: Vary is %q", header, got)
	}
	if coding != "" && len(a.body) > 1000 {
		p.t.Errorf("%.60q: %d bytes as %q", header, len(a.body), coding)
	}
	return coding
}

func TestHostileCompression_OnlyForWhoAcceptsIt(t *testing.T) {
	v := besiege(t, server.Options{})
	p := v.enter(t)
	for accepted, want := range map[string]string{
		"gzip": "gzip", "deflate": "deflate", "gzip, deflate, br, zstd": "gzip", "*": "gzip", "gzip;q=0, deflate;q=0.5": "deflate",
		"": "", "br": "", "identity": "", "gzip;q=0": "", "*;q=0": "", "compress, zip": "",
	} {
		if got := p.fetches("Accept-Encoding: " + accepted); got != want {
			t.Errorf("%q: got %q, want %q", accepted, got, want)
		}
	}
	if got := p.fetches(); got != "" {
		t.Errorf("who says nothing got %q", got)
	}
	off := besiege(t, server.Options{HTTPCompressionThreshold: -1}).enter(t)
	off.post(`42["echo","` + strings.Repeat("x", 5000) + `"]`)
	if a := off.v.ask(t, request("GET", off.query(), "", "Accept-Encoding: gzip")); a.header.Get("Content-Encoding") != "" || len(a.body) < 5000 {
		t.Errorf("switched off: got %d bytes as %q", len(a.body), a.header.Get("Content-Encoding"))
	}
}

// Whatever a header of the largest size holds, it is answered in a moment, and in a form
// that it allows.
func TestHostileCompression_AcceptEncodingOfGarbage(t *testing.T) {
	v := besiege(t, server.Options{})
	p := v.enter(t)
	for _, garbage := range []string{
		",", ";", "=", "*", "q=", ";q=1", "gzip;q=0,", "gzip;q=1.", ",gzip;q=-1", "deflate;q=1e9,", "gzip;;;", "\"gzip\",", "gzip\t", "identity;q=0,", "\x80\xff", "гzip,",
	} {
		p.fetches("Accept-Encoding: " + strings.Repeat(garbage, 16<<10/len(garbage)-100))
		v.unharmed(t)
	}
	lines := make([]string, 700) // they fill a header too
	for i := range lines {
		lines[i] = "Accept-Encoding: gzip;"
	}
	p.fetches(lines...)
	if a := v.ask(t, request("GET", p.query(), "", "Accept-Encoding: "+strings.Repeat("gzip,", 1<<16))); a.status != 0 && a.status/100 != 4 {
		t.Errorf("a header of 320 KB: got %d", a.status)
	}
	p.echoes()
}

// Many poll for long answers at a time and take none of it: what compresses is given
// back.
func TestHostileCompression_AnswersThatAreNotRead(t *testing.T) {
	v := besiege(t, server.Options{})
	load := strings.Repeat("four", 200_000)
	attack := func() {
		for range 20 {
			p := v.enter(t)
			if a := p.post(`42["echo","` + load + `"]`); a.status != http.StatusOK {
				t.Fatalf("POST: got %d", a.status)
			}
			conn := v.connect(t)
			_, _ = io.WriteString(conn, request("GET", p.query(), "", "Accept-Encoding: gzip"))
			reset(conn)
			p.post("1") // the session ends
		}
		eventually(t, "an end of the sessions", func() bool { return v.sessions() == 1 })
	}
	attack()
	grows(t, 8<<20, func() { givesBack(t, v, attack) })
}

// squeezed returns what n zeros become.
func squeezed(n int64) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	_, _ = io.Copy(w, io.LimitReader(zeros{}, n))
	_ = w.Close()
	return out.Bytes()
}

// A compressed body is not inflated, whatever the header calls it: it is no payload.
func TestHostileCompression_BodiesAreNotInflated(t *testing.T) {
	v := besiege(t, server.Options{})
	var event bytes.Buffer
	w := gzip.NewWriter(&event)
	_, _ = io.WriteString(w, `42["evil"]`)
	_ = w.Close()
	bomb := squeezed(50 << 20)
	for _, header := range []string{"gzip", "x-gzip", "deflate", "gzip, gzip", "br", "identity"} {
		for name, body := range map[string]string{"event": event.String(), "bomb": string(bomb)} {
			p := v.enter(t)
			most := peaks(func() {
				if a := p.post(body, "Content-Encoding: "+header); a.status != http.StatusBadRequest {
					t.Errorf("%s as %s: got %d, want 400", name, header, a.status)
				}
			})
			if most > 16<<20 {
				t.Errorf("%s as %s: memory grew by %d MiB for a moment", name, header, most>>20)
			}
			p.ended()
		}
		v.unharmed(t)
	}
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events were handled", n)
	}
}

// joinDeflate connects an attacker to the namespace "/" over a WebSocket with
// compression.
func (v *victim) joinDeflate(t *testing.T) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{EnableCompression: true}
	conn, response, err := dialer.Dial("ws"+strings.TrimPrefix(v.url, "http")+"/socket.io/?"+socketQuery, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.WriteMessage(websocket.TextMessage, []byte("40"))
	for range 2 { // the open packet and the answer to CONNECT
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// deflated returns what a compressed message of text has in its frames.
func deflated(r io.Reader) string {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestSpeed)
	_, _ = io.Copy(w, r)
	_ = w.Flush()
	return strings.TrimSuffix(out.String(), "\x00\x00\xff\xff")
}

func TestHostileCompression_ManyBombsAtOnce(t *testing.T) {
	v := besiege(t, server.Options{PerMessageDeflate: &server.Deflate{}})
	bomb := deflated(io.LimitReader(zeros{}, 100<<20))
	if len(bomb) > 900_000 {
		t.Fatalf("the bomb has %d bytes and would be refused for its own size", len(bomb))
	}
	half := len(bomb) / 2
	for name, text := range map[string][]byte{
		"one frame":   frame(0xc1, bomb),
		"fragments":   append(frame(0x41, bomb[:half]), frame(0x80, bomb[half:])...),
		"binary":      frame(0xc2, bomb),
		"no last one": frame(0x41, bomb),
	} {
		t.Run(name, func(t *testing.T) {
			most := peaks(func() {
				var attacks gosync.WaitGroup
				for range 10 {
					conn := v.joinDeflate(t)
					attacks.Go(func() {
						_, _ = conn.NetConn().Write(text)
						_ = conn.SetReadDeadline(time.Now().Add(patience))
						if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
							t.Errorf("got %v, want close 1009", err)
						}
					})
				}
				attacks.Wait()
			})
			if most > 64<<20 {
				t.Errorf("memory grew by %d MiB for a moment", most>>20)
			}
			t.Logf("memory grew by %d MiB for a moment", most>>20)
			v.unharmed(t)
		})
	}
}

// One message may be small, and the flood of them still be a thousand times as long.
func TestHostileCompression_FloodOfWellPackedEvents(t *testing.T) {
	v := besiege(t, server.Options{PerMessageDeflate: &server.Deflate{}})
	conn := v.joinDeflate(t)
	event := frame(0xc1, deflated(strings.NewReader(`42["nobody listens","`+strings.Repeat("x", 900_000)+`"]`)))
	grows(t, 8<<20, func() {
		for range 60 {
			if _, err := conn.NetConn().Write(event); err != nil {
				t.Fatal(err)
			}
			v.unharmed(t)
		}
		_ = conn.WriteMessage(websocket.TextMessage, []byte(`421["echo"]`))
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != "431[]" {
			t.Errorf("got %.80q, %v", got, err)
		}
	})
}

func TestHostileCompression_BrokenDeflateCloses(t *testing.T) {
	v := besiege(t, server.Options{PerMessageDeflate: &server.Deflate{}})
	good := deflated(strings.NewReader(`42["evil"]`))
	for name, text := range map[string][]byte{
		"no deflate":             frame(0xc1, "\xff\xff\xff\xff"),
		"cut short":              frame(0xc1, good[:len(good)/2]),
		"RSV2":                   frame(0xe1, good),
		"RSV3":                   frame(0xd1, good),
		"RSV1 on a continuation": append(frame(0x41, good[:3]), frame(0xc0, good[3:])...),
		"RSV1 on a ping":         frame(0xc9, ""),
		"a window of before":     frame(0xc1, "\x02\x86\x00"), // refers to bytes of an earlier message
		"no UTF-8":               frame(0xc1, deflated(strings.NewReader("42[\"evil\",\"\xff\"]"))),
	} {
		t.Run(name, func(t *testing.T) {
			conn := v.joinDeflate(t)
			_, _ = conn.NetConn().Write(text)
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if _, got, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseProtocolError, websocket.CloseInvalidFramePayloadData) {
				t.Errorf("got %.80q, %v, want close 1002 or 1007", got, err)
			}
			v.unharmed(t)
		})
	}
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events of broken messages were handled", n)
	}
}

// An offer is accepted only if it allows what we do: both directions without takeover,
// ours with the largest window.
func TestHostileCompression_OffersOfDeflate(t *testing.T) {
	const yes, no = "permessage-deflate; server_no_context_takeover; client_no_context_takeover", ""
	v := besiege(t, server.Options{PerMessageDeflate: &server.Deflate{}})
	for offer, want := range map[string]string{
		"permessage-deflate":                                                     yes,
		"permessage-deflate; client_max_window_bits":                             yes, // browsers
		"permessage-deflate; client_max_window_bits=15":                          yes,
		`permessage-deflate; client_max_window_bits="8"`:                         yes,
		"permessage-deflate; server_no_context_takeover":                         yes,
		"permessage-deflate; client_no_context_takeover":                         yes,
		"x-webkit-deflate-frame, permessage-deflate":                             yes,
		"permessage-deflate; a=b, permessage-deflate":                            yes,
		"permessage-deflate; server_max_window_bits=8":                           no,
		"permessage-deflate; server_max_window_bits=10":                          no,
		"permessage-deflate; server_max_window_bits=99":                          no,
		"permessage-deflate; server_max_window_bits":                             no,
		"permessage-deflate; client_max_window_bits=7":                           no,
		"permessage-deflate; client_max_window_bits=16":                          no,
		"permessage-deflate; client_max_window_bits=08":                          no,
		"permessage-deflate; client_max_window_bits=":                            no,
		"permessage-deflate; client_max_window_bits=-9":                          no,
		"permessage-deflate; client_max_window_bits=1e1":                         no,
		"permessage-deflate; server_no_context_takeover=1":                       no,
		"permessage-deflate; unknown":                                            no,
		"permessage-deflate; unknown=1":                                          no,
		"permessage-deflate; __proto__; constructor=1":                           no,
		"permessage-deflate; client_max_window_bits=9; client_max_window_bits=9": no,
		"permessage-deflate;":                                                    no,
		"permessage-deflate=":                                                    no, "permessage-bzip2": no, "deflate": no, "constructor": no,
		strings.Repeat("permessage-deflate; x, ", 500):                              no,
		strings.Repeat("permessage-deflate; x, ", 500) + "permessage-deflate":       yes,
		"permessage-deflate" + strings.Repeat(";", 10_000):                          no,
		`permessage-deflate; client_max_window_bits="` + strings.Repeat(`\"`, 5000): no,
	} {
		t.Run(fmt.Sprintf("%.60s", offer), func(t *testing.T) {
			if got := v.deflates(t, offer); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	v.unharmed(t)
}

// deflates offers compression, proves that the connection works, and returns what was
// negotiated.
func (v *victim) deflates(t *testing.T, offer string) (extensions string) {
	t.Helper()
	conn := v.connect(t)
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, upgrading(socketQuery, "Sec-WebSocket-Extensions: "+offer))
	reader := bufio.NewReader(conn)
	a := readAnswer(conn, reader, "GET")
	if a.status != http.StatusSwitchingProtocols {
		t.Fatalf("got %d", a.status)
	}
	extensions = strings.Join(a.header.Values("Sec-WebSocket-Extensions"), ", ")
	load := strings.Repeat("four", 500)
	event, first := `421["echo","`+load+`"]`, byte(0x81)
	if extensions != "" {
		event, first = deflated(strings.NewReader(event)), 0xc1
	}
	_, _ = conn.Write(frame(0x81, "40"))
	readFrame(t, conn, reader) // the open packet
	readFrame(t, conn, reader) // the answer to CONNECT
	_, _ = conn.Write(frame(first, event))
	kind, payload := readFrame(t, conn, reader)
	text := string(payload)
	if kind == 0xc1 {
		inflated, _ := io.ReadAll(flate.NewReader(strings.NewReader(text + "\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
		text = string(inflated)
	}
	if kind != first || text != `431["`+load+`"]` {
		t.Errorf("got frame %#x with %.80q", kind, text)
	}
	return extensions
}

// A client that offers nothing gets nothing compressed beside one that does.
func TestHostileCompression_EachClientAsItNegotiated(t *testing.T) {
	v := besiege(t, server.Options{PerMessageDeflate: &server.Deflate{Threshold: -1}})
	packed, plain := v.joinDeflate(t), rawclient.Dial(t, v.url, nil)
	plain.Connect("/", "")
	for range 2 {
		if err := receive(t, v.sockets).Join(t.Context(), "both"); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.server.To("both").Emit("all", strings.Repeat("x", 5000)); err != nil {
		t.Fatal(err)
	}
	want := `["all","` + strings.Repeat("x", 5000) + `"]`
	plain.Expect("2" + want)
	if _, got, err := packed.ReadMessage(); err != nil || string(got) != "42"+want {
		t.Errorf("got %.80q, %v", got, err)
	}
}
