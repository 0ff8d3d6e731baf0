package engine

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestDrain_RefusesHandshakesAndSessionsGoOn(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	upgrading, upgraded := f.openPolling()
	_, ws := f.openSocket()
	f.engine.Drain()
	f.do("GET", pollQuery, "").expectLater(t)
	if _, a := f.tryDial(socketQuery, nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("a WebSocket got %d, want 503", a.status)
	}
	f.do("POST", p.query(), "4hello").expect(t, http.StatusOK, "ok")
	if got := r.messages(); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("the server got %q", got)
	}
	upgrading.upgrade(upgraded)
	for _, one := range []*recorder{r, upgraded, ws} {
		f.expectOpen(one)
		if !slices.Contains(f.engine.Sessions(), one.session) {
			t.Error("an open session is not among those that are left")
		}
	}
	if got := f.engine.Stats().Refused[reasonClosing]; got != 2 {
		t.Errorf("counted %d refusals, want 2", got)
	}
}

// One that has ended is known until its client has polled for the close packet.
func TestDrain_SessionsThatHaveEndedAreNotLeft(t *testing.T) {
	f := onSockets(t, Options{})
	_, r := f.openPolling()
	if got := f.engine.Sessions(); len(got) != 1 || got[0].Receiver() != Receiver(r) {
		t.Errorf("left are %v, want the one session with its receiver", got)
	}
	r.session.Close()
	if got := f.engine.Sessions(); len(got) != 0 {
		t.Errorf("%d sessions are left after the last was closed", len(got))
	}
}

// A handshake that was admitted before the drain began must not open a session after it.
func TestDrain_HandshakeUnderWayIsRefused(t *testing.T) {
	var f *fixture
	f = onSockets(t, Options{AllowRequest: func(*http.Request) error {
		f.engine.Drain()
		return nil
	}})
	f.do("GET", pollQuery, "").expectLater(t)
	if n := len(f.engine.snapshot()); n != 0 {
		t.Errorf("%d sessions are open", n)
	}
}

func TestDrain_ClientsThatDoNotAnswerTheCloseAreDroppedSooner(t *testing.T) {
	for name, tt := range map[string]struct {
		drain   bool
		timeout time.Duration
		want    time.Duration
	}{
		"before":            {false, 0, 5 * time.Second},
		"while it drains":   {true, 0, 3 * time.Second},
		"asked to be quick": {true, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{CloseTimeout: tt.timeout}, func(f *fixture) {
				c, r := f.openSocket()
				if tt.drain {
					f.engine.Drain()
				}
				begun := time.Now()
				r.session.Close()
				conn := c.conn.NetConn()
				for buffer := make([]byte, 100); ; {
					if _, err := conn.Read(buffer); err != nil {
						break
					}
				}
				if got := time.Since(begun); got != tt.want {
					t.Errorf("dropped after %v, want %v", got, tt.want)
				}
			})
		})
	}
}
