package engine

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestUpgrade_PollInFlightIsReleased(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	poll := p.poll(r)
	c := p.probe()
	c.send("2probe")
	c.expect("3probe")
	(<-poll).expect(t, http.StatusOK, "6")
	// A poll that was under way when the probe was answered does not wait either.
	p.get().expect(t, http.StatusOK, "6")
	c.send("5")
	f.eventually("upgrade", func() bool { return r.session.Transport() == "websocket" })
	if s := f.engine.Stats(); s.Upgraded != 1 || s.WebSocket != 1 || s.Polling != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestUpgrade_QueueFollowsInOrder(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	c := p.probe()
	c.send("2probe")
	c.expect("3probe")
	// Until the upgrade packet messages go by polling.
	_ = r.session.Send(NewMessage([]byte("a")))
	p.get().expect(t, http.StatusOK, "4a")
	_ = r.session.Send(NewMessage([]byte("b"), []byte("x")))
	_ = r.session.Send(NewMessage([]byte("c")))
	c.send("5")
	c.expect("4b", "binary:x", "4c")
	_ = r.session.Send(NewMessage([]byte("d")))
	c.expect("4d")
	c.send("4from the client")
	f.expectMessages(r, "from the client")
	for _, method := range []string{"GET", "POST"} {
		p.do(method, p.query(), "").expect(t, http.StatusBadRequest, badRequestBody)
	}
	f.expectOpen(r)
}

func TestUpgrade_NothingIsLostOrReorderedUnderLoad(t *testing.T) {
	const count = 3000
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := range count {
			if err := r.session.Send(NewMessage([]byte(fmt.Sprint(i)))); err != nil {
				t.Errorf("message %d: %v", i, err)
				return
			}
		}
	})
	var got []string
	poll := func() {
		for packet := range strings.SplitSeq(p.get().body, "\x1e") {
			if packet != "6" {
				got = append(got, packet)
			}
		}
	}
	poll()
	c := p.probe()
	c.send("2probe")
	poll()
	c.expect("3probe")
	poll()
	c.send("5")
	for len(got) < count {
		got = append(got, c.read())
	}
	sending.Wait()
	for i, packet := range got {
		if want := "4" + fmt.Sprint(i); packet != want {
			t.Fatalf("packet %d is %q, want %q", i, packet, want)
		}
	}
}

func TestUpgrade_WaitsForThePostInFlight(t *testing.T) {
	f := onSockets(t, Options{})
	entered, release := make(chan struct{}), make(chan struct{})
	f.onText = func(_ *recorder, data []byte) error {
		if string(data) == "posted first" {
			close(entered)
			<-release
		}
		return nil
	}
	p, r := f.openPolling()
	posted := make(chan answer, 1)
	go func() { posted <- p.post("4posted first\x1e4posted second") }()
	<-entered
	c := p.upgrade(r)
	c.send("4by WebSocket")
	_ = r.session.Send(NewMessage([]byte("from the server")))
	c.expect("4from the server")
	close(release)
	(<-posted).expect(t, http.StatusOK, "ok")
	f.expectMessages(r, "posted first", "posted second", "by WebSocket")
}

func TestUpgrade_SecondProbeLeavesTheFirstAlone(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	first := p.probe()
	refused := func() {
		t.Helper()
		if _, a := f.tryDial(socketQuery+"&sid="+p.sid, nil); a.status != http.StatusBadRequest || a.body != "Bad request" {
			t.Errorf("got %d %q, want 400", a.status, a.body)
		}
	}
	refused()
	first.send("2probe")
	first.expect("3probe")
	refused()
	first.send("5")
	f.eventually("upgrade", func() bool { return r.session.Transport() == "websocket" })
	refused()
	first.send("4x")
	f.expectMessages(r, "x")
	p.get().expect(t, http.StatusBadRequest, badRequestBody)
}

func TestUpgrade_ProbeThatBreaksTheProtocolLeavesPollingAlone(t *testing.T) {
	tests := map[string][]string{
		"message first":       {"4hello"},
		"CONNECT first":       {"40"},
		"upgrade first":       {"5"},
		"ping without probe":  {"2"},
		"message after probe": {"2probe", "4hello"},
		"probe twice":         {"2probe", "2probe"},
		"upgrade with data":   {"2probe", "5x"},
		"close":               {"2probe", "1"},
	}
	for name, packets := range tests {
		t.Run(name, func(t *testing.T) {
			f := onSockets(t, Options{})
			p, r := f.openPolling()
			c := p.probe()
			for _, packet := range packets {
				c.send(packet)
			}
			c.expectCode(1002)
			_ = c.conn.Close()
			f.awaitProbeEnd(r)
			p.post("4still here").expect(t, http.StatusOK, "ok")
			f.expectMessages(r, "still here")
			poll := p.poll(r)
			_ = r.session.Send(NewMessage([]byte("here, too")))
			(<-poll).expect(t, http.StatusOK, "4here, too")
			p.upgrade(r)
		})
	}
}

