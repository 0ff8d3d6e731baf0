package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/server"
)

// probe opens a WebSocket for the session.
func (p *poller) probe() *prober {
	p.t.Helper()
	probe, err := p.tryProbe()
	if err != nil {
		p.t.Fatalf("probe: %v", err)
	}
	return probe
}

func (p *poller) tryProbe() (*prober, error) {
	dialer := websocket.Dialer{NetDialContext: p.v.dial, HandshakeTimeout: patience}
	conn, response, err := dialer.Dial("ws"+strings.TrimPrefix(p.v.url, "http")+"/socket.io/?"+socketQuery+"&sid="+p.sid, nil)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	p.t.Cleanup(func() { _ = conn.Close() })
	return &prober{p.t, conn}, nil
}

// prober is the WebSocket of an upgrade.
type prober struct {
	t    *testing.T
	conn *websocket.Conn
}

func (p *prober) send(text string) { _ = p.conn.WriteMessage(websocket.TextMessage, []byte(text)) }

func (p *prober) expect(want string) {
	p.t.Helper()
	if _, got, err := p.conn.ReadMessage(); err != nil || string(got) != want {
		p.t.Fatalf("got %q (%v), want %q", got, err, want)
	}
}

// closed waits for the end of the connection, before which nothing may come.
func (p *prober) closed() {
	p.t.Helper()
	if _, got, err := p.conn.ReadMessage(); err == nil {
		p.t.Errorf("got %q, want a close", got)
	}
}

func TestHostileUpgrade_SecondProbeIsRefused(t *testing.T) {
	v := besiege(t, server.Options{})
	p := v.enter(t)
	first := p.probe()
	refuse := func(when string) {
		t.Helper()
		for range 3 {
			v.ask(t, upgrading(socketQuery+"&sid="+p.sid)).refused(t, "a second upgrade "+when, 3)
		}
	}
	refuse("before the probe")
	first.send("2probe")
	first.expect("3probe")
	refuse("after the probe")
	first.send("5")
	first.send(`421["echo","upgraded"]`)
	first.expect(`431["upgraded"]`)
	refuse("after the upgrade")
	p.get().refused(t, "GET after the upgrade", 3)
	p.post(`42["evil"]`).refused(t, "POST after the upgrade", 3)
	first.send(`422["echo","unharmed"]`)
	first.expect(`432["unharmed"]`)
}

func TestHostileUpgrade_WrongVersionIsRefused(t *testing.T) {
	v := besiege(t, server.Options{})
	p := v.enter(t)
	for _, version := range []string{"", "EIO=3&", "EIO=5&", "EIO=&"} {
		v.ask(t, upgrading(version+"transport=websocket&sid="+p.sid)).refused(t, version, 5)
		p.echoes()
	}
	v.ask(t, upgrading(p.query())).refused(t, "an upgrade to polling", 3)
	p.echoes()
}

func TestHostileUpgrade_FirstPacketIsNoProbe(t *testing.T) {
	v := besiege(t, server.Options{})
	for name, packets := range map[string][]string{
		"CONNECT":              {"40"},
		"event":                {`42["evil"]`},
		"upgrade at once":      {"5"},
		"pong":                 {"3"},
		"close":                {"1"},
		"empty":                {""},
		"ping without probe":   {"2"},
		"event after probe":    {"2probe", `42["evil"]`},
		"probe twice":          {"2probe", "2probe"},
		"upgrade with payload": {"2probe", "5x"},
	} {
		t.Run(name, func(t *testing.T) {
			p := v.enter(t)
			probe := p.probe()
			for i, packet := range packets {
				probe.send(packet)
				if i+1 < len(packets) {
					probe.expect("3probe")
				}
			}
			probe.closed()
			p.echoes()
			v.unharmed(t)
		})
	}
	t.Run("binary", func(t *testing.T) {
		p := v.enter(t)
		probe := p.probe()
		_ = probe.conn.WriteMessage(websocket.BinaryMessage, []byte("2probe"))
		probe.closed()
		p.echoes()
	})
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events of probes were handled", n)
	}
}

func TestHostileUpgrade_ResetProbesLeakNothing(t *testing.T) {
	v := besiege(t, server.Options{})
	p := v.enter(t)
	givesBack(t, v, func() {
		for range 200 {
			var probe *prober
			eventually(t, "the end of the probe before", func() bool {
				var err error
				probe, err = p.tryProbe()
				return err == nil
			})
			probe.send("2probe")
			probe.expect("3probe")
			reset(probe.conn.NetConn())
		}
	})
	p.echoes()
	// The session can still be upgraded, once its last probe is seen to be gone.
	eventually(t, "an upgrade", func() bool {
		return v.ask(t, upgrading(socketQuery+"&sid="+p.sid)).status == http.StatusSwitchingProtocols
	})
}
