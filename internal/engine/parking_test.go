//go:build linux

package engine

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// atOnce parks connections as soon as that is possible.
func atOnce(o Options) Options {
	o.ParkAfter = time.Nanosecond
	return o
}

// expectParked waits until n sessions are parked.
func (f *fixture) expectParked(n int) {
	f.t.Helper()
	f.eventually(fmt.Sprintf("%d parked sessions", n), func() bool { return f.engine.Stats().Parked == n })
}

// whileParked waits until a session is parked, and calls act while it stays so.
func (f *fixture) whileParked(r *recorder, act func(*webSocket)) {
	f.t.Helper()
	p, w := &f.engine.parking, r.session.socket.Load()
	f.eventually("parked", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.holds(w) {
			act(w)
			return true
		}
		return false
	})
}

// readers counts the goroutines that serve WebSockets.
func readers() int {
	stacks := make([]byte, 1<<20)
	for {
		if n := runtime.Stack(stacks, true); n < len(stacks) {
			return bytes.Count(stacks[:n], []byte("engine.(*webSocket).serve("))
		}
		stacks = make([]byte, 2*len(stacks))
	}
}

func TestPark_QuietSessionsHaveNoGoroutine(t *testing.T) {
	const sessions = 50
	f := onSockets(t, Options{ParkAfter: 10 * time.Millisecond})
	clients, receivers := make([]*peer, sessions), make([]*recorder, sessions)
	for i := range clients {
		clients[i], receivers[i] = f.openSocket()
	}
	f.expectParked(sessions)
	f.eventually("the end of all readers", func() bool { return readers() == 0 })
	for round := range 3 {
		for i, c := range clients {
			c.send(fmt.Sprintf("4hello %d", round))
			f.eventually("message", func() bool { return len(receivers[i].messages()) == round+1 })
		}
		f.expectParked(sessions)
	}
	parkings := func() (now int, ever int32) {
		p := &f.engine.parking
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.count, p.generation
	}
	_, before := parkings()
	for i, r := range receivers {
		f.expectMessages(r, "hello 0", "hello 1", "hello 2")
		_ = r.session.Send(NewMessage([]byte("bye")))
		clients[i].expect("4bye")
		f.expectOpen(r)
	}
	if now, ever := parkings(); now != sessions || ever != before {
		t.Errorf("sending woke somebody: %d are parked, %d again", now, ever-before)
	}
}

// patient tells of the read deadlines of a connection that are far away.
type patient struct {
	net.Conn
	far chan<- struct{}
}

func (c patient) SetReadDeadline(t time.Time) error {
	if time.Until(t) > 30*time.Minute {
		c.far <- struct{}{}
	}
	return c.Conn.SetReadDeadline(t)
}

func TestPark_NewcomersDoNotWaitForParkAfter(t *testing.T) {
	f := onSockets(t, Options{ParkAfter: time.Hour})
	waits := make(chan struct{}, 10)
	f.onOpen = func(r *recorder) {
		frames := &r.session.socket.Load().frames
		frames.Conn = patient{frames.Conn, waits}
	}
	c, r := f.openSocket()
	for i, hello := range []string{"hello", "I want this"} {
		f.expectParked(1)
		c.send("4" + hello)
		f.eventually("message", func() bool { return len(r.messages()) == i+1 })
	}
	select {
	case <-waits: // no newcomer any more
	case <-time.After(patience):
		t.Error("ParkAfter is not waited for after the second message")
	}
}

func TestPark_OffKeepsTheGoroutine(t *testing.T) {
	f := onSockets(t, Options{ParkAfter: -1, PingInterval: 5 * time.Millisecond})
	c, r := f.openSocket()
	for range 5 {
		c.expect("2")
		c.send("3")
	}
	if got := f.engine.Stats().Parked; got != 0 {
		t.Errorf("%d sessions are parked", got)
	}
	f.expectOpen(r)
}

// A connection that came encrypted, and a session that polls, are never parked.
func TestPark_TLSAndPollingStayAsTheyAre(t *testing.T) {
	f := onTLS(t, atOnce(Options{PingInterval: 5 * time.Millisecond}))
	c, r := f.openSocket()
	p, _ := f.openPolling()
	for range 5 {
		c.expect("2")
		c.send("3")
	}
	p.get().expect(t, 200, "2")
	if got := f.engine.Stats().Parked; got != 0 {
		t.Errorf("%d sessions are parked", got)
	}
	f.expectOpen(r)
}

