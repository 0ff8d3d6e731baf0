package server

import (
	"context"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/packet"
)

func TestExpire_LeavesTheNextNamespaceOfThatName(t *testing.T) {
	s, err := New(Options{CloseTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Shutdown(context.Background()) }()
	parent := s.OfFunc(func(context.Context, string, *Handshake) bool { return true })
	first, _ := s.child(parent, "/a")
	first.release() // the first timer
	// The timer has fired, and waits for the server's lock, while a client comes and goes.
	_ = s.find("/a")
	first.release() // the second timer
	s.expire(first) // of the first timer
	second, _ := s.child(parent, "/a")
	if second == first {
		t.Fatal("the first namespace lives")
	}
	s.expire(first) // of the second timer
	if got := s.find("/a"); got != second {
		t.Errorf("a namespace in use was removed: %v", got)
	}
	if s.dynamic != 1 {
		t.Errorf("%d dynamic namespaces are counted, want 1", s.dynamic)
	}
}

func TestConnect_NothingOvertakesTheReply(t *testing.T) {
	s, err := New(Options{CloseTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	defer web.Close()
	defer func() { _ = s.Shutdown(context.Background()) }()
	known := make(chan *Socket, 1)
	s.Of("/").Use(func(_ context.Context, socket *Socket) error {
		s.fanout.mu.Lock() // the reply cannot take its place yet
		known <- socket
		return nil
	})
	c := rawclient.Dial(t, web.URL, nil)
	c.Send("0")
	socket := <-known
	for range 1000 {
		if err := socket.Emit("early"); err == nil {
			t.Error("an event was written before the reply to CONNECT")
			break
		}
		runtime.Gosched()
	}
	s.fanout.mu.Unlock()
	if reply := c.Next(); !strings.HasPrefix(reply, "0") {
		t.Errorf("before the reply came %q", reply)
	}
}

func TestDisconnect_EventThatWaitedForRoomMeanwhileIsNotHandled(t *testing.T) {
	s, err := New(Options{CloseTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	defer web.Close()
	defer func() { _ = s.Shutdown(context.Background()) }()
	ns, gone := s.Of("/"), make(chan struct{})
	ns.OnDisconnect(func(context.Context, *Socket, DisconnectReason) { close(gone) })
	ns.OnAny(func(context.Context, *Socket, string, Args) error {
		t.Error("an event was handled after the handlers of OnDisconnect")
		return nil
	})
	rawclient.Join(t, web.URL, "/", nil)
	socket := ns.Sockets()[0]
	socket.Disconnect(false)
	<-gone
	// The reader saw the socket connected, and had to wait until now.
	late := packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(`["late"]`)}
	c := socket.connection
	if err := c.admit(packetSize(&late)); err != nil {
		t.Fatal(err)
	}
	socket.put(late)
	if err := s.tasks.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.events != 0 || c.bytes != 0 {
		t.Errorf("%d events of %d bytes count as in flight", c.events, c.bytes)
	}
}
