package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// drip writes text one byte every 2 s, until it has been written or the
// connection is closed.
func drip(conn net.Conn, text string) *gosync.WaitGroup {
	var done gosync.WaitGroup
	done.Go(func() {
		for i := range text {
			if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
				return
			}
			<-time.After(2 * time.Second)
		}
	})
	return &done
}

// untilGone reads until the connection is closed and returns how long that took.
func untilGone(conn net.Conn) time.Duration {
	begin := time.Now()
	_ = conn.SetReadDeadline(time.Time{})
	_, _ = io.Copy(io.Discard, conn)
	return time.Since(begin)
}

func TestHostileTime_SlowHeader(t *testing.T) {
	besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
		conn := v.connect(t)
		done := drip(conn, request("GET", pollQuery, ""))
		if took := untilGone(conn); took > 35*time.Second {
			t.Errorf("closed after %v, want at most 35 s", took)
		}
		done.Wait()
	})
}

func TestHostileTime_SlowBody(t *testing.T) {
	besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
		p := v.enter(t)
		conn, _ := p.pending(request("POST", p.query(), "", "Content-Length: 1000"))
		done := drip(conn, strings.Repeat("4", 1000))
		if took := untilGone(conn); took > 35*time.Second {
			t.Errorf("closed after %v, want at most 35 s", took)
		}
		done.Wait()
		p.ended()
	})
}

func TestHostileTime_SilentClients(t *testing.T) {
	besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
		p := v.enter(t)
		c := v.join(t)
		if took := untilGone(c.Conn().NetConn()); took > 48*time.Second {
			t.Errorf("a WebSocket without pongs was closed after %v, want at most 48 s", took)
		}
		time.Sleep(2 * time.Second)
		p.ended()
		for range 2 {
			if got := receive(t, v.ends); got != server.PingTimeout {
				t.Errorf("reason is %q, want %q", got, server.PingTimeout)
			}
		}
	})
}

func TestHostileTime_NoCONNECT(t *testing.T) {
	besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
		c := rawclient.Dial(t, v.url, v.dial)
		p := v.open(t)
		begin := time.Now()
		untilClosed(c)
		if took := time.Since(begin); took != 45*time.Second {
			t.Errorf("closed after %v, want 45 s", took)
		}
		time.Sleep(time.Second)
		a := p.get()
		if a.body == "2" { // the ping of the meantime
			a = p.get()
		}
		if a.body != "1" { // the close packet may wait for its poll
			a.refused(t, "GET", 1)
		}
		p.ended()
	})
}

func TestHostileTime_ProbeThenSilence(t *testing.T) {
	for name, packets := range map[string][]string{"nothing sent": nil, "probe answered": {"2probe"}} {
		t.Run(name, func(t *testing.T) {
			besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
				p := v.enter(t)
				probe := p.probe()
				begin := time.Now()
				for _, packet := range packets {
					probe.send(packet)
					probe.expect("3probe")
				}
				probe.closed()
				if took := time.Since(begin); took != 10*time.Second {
					t.Errorf("closed after %v, want 10 s", took)
				}
				p.echoes()
			})
		})
	}
}

// Nothing is read from a client whose handler has too much to do. That it goes is
// noticed all the same, also while a pong is due that nobody would read.
func TestHostileTime_ClientOfAStuckHandlerGoes(t *testing.T) {
	for name, after := range map[string]time.Duration{"before a ping": time.Second, "after a ping": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			besiegeInBubble(t, server.Options{MaxEventsInFlight: 2}, func(t *testing.T, v *victim) {
				server.On(v.server.Of("/"), "stuck", func(ctx context.Context, _ *server.Socket, _ struct{}) error {
					<-ctx.Done()
					return nil
				})
				c := v.join(t)
				for range 3 {
					c.Send(`2["stuck"]`)
				}
				var reading gosync.WaitGroup
				reading.Go(func() { untilGone(c.Conn().NetConn()) })
				time.Sleep(after)
				c.Close()
				reading.Wait()
				begin := time.Now()
				for len(v.ends) == 0 && time.Since(begin) < 10*time.Minute {
					time.Sleep(time.Second)
				}
				if took := time.Since(begin); took > 46*time.Second {
					t.Errorf("noticed after %v, want at most pingInterval + pingTimeout", took)
				}
			})
		})
	}
}

func TestHostileTime_CloseHandshakeNeverAnswered(t *testing.T) {
	besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
		c := v.join(t)
		receive(t, v.sockets).Disconnect(true)
		c.Expect("1")
		if took := untilGone(c.Conn().NetConn()); took > 35*time.Second {
			t.Errorf("dropped after %v, want at most 35 s", took)
		}
	})
}

func TestHostileTime_AttachmentsWithheldWhilePingsAreAnswered(t *testing.T) {
	besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
		c := v.join(t)
		c.Send(evilHeader)
		begin := time.Now()
		untilClosed(c)
		if took := time.Since(begin); took > 60*time.Second {
			t.Errorf("closed after %v, want at most 60 s", took)
		}
	})
}

// A polling client that asks on and on and never takes an answer is held back, but
// not for ever: it owes pongs as well.
func TestHostileTime_PostsWithoutPolls(t *testing.T) {
	besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
		p := v.enter(t)
		event := request("POST", p.query(), `42["echo","`+strings.Repeat("x", 900_000)+`"]`)
		begin, status := time.Now(), http.StatusOK
		conn, reader := p.pending("")
		for status == http.StatusOK && time.Since(begin) < 75*time.Second {
			var writing gosync.WaitGroup
			writing.Go(func() { _, _ = io.WriteString(conn, event) })
			_ = conn.SetDeadline(begin.Add(75 * time.Second))
			response, err := http.ReadResponse(reader, nil)
			if err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				status = response.StatusCode
			}
			writing.Wait()
		}
		if took := time.Since(begin); took > 70*time.Second {
			t.Errorf("the session lives after %v without a poll", took)
		}
		p.ended()
	})
}