func TestPark_MessagesOfAnyShapeArriveInOrder(t *testing.T) {
	f := onSockets(t, atOnce(Options{}))
	c, r := f.openSocket()
	long := strings.Repeat("long ", 20_000)
	var want []string
	send := func(b []byte, message ...string) {
		t.Helper()
		f.expectParked(1)
		c.sendRaw(b)
		want = append(want, message...)
		f.expectMessages(r, want...)
	}
	send(frame(frameText, "4one"), "one")
	send(append(frame(frameText, "4two"), frame(frameText, "4three")...), "two", "three")
	send(append(frame(framePing, "x"), frame(frameText, "4four")...), "four")
	send(append(append(frame(0x01, "4fi"), frame(framePing, "y")...), frame(0x80, "ve")...), "five")
	send(frame(frameText, "4"+long), long)
	send(frame(frameBinary, "six"), "binary:six")
	// In pieces, each of which finds the connection waiting inside a message.
	for _, piece := range bytes.SplitAfter(frame(frameText, "4s.e.v.e.n"), []byte(".")) {
		c.sendRaw(piece)
	}
	send(nil, "s.e.v.e.n")
	f.expectParked(1)
}

func TestPark_HeartbeatsDoNotWakeForLong(t *testing.T) {
	// If a pong counted as a message, the connection would not be parked again
	// within an hour.
	f := onSockets(t, Options{ParkAfter: 20 * time.Millisecond, PingInterval: 10 * time.Millisecond})
	c, r := f.openSocket()
	f.whileParked(r, func(w *webSocket) { w.frames.limits.ParkAfter = time.Hour })
	for range 5 {
		c.expect("2")
		c.send("3")
	}
	f.expectParked(1)
	f.expectOpen(r)
}

func TestPark_PingsAreAnsweredAndLeaveItParked(t *testing.T) {
	f := onSockets(t, atOnce(Options{}))
	c, r := f.openSocket()
	pongs := make(chan string, 100)
	c.conn.SetPongHandler(func(data string) error { pongs <- data; return nil })
	go func() { _, _, _ = c.conn.ReadMessage() }()
	for n := range 20 {
		want := strings.Repeat("p", n*6)
		f.expectParked(1)
		if n%2 == 0 {
			c.sendRaw(frame(framePong, want)) // nobody asked for it
		}
		_ = c.conn.WriteControl(websocket.PingMessage, []byte(want), time.Now().Add(patience))
		select {
		case got := <-pongs:
			if got != want {
				t.Fatalf("got pong %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Fatal("no pong")
		}
	}
	f.expectParked(1)
	f.expectOpen(r)
}

func TestPark_PingTimeout(t *testing.T) {
	f := onSockets(t, atOnce(Options{PingInterval: 30 * time.Millisecond, PingTimeout: 30 * time.Millisecond}))
	c, r := f.openSocket()
	f.expectEnd(r, ReasonPingTimeout)
	c.expectGone()
	f.expectParked(0)
}

func TestPark_CloseWhileParked(t *testing.T) {
	f := onSockets(t, atOnce(Options{}))
	c, r := f.openSocket()
	f.expectParked(1)
	r.session.Close()
	c.expectCode(websocket.CloseNormalClosure) // the library answers
	f.expectEnd(r, ReasonForcedClose)
	f.expectParked(0)
}

func TestPark_CloseWhileParkedOfClientThatDoesNotAnswer(t *testing.T) {
	f := onSockets(t, atOnce(Options{CloseTimeout: 20 * time.Millisecond}))
	c, r := f.openSocket()
	f.expectParked(1)
	r.session.Close()
	f.expectEnd(r, ReasonForcedClose)
	f.expectParked(0)
	f.stop() // waits for the reader that has closed the connection
	c.expectGone()
}

func TestPark_ClientGoesWhileParked(t *testing.T) {
	for name, leave := range map[string]func(*peer){
		"close frame": func(c *peer) {
			_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(patience))
		},
		"close packet": func(c *peer) { c.send("1") },
		"end of stream": func(c *peer) {
			_ = c.conn.NetConn().Close()
		},
		"reset": func(c *peer) {
			_ = c.conn.NetConn().(*net.TCPConn).SetLinger(0)
			_ = c.conn.NetConn().Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := onSockets(t, atOnce(Options{}))
			c, r := f.openSocket()
			f.expectParked(1)
			leave(c)
			f.expectEnd(r, ReasonTransportClose)
			f.expectParked(0)
		})
	}
}

