package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	gosync "sync"
	"testing"
	"time"
	"unicode"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// notebook is a log handler that writes attributes down as they are, without the
// quoting that slog's own handlers would add.
type notebook struct {
	mu    gosync.Mutex
	lines []string
}

func (n *notebook) Enabled(context.Context, slog.Level) bool { return true }
func (n *notebook) WithAttrs([]slog.Attr) slog.Handler       { return n }
func (n *notebook) WithGroup(string) slog.Handler            { return n }

func (n *notebook) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
	return nil
}

func (n *notebook) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.lines...)
}

// longestText is how much of a client's text may stand in a line, once quoted.
const longestText = 4*256 + 2

func TestHostileLog_ClientTextIsQuotedCutAndOnOneLine(t *testing.T) {
	log := &notebook{}
	v := besiege(t, server.Options{Logger: slog.New(log)})
	poison := "\\n\\u001b[31mEVIL" + strings.Repeat("E", 5000)
	plain := "\n\x1b[31mEVIL" + strings.Repeat("E", 400) // in a namespace, where nothing is escaped
	secret := v.server.Of("/" + plain)
	secret.Use(func(context.Context, *server.Socket) error { return errors.New("no") })
	server.On(v.server.Of("/"), "number", func(context.Context, *server.Socket, int) error { return nil })
	server.On(v.server.Of("/"), "struct", func(context.Context, *server.Socket, struct{ A struct{ B int } }) error { return nil })
	v.server.Of("/").OnAny(func(_ context.Context, _ *server.Socket, event string, _ server.Args) error {
		if strings.Contains(event, "EVIL") {
			return errors.New("forbidden")
		}
		return nil
	})

	c := v.join(t)
	c.Send("0/" + plain + ",")
	c.Expect("4/" + plain + `,{"message":"internal error"}`)
	for _, packet := range []string{
		`2["number","` + poison + `"]`, `2["struct",{"A":{"B":"` + poison + `"}}]`, `2["struct",{"A":{"` + poison + `":1,"` + poison + `":2}}]`, `2["` + poison + `"]`,
	} {
		c.Send(packet)
	}
	c.ExpectNothing("/")
	for _, packet := range []string{"9" + plain, `2[` + plain, `1` + plain, `51-["x",{"_placeholder":"` + poison + `"}]`, "0/" + strings.Repeat("\x1b", 600) + "{"} {
		rawclient.Dial(t, v.url, nil).Send(packet)
	}
	closing := v.join(t)
	_ = closing.Conn().WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "\n\x1b[31mEVIL"), time.Now().Add(patience))
	closing.ExpectClose()
	engineText := v.join(t)
	engineText.SendRaw("\n\x1b" + plain)
	engineText.ExpectClose()
	v.ask(t, request("GET", pollQuery+"&sid=%0a%1b[31mEVIL%zz", "", "Origin: http://EVIL"))
	v.ask(t, upgrading("EIO=%0a%1b[31mEVIL&transport=websocket", "Sec-WebSocket-Key: EVIL"))
	v.enter(t).post("x" + plain)
	v.unharmed(t)

	lines := log.all()
	if len(lines) < 10 {
		t.Errorf("only %d lines were logged: %q", len(lines), lines)
	}
	for _, line := range lines {
		if strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("a line has control characters: %.300q", line)
		}
		if len(line) > longestText+300 {
			t.Errorf("a line has %d bytes: %.300q", len(line), line)
		}
	}
}

func TestHostileLog_TenLinesPerSecondAndReason(t *testing.T) {
	log := &notebook{}
	besiegeInBubble(t, server.Options{Logger: slog.New(log)}, func(t *testing.T, v *victim) {
		reasons := map[string]func(n int){
			"request refused: session_unknown":     func(n int) { v.ask(t, request("GET", pollQuery+fmt.Sprintf("&sid=guess%d", n), "")) },
			"request refused: transport_unknown":   func(n int) { v.ask(t, request("GET", fmt.Sprintf("transport=t%d", n), "")) },
			"request refused: unsupported_version": func(n int) { v.ask(t, request("GET", fmt.Sprintf("EIO=%d&transport=polling", n+5), "")) },
			"session closed: forced close": func(n int) {
				c := rawclient.Dial(t, v.url, v.dial)
				c.Send(fmt.Sprintf("9%d", n))
				c.ExpectClose()
			},
			"session closed: parse error": func(n int) {
				c := rawclient.Dial(t, v.url, v.dial)
				c.SendRaw(string(rune('c' + n%24))) // a "b" would begin binary data
				c.ExpectClose()
			},
		}
		for reason, provoke := range reasons {
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
			begin := time.Now()
			for n := range 50 {
				provoke(n)
			}
			// Time goes on when a client waits for the end of its connection.
			seconds := 1 + int(time.Since(begin)/time.Second)
			count := 0
			for _, line := range log.all() {
				if strings.Contains(line, reason) {
					count++
				}
			}
			if count < 10 || count > 10*seconds {
				t.Errorf("%s: %d lines in %d seconds, want 10 in each", reason, count, seconds)
			}
		}
		time.Sleep(time.Second)
		v.ask(t, request("GET", pollQuery+"&sid=last", ""))
		lines := log.all()
		if last := lines[len(lines)-1]; !strings.Contains(last, "suppressed=40") {
			t.Errorf("the first line of the next second is %q, want the number of those suppressed", last)
		}
	})
}

// A panic's value and a handler's error may hold what the client sent.
func TestHostileLog_PanicsAndErrorsWithClientText(t *testing.T) {
	log := &notebook{}
	s, url := start(t, server.Options{Logger: slog.New(log)})
	server.On(s.Of("/"), "panic", func(_ context.Context, _ *server.Socket, text string) error { panic("bad " + text) })
	server.On(s.Of("/"), "error", func(_ context.Context, _ *server.Socket, text string) error { return errors.New("bad " + text) })
	poison := "\\n\\u001b[31mEVIL" + strings.Repeat("E", 5000)
	s.Of("/guarded").Use(func(_ context.Context, s *server.Socket) error {
		return errors.New("bad " + string(s.Handshake().Auth))
	})
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`0/guarded,{"a":"` + strings.Repeat("E", 5000) + `"}`)
	c.Expect(`4/guarded,{"message":"internal error"}`)
	c.Send(`2["error","` + poison + `"]`)
	c.ExpectNothing("/")
	c.Send(`2["panic","` + poison + `"]`)
	c.Expect("1")
	for _, line := range log.all() {
		line, _, _ = strings.Cut(line, " stack=") // which is of several lines, none of them a client's
		if strings.ContainsFunc(line, unicode.IsControl) || len(line) > longestText+300 {
			t.Errorf("a line of %d bytes: %.300q", len(line), line)
		}
	}
	if n := len(log.all()); n < 3 {
		t.Errorf("%d lines were logged, want one for each", n)
	}
}