// A client that does not read the answer to a request is not waited for.
func TestHostileTime_AnswersThatAreNeverRead(t *testing.T) {
	for name, text := range map[string]func(p *poller) string{
		"refusal":   func(*poller) string { return request("GET", pollQuery+"&sid=unknown", "") },
		"handshake": func(*poller) string { return request("GET", pollQuery, "") },
		"POST":      func(p *poller) string { return request("POST", p.query(), "3") },
		"PUT":       func(p *poller) string { return request("PUT", p.query(), "") },
	} {
		t.Run(name, func(t *testing.T) {
			besiegeInBubble(t, server.Options{}, func(t *testing.T, v *victim) {
				p := v.enter(t)
				conn, _ := p.pending(text(p))
				time.Sleep(15 * time.Second)
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				if n, err := conn.Read(make([]byte, 1)); n > 0 || err != io.EOF {
					t.Errorf("after 15 s the server still writes (%d bytes, %v)", n, err)
				}
			})
		})
	}
}

// The client writes until it is held back for longer than the server lets a write
// wait, so at most 150 MB.
func TestHostileQuantity_EchoesThatAreNeverRead(t *testing.T) {
	v := besiege(t, server.Options{WriteTimeout: time.Second})
	c := v.join(t)
	event := frame(0x81, `42["echo","`+strings.Repeat("x", 64<<10)+`"]`)
	grows(t, 64<<20, func() {
		sent := 0
		for ; sent < 150<<20; sent += len(event) {
			_ = c.Conn().NetConn().SetWriteDeadline(time.Now().Add(patience))
			if _, err := c.Conn().NetConn().Write(event); err != nil {
				break
			}
		}
		t.Logf("%d MiB were taken", sent>>20)
		if got := receive(t, v.ends); got != server.TransportError {
			t.Errorf("reason is %q, want %q", got, server.TransportError)
		}
	})
}

func TestHostileQuantity_ConnectsAndClosesLeaveNothing(t *testing.T) {
	v := besiege(t, server.Options{})
	for name, come := range map[string]func(t *testing.T){
		"close frame": func(t *testing.T) {
			c := v.join(t)
			_ = c.Conn().WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye"), time.Now().Add(patience))
			c.ExpectClose()
			c.Close()
		},
		"close packet": func(t *testing.T) {
			c := v.join(t)
			c.SendRaw("1")
			c.ExpectClose()
			c.Close()
		},
		"reset": func(t *testing.T) { reset(v.join(t).Conn().NetConn()) },
		"polling": func(t *testing.T) {
			p := v.enter(t)
			if a := p.post("1"); a.status != http.StatusOK {
				t.Errorf("got %d", a.status)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			givesBack(t, v, func() {
				for range 300 { // 1,200 in all
					come(t)
				}
			})
			v.unharmed(t)
		})
	}
}

// Both ends are in this process, so the figure contains the clients, too.
func TestHostileQuantity_IdleClientsAreSmall(t *testing.T) {
	v := besiege(t, server.Options{})
	const clients = 500
	grows(t, clients*100<<10, func() {
		for range clients {
			conn := v.connect(t)
			reader := bufio.NewReaderSize(conn, 1024)
			_, _ = io.WriteString(conn, upgrading(socketQuery))
			readAnswer(conn, reader, "GET")
			readFrame(t, conn, reader)
			_, _ = conn.Write(frame(0x81, "40"))
			readFrame(t, conn, reader)
		}
	})
	if n := len(v.server.Of("/").Sockets()); n != clients+1 {
		t.Errorf("%d sockets are connected, want %d", n, clients+1)
	}
}

func TestHostileQuantity_PipelinedEchoesKeepTheirOrder(t *testing.T) {
	v := besiege(t, server.Options{})
	c := v.join(t)
	load := strings.Repeat("x", 20_000)
	var sending gosync.WaitGroup
	sending.Go(func() {
		for n := range 3000 {
			c.Send(fmt.Sprintf(`2%d["echo","%s"]`, n, load))
		}
	})
	for n := range 3000 {
		if got := c.Next(); got != fmt.Sprintf(`3%d["%s"]`, n, load) {
			t.Fatalf("answer %d is %.40q of %d bytes", n, got, len(got))
		}
	}
	sending.Wait()
}

// A handler that does not return holds up its own client only: nothing more is
// read than may wait for it.
func TestHostileQuantity_FloodOfAStuckHandler(t *testing.T) {
	v := besiege(t, server.Options{})
	server.On(v.server.Of("/"), "stuck", func(ctx context.Context, _ *server.Socket, _ server.Args) error {
		<-ctx.Done()
		return nil
	})
	c := v.join(t)
	event := frame(0x81, `42["stuck","`+strings.Repeat("x", 60<<10)+`"]`)
	taken := 0
	grows(t, 16<<20, func() {
		for ; taken < 1000; taken++ {
			_ = c.Conn().NetConn().SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			if _, err := c.Conn().NetConn().Write(event); err != nil {
				break
			}
		}
		v.unharmed(t)
	})
	if taken == 1000 {
		t.Error("the client was not held back")
	}
}
