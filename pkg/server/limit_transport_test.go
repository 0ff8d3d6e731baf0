package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/server"
)

// The tests of this file and of limit_protocol_test.go show that what is exactly
// at a limit passes, and that what is one beyond it does not.

// echoOf makes an event packet of exactly size bytes, Engine.IO's digit included,
// and its acknowledgement.
func echoOf(size int) (event, ack string) {
	load := strings.Repeat("x", size-len(`421["echo",""]`))
	return `421["echo","` + load + `"]`, `431["` + load + `"]`
}

func TestLimit_MaxPayload(t *testing.T) {
	v := besiege(t, server.Options{MaxPayload: 5000})
	at, ack := echoOf(5000)
	beyond, _ := echoOf(5001)
	for name, cut := range map[string]func(string) []byte{
		"one frame": func(text string) []byte { return frame(0x81, text) },
		"fragments": func(text string) []byte { return append(frame(0x01, text[:4000]), frame(0x80, text[4000:])...) },
	} {
		t.Run(name, func(t *testing.T) {
			c := v.join(t)
			raw(c, cut(at))
			c.Expect(ack[1:])
			raw(c, cut(beyond))
			codes(t, c, websocket.CloseMessageTooBig)
		})
	}
	t.Run("POST", func(t *testing.T) {
		p := v.enter(t)
		p.expects(at, ack)
		chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(at), at)
		if a := v.ask(t, request("POST", p.query(), "", "Transfer-Encoding: chunked")+chunked); a.status != http.StatusOK {
			t.Errorf("chunked, at the limit: got %d", a.status)
		}
		if a := p.post(beyond); a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("beyond the limit: got %d, want 413", a.status)
		}
		p.ended()
	})
	t.Run("announced", func(t *testing.T) {
		if a := v.ask(t, request("GET", pollQuery, "")); !strings.Contains(a.body, `"maxPayload":5000`) {
			t.Errorf("the open packet is %q", a.body)
		}
	})
}

func TestLimit_MaxFragments(t *testing.T) {
	v := besiege(t, server.Options{MaxFragments: 3})
	for _, fragments := range []int{3, 4} {
		c := v.join(t)
		raw(c, frame(0x01, "421"), bytes.Repeat(frame(0x00, ""), fragments-2), frame(0x80, `["echo"]`))
		if fragments == 3 {
			c.Expect("31[]")
		} else {
			codes(t, c, websocket.ClosePolicyViolation)
		}
	}
}

func TestLimit_FragmentTimeout(t *testing.T) {
	besiegeInBubble(t, server.Options{FragmentTimeout: 5 * time.Second}, func(t *testing.T, v *victim) {
		c := v.join(t)
		raw(c, frame(0x01, "421"))
		time.Sleep(5*time.Second - 1)
		raw(c, frame(0x80, `["echo"]`))
		c.Expect("31[]")
		raw(c, frame(0x01, "421"))
		begin := time.Now()
		codes(t, c, websocket.ClosePolicyViolation)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("closed after %v, want 5 s", took)
		}
	})
}

func TestLimit_HeaderBodyAndIdleTimeouts(t *testing.T) {
	besiegeInBubble(t, server.Options{ReadBodyTimeout: 7 * time.Second}, func(t *testing.T, v *victim) {
		conn := v.connect(t)
		reader := bufio.NewReader(conn)
		late := func(text string, after time.Duration) {
			cut := len(text) - 1
			_, _ = io.WriteString(conn, text[:cut])
			time.Sleep(after)
			_, _ = io.WriteString(conn, text[cut:])
		}
		p := v.enter(t)
		late(request("GET", pollQuery, ""), 10*time.Second-1)
		if a := readAnswer(conn, reader, "GET"); a.status != http.StatusOK {
			t.Errorf("a header that came in less than 10 s: got %d", a.status)
		}
		late(request("POST", p.query(), "3"), 7*time.Second-1)
		if a := readAnswer(conn, reader, "POST"); a.status != http.StatusOK {
			t.Errorf("a body that came in less than ReadBodyTimeout: got %d", a.status)
		}
		if took := untilGone(conn); took != 60*time.Second {
			t.Errorf("an idle connection was closed after %v, want 60 s", took)
		}
		p = v.enter(t)
		begin := time.Now()
		slow, _ := p.pending(p.half())
		untilGone(slow)
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("half a body was given up after %v, want 7 s", took)
		}
	})
}