func TestPark_ViolationsWhileParked(t *testing.T) {
	for name, test := range map[string]struct {
		bytes  []byte
		reason Reason
		code   int
	}{
		"unmasked ping":   {[]byte{framePing, 1, 'x'}, ReasonTransportError, websocket.CloseProtocolError},
		"unmasked pong":   {[]byte{framePong, 0, 0, 0, 0, 0, 0, 0}, ReasonTransportError, websocket.CloseProtocolError},
		"ping too long":   {frame(framePing, strings.Repeat("x", 126)), ReasonTransportError, websocket.CloseProtocolError},
		"fragmented ping": {frame(framePing&0x0f, "x"), ReasonTransportError, websocket.CloseProtocolError},
		"deflated ping":   {frame(framePing|frameRSV1, "x"), ReasonTransportError, websocket.CloseProtocolError},
		"half a frame":    {frame(frameText, "4hello")[:5], ReasonTransportError, websocket.ClosePolicyViolation},
		"one byte":        {[]byte{frameText}, ReasonTransportError, websocket.ClosePolicyViolation},
		"half a ping":     {frame(framePing, "hello")[:7], ReasonTransportError, websocket.ClosePolicyViolation},
		"half a message":  {frame(0x01, "4hello"), ReasonTransportError, websocket.ClosePolicyViolation},
		"too big":         {frame(frameText, "4"+strings.Repeat("x", 2000)), ReasonTransportError, websocket.CloseMessageTooBig},
		"no UTF-8":        {frame(frameText, "4\xff"), ReasonTransportError, websocket.CloseInvalidFramePayloadData},
		"no packet":       {frame(frameText, "x"), ReasonParseError, websocket.CloseProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			f := onSockets(t, atOnce(Options{FragmentTimeout: 30 * time.Millisecond, MaxPayload: 1000}))
			c, r := f.openSocket()
			f.expectParked(1)
			c.sendRaw(test.bytes)
			f.expectEnd(r, test.reason)
			c.expectCode(test.code)
			f.expectParked(0)
		})
	}
}

func TestPark_UnfinishedMessagesAreWaitedForWithoutParking(t *testing.T) {
	f := onSockets(t, atOnce(Options{FragmentTimeout: -1, PingInterval: 5 * time.Millisecond}))
	c, r := f.openSocket()
	f.expectParked(1)
	message := frame(frameText, "4hello")
	c.sendRaw(message[:5])
	f.expectParked(0)
	for range 5 { // time goes by
		c.expect("2")
		r.session.engine.heartbeat.pong(r.session)
	}
	if got := f.engine.Stats().Parked; got != 0 {
		t.Errorf("parked within a message")
	}
	c.sendRaw(message[5:])
	f.expectMessages(r, "hello")
}

func TestPark_ShutdownWhileParked(t *testing.T) {
	f := onSockets(t, atOnce(Options{CloseTimeout: 50 * time.Millisecond}))
	var receivers []*recorder
	for i := range 100 {
		c, r := f.openSocket()
		receivers = append(receivers, r)
		if i%2 == 0 { // the others do not answer
			go c.expectGone()
		}
	}
	f.expectParked(100)
	f.stop()
	for _, r := range receivers {
		f.expectEnd(r, ReasonShutdown)
	}
	f.expectParked(0)
	if got := readers(); got != 0 {
		t.Errorf("%d readers have outlived Close", got)
	}
}

func TestPark_ClientThatDoesNotReadIsClosedWhileParked(t *testing.T) {
	f := onTightSockets(t, atOnce(Options{MaxSendQueueBytes: 256 << 10}))
	_, r := f.openSocket()
	f.expectParked(1)
	m := NewMessage([]byte(strings.Repeat("x", 64<<10)))
	for r.session.Send(m) == nil {
	}
	if got := f.awaitEnd(r); got.reason != ReasonTransportError || got.cause != ErrSlowConsumer {
		t.Errorf("session ended with %q (%v), want a slow consumer", got.reason, got.cause)
	}
	f.expectParked(0)
}

