//go:build !race

// The race detector allocates, and makes pools forget.

package engine

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAllocations_NonePerReceiver(t *testing.T) {
	f := onSockets(t, Options{PingInterval: time.Hour})
	c, r := f.openSocket()
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, c.conn.NetConn()) })
	m := NewMessage([]byte(strings.Repeat("x", 128)))
	allocations := testing.AllocsPerRun(2000, func() { _ = r.session.Send(m) })
	if allocations != 0 {
		t.Errorf("got %v allocations per message, want 0", allocations)
	}
	_ = c.conn.Close()
	reading.Wait()
}

func TestAllocations_AtMostOnePerReceivedMessage(t *testing.T) {
	f := onSockets(t, Options{PingInterval: time.Hour})
	got := make(chan struct{}, 1)
	f.engine.accept = func(s *Session) Receiver { return &signal{got} }
	c := f.dial(socketQuery)
	c.read()
	message := frame(0x81, "4"+strings.Repeat("x", 128))
	allocations := testing.AllocsPerRun(2000, func() {
		c.sendRaw(message)
		<-got
	})
	if allocations > 1 { // the WebSocket library's reader
		t.Errorf("got %v allocations per message, want at most 1", allocations)
	}
}

// signal tells of each message.
type signal struct{ got chan struct{} }

func (s *signal) Text([]byte) error    { s.got <- struct{}{}; return nil }
func (s *signal) Binary([]byte) error  { return nil }
func (s *signal) Closed(Reason, error) {}

func TestAllocations_TwoPerMessage(t *testing.T) {
	var scratch [256]byte
	allocations := testing.AllocsPerRun(1000, func() {
		text := append(scratch[:0], `2["message",{"hello":"world"}]`...)
		sink = NewMessage(text)
	})
	if allocations != 2 { // the Message and its frames
		t.Errorf("got %v allocations, want 2", allocations)
	}
}

var sink *Message