// net/http allows 4 KiB beyond MaxHeaderBytes.
func TestLimit_MaxHeaderBytes(t *testing.T) {
	v := besiege(t, server.Options{})
	for size, want := range map[int]int{16 << 10: 200, 16<<10 + 4096 + 1: 431} {
		text := request("GET", pollQuery, "", "X-Fill: ")
		text = strings.Replace(text, "X-Fill: ", "X-Fill: "+strings.Repeat("x", size-len(text)), 1)
		if a := v.ask(t, text); a.status != want {
			t.Errorf("%d bytes of header: got %d, want %d", size, a.status, want)
		}
	}
}

func TestLimit_UpgradeTimeout(t *testing.T) {
	besiegeInBubble(t, server.Options{UpgradeTimeout: 3 * time.Second}, func(t *testing.T, v *victim) {
		p := v.enter(t)
		probe := p.probe()
		probe.send("2probe")
		probe.expect("3probe")
		time.Sleep(3*time.Second - 1)
		probe.send("5")
		probe.send(`421["echo"]`)
		probe.expect("431[]")
		late := v.enter(t)
		probe = late.probe()
		begin := time.Now()
		probe.closed()
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("the probe was closed after %v, want 3 s", took)
		}
		late.echoes()
	})
}

func TestLimit_PingTimeout(t *testing.T) {
	besiegeInBubble(t, server.Options{PingInterval: 4 * time.Second, PingTimeout: 3 * time.Second}, func(t *testing.T, v *victim) {
		p := v.enter(t)
		begin := time.Now()
		for range 3 {
			if a := p.get(); a.body != "2" || time.Since(begin) != 4*time.Second {
				t.Fatalf("got %q after %v, want a ping after 4 s", a.body, time.Since(begin))
			}
			time.Sleep(3*time.Second - 1)
			p.post("3")
			begin = time.Now()
		}
		p.get()
		time.Sleep(3 * time.Second)
		synctest.Wait() // for the timeout of this very moment
		p.ended()
	})
}

func TestLimit_WriteAndCloseTimeout(t *testing.T) {
	besiegeInBubble(t, server.Options{WriteTimeout: 6 * time.Second, CloseTimeout: 2 * time.Second}, func(t *testing.T, v *victim) {
		_ = v.join(t)
		_ = receive(t, v.sockets).Emit("x")
		begin := time.Now()
		if got := <-v.ends; got != server.TransportError || time.Since(begin) != 6*time.Second {
			t.Errorf("got %q after %v, want a transport error after 6 s", got, time.Since(begin))
		}
		c := v.join(t)
		receive(t, v.sockets).Disconnect(true)
		c.Expect("1")
		if took := untilGone(c.Conn().NetConn()); took != 2*time.Second {
			t.Errorf("dropped after %v, want 2 s", took)
		}
	})
}

// queueOf is the length in a send queue of an event with a text of load bytes: a
// frame's header and the packet.
func queueOf(load int) int64 { return int64(2 + len(`42["x",""]`) + load) }

