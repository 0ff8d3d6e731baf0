package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestLimit_MaxAttachments(t *testing.T) {
	v := besiege(t, server.Options{MaxAttachments: 2})
	c := v.join(t)
	s := receive(t, v.sockets)
	c.Send(`52-1["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
	c.SendBinary([]byte("a"))
	c.SendBinary([]byte("b"))
	c.Expect(`62-1[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, "binary:a", "binary:b")
	if err := s.Emit("x", []byte("a"), []byte("b"), []byte("c")); !errors.Is(err, server.ErrTooManyAttachments) {
		t.Errorf("Emit with 3 attachments: %v, want ErrTooManyAttachments", err)
	}
	if err := s.Emit("x", []byte("a"), []byte("b")); err != nil {
		t.Errorf("Emit with 2 attachments: %v", err)
	}
	c.Next()
	c.Expect("binary:a", "binary:b")
	c.Send(`53-1["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`)
	c.ExpectClose()
}

// An acknowledgement is a packet, too: a client drops the connection on one with
// more attachments than it knows.
func TestLimit_MaxAttachmentsOfAnAcknowledgement(t *testing.T) {
	v := besiege(t, server.Options{MaxAttachments: 2})
	failed := make(chan error, 1)
	server.On(v.server.Of("/"), "three", func(_ context.Context, _ *server.Socket, a server.Args) error {
		failed <- a.Ack([]byte("a"), []byte("b"), []byte("c"))
		return nil
	})
	c := v.join(t)
	c.Send(`21["three"]`)
	if err := receive(t, failed); !errors.Is(err, server.ErrTooManyAttachments) {
		t.Errorf("Ack with 3 attachments: %v, want ErrTooManyAttachments", err)
	}
	c.ExpectNothing("/")
}

func TestLimit_MaxAttachmentBytes(t *testing.T) {
	v := besiege(t, server.Options{MaxAttachmentBytes: 10})
	const header = `52-1["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	c := v.join(t)
	c.Send(header)
	c.SendBinary([]byte("123456"))
	c.SendBinary([]byte("7890"))
	c.Next()
	c.Expect("binary:123456", "binary:7890")
	c.Send(header)
	c.SendBinary([]byte("123456"))
	c.SendBinary([]byte("78901"))
	c.ExpectClose()
}

func TestLimit_AttachmentTimeout(t *testing.T) {
	besiegeInBubble(t, server.Options{AttachmentTimeout: 4 * time.Second}, func(t *testing.T, v *victim) {
		c := v.join(t)
		for range 3 { // each packet has the whole time
			c.Send(`51-1["echo",{"_placeholder":true,"num":0}]`)
			time.Sleep(4*time.Second - 1)
			c.SendBinary([]byte("x"))
			c.Next()
			c.Expect("binary:x")
		}
		c.Send(`52-1["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		begin := time.Now()
		time.Sleep(3 * time.Second)
		c.SendBinary([]byte("x")) // one attachment gives no time for the next
		untilClosed(c)
		if took := time.Since(begin); took != 4*time.Second {
			t.Errorf("closed after %v, want 4 s", took)
		}
	})
}

func TestLimit_MaxJSONDepth(t *testing.T) {
	v := besiege(t, server.Options{})
	nested := func(depth int) string { // the arguments' array is the first level
		return `21["echo",` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + "]"
	}
	c := v.join(t)
	c.Send(nested(1000))
	c.Expect("31[" + strings.Repeat("[", 999) + strings.Repeat("]", 999) + "]")
	c.Send(nested(1001))
	c.ExpectClose()
}

func TestLimit_MaxConnectAttempts(t *testing.T) {
	v := besiege(t, server.Options{MaxConnectAttempts: 4})
	c := v.join(t) // the first
	for range 3 {
		c.Send("0/unknown,")
		c.Expect(`4/unknown,{"message":"Invalid namespace"}`)
	}
	c.ExpectNothing("/")
	c.Send("0/unknown,")
	c.ExpectClose()
}

