package engine

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestHeartbeat_PingsAfterEachPong(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		c, r := f.openSocket()
		last := time.Now()
		for range 3 {
			c.expect("2")
			if since := time.Since(last); since != 25*time.Second {
				t.Errorf("ping after %v, want 25s", since)
			}
			<-time.After(7 * time.Second)
			c.send("3")
			synctest.Wait()
			last = time.Now()
		}
		f.expectOpen(r)
	})
}

func TestHeartbeat_MissingPongEndsTheSession(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		c, r := f.openSocket()
		p, polled := f.openPolling()
		start := time.Now()
		var writing sync.WaitGroup
		writing.Go(func() { // other traffic is no pong
			for {
				if r.session.ended.Load() {
					return
				}
				c.sendRaw(frame(0x81, "4x"))
				<-time.After(time.Second)
			}
		})
		c.expect("2")
		f.expectEnd(r, ReasonPingTimeout)
		if took := time.Since(start); took != 45*time.Second {
			t.Errorf("ended after %v, want 45s", took)
		}
		c.expectGone()
		f.expectEnd(polled, ReasonPingTimeout)
		f.eventually("sessions forgotten", func() bool { return len(f.engine.snapshot()) == 0 })
		p.get().expect(t, http.StatusBadRequest, unknownSession)
		writing.Wait()
	})
}

func TestHeartbeat_OverPolling(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		p, r := f.openPolling()
		start := time.Now()
		p.get().expect(t, http.StatusOK, "2")
		if took := time.Since(start); took != 25*time.Second {
			t.Errorf("ping after %v, want 25s", took)
		}
		<-time.After(19 * time.Second)
		p.post("3").expect(t, http.StatusOK, "ok")
		p.get().expect(t, http.StatusOK, "2")
		poll := make(chan answer)
		go func() { poll <- p.get() }()
		f.expectEnd(r, ReasonPingTimeout)
		(<-poll).expect(t, http.StatusOK, "1")
	})
}

func TestHeartbeat_BeginsWhateverBecomesOfTheOpenPacket(t *testing.T) {
	const whole = 45 * time.Second
	for name, tt := range map[string]struct {
		open func(f *fixture)
		want time.Duration
	}{
		"not read": {func(f *fixture) {
			conn, err := f.dialer.NetDialContext(f.t.Context(), "", "")
			if err != nil {
				f.t.Fatal(err)
			}
			f.t.Cleanup(func() { _ = conn.Close() })
			_, _ = io.WriteString(conn, "GET /?"+pollQuery+" HTTP/1.1\r\nHost: x\r\n\r\n")
		}, 10*time.Second + whole},
		"panic": {func(f *fixture) {
			defer func() { _ = recover() }()
			f.engine.ServeHTTP(aborting{httptest.NewRecorder()}, httptest.NewRequest("GET", "/?"+pollQuery, nil))
		}, whole},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(f *fixture) {
				start := time.Now()
				tt.open(f)
				f.expectEnd(f.next(), ReasonPingTimeout)
				if took := time.Since(start); took != tt.want {
					t.Errorf("ended after %v, want %v", took, tt.want)
				}
			})
		})
	}
}

// aborting is the answer of a server that breaks it off.
type aborting struct{ http.ResponseWriter }

func (aborting) Write([]byte) (int, error) { panic(http.ErrAbortHandler) }

func TestHeartbeat_PongThatNobodyWaitsForIsIgnored(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		c, r := f.openSocket()
		start := time.Now()
		<-time.After(20 * time.Second)
		c.send("3")
		c.expect("2")
		if took := time.Since(start); took != 25*time.Second {
			t.Errorf("ping after %v, want 25s", took)
		}
		f.expectEnd(r, ReasonPingTimeout)
	})
}

func TestHeartbeat_IsSuspendedWhileTheReceiverBlocks(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		f.onText = func(_ *recorder, data []byte) error {
			if string(data) == "block" {
				<-time.After(64*time.Second + 999*time.Millisecond)
			}
			return nil
		}
		c, r := f.openSocket()
		c.send("4block")
		c.expect("2")
		go c.send("3") // waits behind the message that blocks
		c.expect("2")  // the client hears pings while the receiver blocks
		<-time.After(25 * time.Second)
		f.expectOpen(r)
		c.expect("2") // the pong was taken
		f.expectEnd(r, ReasonPingTimeout)

		// The time after a block is limited as well.
		c, r = f.openSocket()
		start := time.Now()
		c.send("4block")
		c.expect("2")
		c.expect("2")
		f.expectEnd(r, ReasonPingTimeout)
		if took := time.Since(start); took > 86*time.Second {
			t.Errorf("ended after %v, want 65s and 20s", took)
		}
	})
}

func TestHeartbeat_ManySessionsAreDueInTheirOrder(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		var polls []*poller
		var sessions []*recorder
		for range 50 {
			p, r := f.openPolling()
			polls, sessions = append(polls, p), append(sessions, r)
			<-time.After(100 * time.Millisecond)
		}
		for i := 0; i < 50; i += 2 { // every other one goes, also at the head
			sessions[i].session.Close()
			polls[i].get().expect(t, http.StatusOK, "1")
		}
		for i := 1; i < 50; i += 2 {
			polls[i].get().expect(t, http.StatusOK, "2")
			if i%4 == 1 {
				polls[i].post("3").expect(t, http.StatusOK, "ok")
			}
		}
		<-time.After(24 * time.Second)
		for i := 1; i < 50; i += 2 {
			if ended := sessions[i].session.ended.Load(); ended != (i%4 == 3) {
				t.Errorf("session %d has ended: %v", i, ended)
			}
		}
	})
}

func TestHeartbeat_ThousandsOfUnusedHandshakesGo(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		for i := range 1000 {
			if a := f.do("GET", pollQuery, ""); a.status != http.StatusOK || !strings.HasPrefix(a.body, "0") {
				t.Fatal(fmt.Sprint(i), a)
			}
		}
		<-time.After(46 * time.Second)
		s := f.engine.Stats()
		if len(f.engine.snapshot()) != 0 || s.Polling != 0 || s.Closed[ReasonPingTimeout] != 1000 {
			t.Errorf("got %+v", s)
		}
	})
}