func TestPark_WritingGoesOnWhileParked(t *testing.T) {
	f := onTightSockets(t, atOnce(Options{MaxSendQueueBytes: 64 << 20}))
	c, r := f.openSocket()
	f.expectParked(1)
	const messages = 100
	text := strings.Repeat("x", 64<<10)
	for range messages {
		if err := r.session.Send(NewMessage([]byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	c.send("4ping") // found by a reader that waits until the queue is short enough
	for range messages {
		c.expect("4" + text)
	}
	f.expectMessages(r, "ping")
	f.expectParked(1)
}

func TestPark_WriteTimeoutWhileParked(t *testing.T) {
	f := onTightSockets(t, atOnce(Options{WriteTimeout: 30 * time.Millisecond, MaxSendQueueBytes: 64 << 20}))
	_, r := f.openSocket()
	f.expectParked(1)
	_ = r.session.Send(NewMessage(make([]byte, 32<<20)))
	f.expectEnd(r, ReasonTransportError)
	f.expectParked(0)
}

// Whoever owns the listener may close a connection behind the engine's back. Its
// descriptor is soon another client's.
func TestPark_DescriptorIsUsedAgain(t *testing.T) {
	f := onSockets(t, atOnce(Options{}))
	_, first := f.openSocket()
	_, second := f.openSocket()
	var descriptors []int
	for _, r := range []*recorder{first, second} {
		f.whileParked(r, func(w *webSocket) { descriptors = append(descriptors, w.place.descriptor) })
	}
	for _, r := range []*recorder{first, second} {
		_ = r.session.socket.Load().frames.Conn.Close() // no event tells of it
	}
	// Of the two descriptors that are free the client takes one and the server the other.
	_, r := f.openSocket()
	f.whileParked(r, func(w *webSocket) {
		if !slices.Contains(descriptors, w.place.descriptor) {
			t.Errorf("descriptor %d is none of %v", w.place.descriptor, descriptors)
		}
	})
	select {
	case <-first.closed:
	case <-second.closed:
	case <-time.After(patience):
		t.Error("who lost its place was not woken")
	}
	f.expectOpen(r)
}

func TestPark_LateEventsWakeNobody(t *testing.T) {
	f := onSockets(t, atOnce(Options{}))
	_, r := f.openSocket()
	f.expectParked(1)
	p, place := &f.engine.parking, r.session.socket.Load().place
	p.wake([]pollEvent{{place.descriptor, place.generation - 1}, {place.descriptor, place.generation + 1}, {place.descriptor + 1000, place.generation}, {-1, 0}})
	if got := p.size(); got != 1 {
		t.Fatalf("%d sessions are parked, want 1", got)
	}
	p.wake([]pollEvent{{place.descriptor, place.generation}, {place.descriptor, place.generation}})
	f.whileParked(r, func(w *webSocket) { // found nothing
		if again := w.place.generation - place.generation; again != 1 {
			t.Errorf("parked again %d times, want once", again)
		}
	})
	f.expectOpen(r)
}

// Everything that can happen to parked sessions happens to many at once.
func TestPark_StormOfEndsAndMessages(t *testing.T) {
	f := onSockets(t, atOnce(Options{CloseTimeout: 20 * time.Millisecond, PingInterval: 5 * time.Millisecond, PingTimeout: 100 * time.Millisecond}))
	const rounds = 20
	var clients sync.WaitGroup
	open := make(chan *Session, 8*rounds) // their clients have been answered
	for seed := range uint64(8) {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(seed, 0))
			for range rounds {
				conn, a := f.tryDial(socketQuery, nil)
				if a.err != nil {
					t.Errorf("dial: %v", a.err)
					return
				}
				_, packet, err := conn.ReadMessage()
				if err != nil {
					t.Errorf("open packet: %v", err)
					return
				}
				if s := f.engine.session(sidOf(t, string(packet))); s != nil { // unless it was late with a pong
					open <- s
					storm(random, conn, <-open)
				}
				_ = conn.Close()
			}
		})
	}
	clients.Wait()
	f.eventually("the end of all sessions", func() bool { s := f.engine.Stats(); return s.WebSocket == 0 && s.Parked == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.engine.Close(ctx); err != nil {
		t.Error(err)
	}
}

// storm does to a connection, and to some session, what chance wants.
func storm(random *rand.Rand, conn *websocket.Conn, s *Session) {
	for range random.IntN(20) {
		switch random.IntN(10) {
		case 0:
			s.Close()
		case 1:
			s.fail(ReasonTransportError, nil)
		case 2:
			_, _ = conn.NetConn().Write(frame(frameText, "4half")[:random.IntN(10)])
			return
		case 3:
			_ = conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience))
		case 4, 5, 6:
			_ = s.Send(NewMessage([]byte("hello")))
		case 7:
			_, _, _ = conn.ReadMessage()
		default:
			_ = conn.WriteMessage(websocket.TextMessage, []byte("4hello"))
		}
	}
}