func TestUpgrade_ProbesThatAreResetLeaveNothing(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	for range 100 {
		c := p.probe()
		c.send("2probe")
		c.expect("3probe")
		_ = c.conn.NetConn().(*net.TCPConn).SetLinger(0)
		_ = c.conn.Close()
		f.awaitProbeEnd(r)
	}
	f.expectOpen(r)
	p.upgrade(r)
}

func TestUpgrade_UnfinishedOneIsGivenUp(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		for _, packets := range [][]string{{}, {"2probe"}} {
			p, r := f.openPolling()
			start := time.Now()
			c := p.probe()
			for _, packet := range packets {
				c.send(packet)
				c.expect("3probe")
			}
			c.expectGone()
			if took := time.Since(start); took != 10*time.Second {
				f.t.Errorf("given up after %v, want 10s", took)
			}
			p.post("4x").expect(f.t, http.StatusOK, "ok")
			f.expectOpen(r)
			f.awaitProbeEnd(r)
			p.upgrade(r)
		}
	})
}

func TestUpgrade_EndOfTheSessionEndsTheProbe(t *testing.T) {
	for name, end := range map[string]func(p *poller, r *recorder){
		"by the server": func(p *poller, r *recorder) {
			r.session.Close()
			p.get().expect(p.t, http.StatusOK, "1")
		},
		"by the client": func(p *poller, _ *recorder) { p.post("1") },
		"by an error":   func(p *poller, _ *recorder) { p.post("9") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(f *fixture) {
				p, r := f.openPolling()
				c := p.probe()
				c.send("2probe")
				c.expect("3probe")
				start := time.Now()
				end(p, r)
				c.expectGone()
				if took := time.Since(start); took != 0 {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A client that is about to send its upgrade packet has stopped polling.
func TestUpgrade_ClientHearsOfACloseInBetween(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	c := p.probe()
	c.send("2probe")
	c.expect("3probe")
	_ = r.session.Send(NewMessage([]byte("last")))
	r.session.Close()
	f.expectEnd(r, ReasonForcedClose)
	c.send("5")
	c.expect("4last")
	c.expectCode(1000)
	p.get().expect(t, http.StatusBadRequest, unknownSession)
	if s := f.engine.Stats(); s.Upgraded != 0 || s.WebSocket != 0 || s.Polling != 0 {
		t.Errorf("got %+v", s)
	}
}

// hesitant is a client's connection that reads nothing before it is ready.
type hesitant struct {
	net.Conn
	ready <-chan struct{}
}

func (c hesitant) Read(b []byte) (int, error) {
	<-c.ready
	return c.Conn.Read(b)
}

// The shutdown does not wait for an upgrade that begins after it has given those up that it found.
func TestUpgrade_ThatIsLateDoesNotKeepTheShutdown(t *testing.T) {
	inBubble(t, Options{}, func(f *fixture) {
		p, r := f.openPolling()
		ready := make(chan struct{})
		network := f.dialer.NetDialContext
		f.dialer.NetDialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := network(ctx, "", "")
			return hesitant{conn, ready}, err
		}
		var probing sync.WaitGroup
		probing.Go(func() { p.probe().expectGone() })
		synctest.Wait() // the response that opens the WebSocket is on its way
		start := time.Now()
		time.AfterFunc(5*time.Second, func() { close(ready) })
		f.stop()
		f.expectEnd(r, ReasonShutdown)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Close took %v, want the 5s that the client took", took)
		}
		probing.Wait()
	})
}

func TestUpgrade_IsRefusedWhenSwitchedOff(t *testing.T) {
	f := onSockets(t, Options{DisableUpgrades: true})
	p, r := f.openPolling()
	if _, a := f.tryDial(socketQuery+"&sid="+p.sid, nil); a.status != http.StatusBadRequest {
		t.Errorf("got %d, want 400", a.status)
	}
	f.expectOpen(r)
}

func TestUpgrade_VolatileFindsTheWebSocketWritable(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	c := p.upgrade(r)
	f.eventually("writable", func() bool { return r.session.SendVolatile(NewMessage([]byte("v"))) })
	c.expect("4v")
}