func TestLimit_MaxNamespaceLength(t *testing.T) {
	v := besiege(t, server.Options{})
	sync(v.server.OfFunc(func(context.Context, string, *server.Handshake) bool { return true }))
	c := rawclient.Dial(t, v.url, nil)
	longest := "/" + strings.Repeat("n", 511)
	c.Connect(longest, "")
	c.ExpectNothing(longest)
	c.Send("0" + longest + "n,")
	c.Expect("4" + longest + `n,{"message":"Invalid namespace"}`)
}

func TestLimit_MaxRoomsPerSocket(t *testing.T) {
	v := besiege(t, server.Options{MaxRoomsPerSocket: 3})
	v.join(t)
	s := receive(t, v.sockets)
	if err := s.Join(t.Context(), "a", "a", s.ID(), "b"); err != nil {
		t.Errorf("two rooms, one of them twice, and the own one: %v", err)
	}
	if err := s.Join(t.Context(), "c", "d"); !errors.Is(err, server.ErrTooManyRooms) {
		t.Errorf("beyond the limit: %v, want ErrTooManyRooms", err)
	}
	if n := len(s.Rooms()); n != 3 {
		t.Errorf("the socket is in %d rooms, want its own and two", n)
	}
	if err := s.Join(t.Context(), "a", "c", "b"); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := s.Join(t.Context(), "d"); !errors.Is(err, server.ErrTooManyRooms) {
		t.Errorf("one beyond the limit: %v, want ErrTooManyRooms", err)
	}
	s.Leave("a")
	if err := s.Join(t.Context(), "d"); err != nil {
		t.Errorf("after a leave: %v", err)
	}
}

func TestLimit_MaxPendingAcks(t *testing.T) {
	v := besiege(t, server.Options{MaxPendingAcks: 2})
	c := v.join(t)
	s := receive(t, v.sockets)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range 2 {
		go func() { _, err := server.Call[int](ctx, s, "ask"); ended <- err }()
		c.Next()
	}
	if _, err := server.Call[int](ctx, s, "ask"); !errors.Is(err, server.ErrTooManyAcks) {
		t.Errorf("the third call: %v, want ErrTooManyAcks", err)
	}
	cancel()
	for range 2 {
		if err := receive(t, ended); !errors.Is(err, context.Canceled) {
			t.Errorf("a call at the limit: %v", err)
		}
	}
}

// While a handler waits in Call, twice the limit may wait; its own event counts.
func TestLimit_MaxEventBytesInFlight(t *testing.T) {
	fill := `2["fill","` + strings.Repeat("x", 1000-len(`["fill",""]`)) + `"]` // 1000 bytes of payload
	for events, closed := range map[int]bool{20: false, 21: true} {
		t.Run(fmt.Sprint(events), func(t *testing.T) {
			v := besiege(t, server.Options{MaxEventBytesInFlight: 10_000})
			server.Handle(v.server.Of("/"), "ask", func(ctx context.Context, s *server.Socket, _ struct{}) (int, error) {
				return server.Call[int](ctx, s, "answer")
			})
			c := v.join(t)
			c.Send(`21["ask"]`)
			c.Expect(`20["answer"]`)
			for range events {
				c.Send(fill)
			}
			c.Send(`30[7]`)
			if closed {
				c.ExpectClose()
				return
			}
			c.Expect(`31[7]`)
			c.ExpectNothing("/")
		})
	}
}

func TestLimit_MaxEventsInFlight(t *testing.T) {
	for events, closed := range map[int]bool{19: false, 20: true} {
		t.Run(fmt.Sprint(events), func(t *testing.T) {
			v := besiege(t, server.Options{MaxEventsInFlight: 10})
			server.Handle(v.server.Of("/"), "ask", func(ctx context.Context, s *server.Socket, _ struct{}) (int, error) {
				return server.Call[int](ctx, s, "answer")
			})
			c := v.join(t)
			c.Send(`21["ask"]`) // is in flight itself
			c.Expect(`20["answer"]`)
			for range events {
				c.Send(`2["fill"]`)
			}
			c.Send(`30[7]`)
			if closed {
				c.ExpectClose()
				return
			}
			c.Expect(`31[7]`)
			c.ExpectNothing("/")
		})
	}
}
