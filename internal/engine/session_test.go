package engine

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSession_EndsOnceWhateverRaces(t *testing.T) {
	f := onSockets(t, Options{})
	for i := range 50 {
		var r *recorder
		var leave func()
		if i%2 == 0 {
			var c *peer
			c, r = f.openSocket()
			leave = func() { _ = c.conn.Close() }
		} else {
			var p *poller
			p, r = f.openPolling()
			leave = func() { p.post("1") }
		}
		var racing sync.WaitGroup
		for _, race := range []func(){
			r.session.Close, r.session.Close, leave,
			func() { r.session.fail(ReasonPingTimeout, nil) },
			func() { _ = r.session.Send(NewMessage([]byte("x"))) },
			func() { r.session.SendVolatile(NewMessage([]byte("x"))) },
		} {
			racing.Go(race)
		}
		racing.Wait()
		f.awaitEnd(r)
		if err := r.session.Send(NewMessage(nil)); !errors.Is(err, ErrClosed) {
			t.Errorf("Send got %v, want ErrClosed", err)
		}
	}
	f.stop() // waits for all calls of Closed
	s := f.engine.Stats()
	sum := uint64(0)
	for _, n := range s.Closed {
		sum += n
	}
	if sum != 50 || s.Polling != 0 || s.WebSocket != 0 {
		t.Errorf("got %+v", s)
	}
}

// The reader that ends a session logs why before it ends the connection.
func TestSession_TakesNothingOnceItHasEnded(t *testing.T) {
	var r *recorder
	ended := make(chan struct{})
	f := onSockets(t, Options{Logger: slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		defer close(ended)
		if err := r.session.Send(NewMessage(nil)); !errors.Is(err, ErrClosed) {
			t.Errorf("Send got %v, want ErrClosed", err)
		}
		if r.session.SendVolatile(NewMessage(nil)) {
			t.Error("SendVolatile was taken")
		}
		return len(b), nil
	}), nil))})
	var c *peer
	c, r = f.openSocket()
	c.send("9")
	<-ended
	c.expectCode(1002)
}

func TestSession_ClosedIsToldOnce(t *testing.T) {
	f := onSockets(t, Options{})
	c, r := f.openSocket()
	var closing sync.WaitGroup
	for range 10 {
		closing.Go(r.session.Close)
	}
	closing.Wait()
	_ = c.conn.Close()
	f.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ends) != 1 {
		t.Errorf("Closed was called %d times", len(r.ends))
	}
}

func TestSession_MayBeClosedByItsReceiver(t *testing.T) {
	f := onSockets(t, Options{})
	f.onText = func(r *recorder, _ []byte) error {
		_ = r.session.Send(NewMessage([]byte("bye")))
		r.session.Close()
		return nil
	}
	c, r := f.openSocket()
	c.send("4x")
	c.expect("4bye")
	c.expectCode(1000)
	f.expectEnd(r, ReasonForcedClose)

	p, r := f.openPolling()
	p.post("4x\x1e4never delivered").expect(t, 200, "ok")
	p.get().expect(t, 200, "4bye")
	p.get().expect(t, 200, "1")
	f.expectEnd(r, ReasonForcedClose)
	f.expectMessages(r, "x")
}

func TestSession_HandshakeAndTransport(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	if got := r.session.Handshake().Query().Get("transport"); got != "polling" || r.session.Handshake().Time.IsZero() {
		t.Errorf("got the handshake %+v", r.session.Handshake())
	}
	p.upgrade(r)
	if got := r.session.Transport(); got != "websocket" {
		t.Errorf("transport is %q after the upgrade", got)
	}
	if got := r.session.Handshake().Query().Get("transport"); got != "polling" {
		t.Errorf("the handshake has become that of the upgrade: %q", got)
	}
}

func TestSession_AwaitSendQueueSlowsAFastAnswererDown(t *testing.T) {
	f := onTightSockets(t, Options{MaxSendQueueBytes: 200_000})
	c, onSocket := f.openSocket()
	p, polled := f.openPolling()
	for _, r := range []*recorder{onSocket, polled} {
		var answering sync.WaitGroup
		answering.Go(func() {
			for range 200 {
				r.session.AwaitSendQueue()
				if err := r.session.Send(NewMessage(make([]byte, 10_000))); err != nil {
					t.Error(err)
				}
			}
		})
		for got := 0; got < 200; {
			if r == onSocket {
				c.read()
				got++
			} else {
				got += strings.Count(p.get().body, "4\x00")
			}
		}
		answering.Wait()
		f.expectOpen(r)
	}
}

func TestSession_AwaitSendQueueEndsWithTheSession(t *testing.T) {
	inBubble(t, Options{MaxSendQueueBytes: 200_000}, func(f *fixture) {
		_, onSocket := f.openSocket()
		_, polled := f.openPolling()
		for _, r := range []*recorder{onSocket, polled} {
			for r.session.QueuedBytes() <= 100_000 {
				_ = r.session.Send(NewMessage(make([]byte, 10_000)))
			}
			var waiting sync.WaitGroup
			waiting.Go(r.session.AwaitSendQueue)
			synctest.Wait()
			start := time.Now()
			r.session.Close()
			waiting.Wait()
			if took := time.Since(start); took != 0 {
				t.Errorf("%s: it took %v", r.session.Transport(), took)
			}
		}
	})
}