func TestLimit_MaxSendQueueBytes(t *testing.T) {
	load := strings.Repeat("x", 100)
	t.Run("disconnect", func(t *testing.T) {
		v := besiege(t, server.Options{MaxSendQueueBytes: 3 * queueOf(100)})
		v.enter(t)
		s := receive(t, v.sockets)
		server.Drain(v.server) // so that the session's own queue is met
		for range 3 {
			if err := s.Emit("x", load); err != nil {
				t.Errorf("at the limit: %v", err)
			}
		}
		if err := s.Emit("x"); !errors.Is(err, server.ErrSlowConsumer) {
			t.Errorf("beyond the limit: %v, want ErrSlowConsumer", err)
		}
		if got := receive(t, v.ends); got != server.TransportError {
			t.Errorf("reason is %q", got)
		}
	})
	t.Run("drop", func(t *testing.T) {
		v := besiege(t, server.Options{MaxSendQueueBytes: 3 * queueOf(100), SlowConsumer: server.DropVolatile})
		p := v.enter(t)
		s := receive(t, v.sockets)
		server.Drain(v.server)
		for n := range 10 {
			if err := s.Volatile().Emit("x", fmt.Sprint(n)+load[1:]); err != nil {
				t.Errorf("volatile event %d: %v", n, err)
			}
		}
		a := p.get()
		if got := strings.Count(a.body, "\x1e") + 1; got != 3 || !strings.HasPrefix(a.body, `42["x","0`) {
			t.Errorf("%d events were kept, want the first 3", got)
		}
		p.echoes()
	})
}

func TestLimit_MaxConnections(t *testing.T) {
	v := besiege(t, server.Options{MaxConnections: 3}) // the bystander is one
	p := v.enter(t)
	c := v.join(t)
	for _, text := range []string{request("GET", pollQuery, ""), upgrading(socketQuery)} {
		if a := v.ask(t, text); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("beyond the limit: got %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
		}
	}
	c.Close()
	eventually(t, "a free place", func() bool { return v.sessions() == 2 })
	v.join(t)
	p.echoes()
}

func TestLimit_MaxHandshakesPerSecond(t *testing.T) {
	besiegeInBubble(t, server.Options{MaxHandshakesPerSecond: 5}, func(t *testing.T, v *victim) {
		time.Sleep(time.Second)
		for range 3 {
			for n := range 6 {
				want := map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[n < 5]
				if a := v.ask(t, request("GET", pollQuery, "")); a.status != want || want != 200 && a.header.Get("Retry-After") == "" {
					t.Errorf("handshake %d of this second: got %d, want %d", n+1, a.status, want)
				}
			}
			time.Sleep(time.Second)
		}
	})
}

func TestLimit_TransportsAndUpgrades(t *testing.T) {
	only := besiege(t, server.Options{Transports: []string{"websocket"}})
	only.ask(t, request("GET", pollQuery, "")).refused(t, "polling", 0)
	v := besiege(t, server.Options{DisableUpgrades: true})
	a := v.ask(t, request("GET", pollQuery, ""))
	if !strings.Contains(a.body, `"upgrades":[]`) {
		t.Errorf("the open packet is %q", a.body)
	}
	v.ask(t, upgrading(socketQuery+"&sid="+sidOf(t, a.body))).refused(t, "upgrade", 3)
}

func TestLimit_CookieAndAllowRequest(t *testing.T) {
	v := besiege(t, server.Options{Cookie: &http.Cookie{}, AllowRequest: func(r *http.Request) error {
		if r.URL.Query().Get("t") == "evil" {
			return errors.New("no \"entry\"\n<b>")
		}
		return nil
	}})
	a := v.ask(t, request("GET", pollQuery, ""))
	if got, want := a.header.Get("Set-Cookie"), "io="+sidOf(t, a.body)+"; Path=/; HttpOnly; SameSite=Lax"; got != want {
		t.Errorf("Set-Cookie is %q, want %q", got, want)
	}
	a = v.ask(t, request("GET", pollQuery+"&t=evil", ""))
	if want := `{"code":4,"message":"no \"entry\"\n\u003cb\u003e"}`; a.status != http.StatusForbidden || a.body != want {
		t.Errorf("got %d %s, want 403 %s", a.status, a.body, want)
	}
	if a := v.ask(t, upgrading(socketQuery+"&t=evil")); a.status/100 != 4 || strings.Contains(a.header.Get("Content-Type"), "html") {
		t.Errorf("an upgrade got %d as %s", a.status, a.header.Get("Content-Type"))
	}
}
