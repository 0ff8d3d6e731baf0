package server_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestEvent_TypedHandlerAndAcknowledgements(t *testing.T) {
	type terms struct{ A, B int }
	s, url := start(t, server.Options{})
	ns := s.Of("/")
	server.Handle(ns, "sum", func(_ context.Context, _ *server.Socket, t terms) (int, error) {
		if t.A < 0 {
			return 0, &server.EventError{Message: "negative", Data: t.A}
		}
		if t.B < 0 {
			return 0, errors.New("a secret")
		}
		return t.A + t.B, nil
	})
	server.On(ns, "note", func(_ context.Context, _ *server.Socket, text string) error {
		if text == "" {
			return errors.New("a secret")
		}
		return nil
	})
	c, _ := rawclient.Join(t, url, "/", nil)
	for _, step := range [][2]string{
		{`21["sum",{"A":1,"B":2}]`, `31[3]`},
		{`22["sum",{"A":-1,"B":2}]`, `32[{"error":{"message":"negative","data":-1}}]`},
		{`23["sum",{"A":1,"B":-2}]`, `33[{"error":{"message":"internal error"}}]`},
		{`24["sum","text"]`, `34[{"error":{"message":"invalid arguments"}}]`},
		{`25["sum"]`, `35[0]`},
		{`26["note","x"]`, `36[]`},
		{`27["note",""]`, `37[{"error":{"message":"internal error"}}]`},
		{`218446744073709551615["note","x"]`, `318446744073709551615[]`},
	} {
		c.Send(step[0])
		c.Expect(step[1])
	}
	c.Send(`2["sum",{"A":1,"B":2}]`) // wants no acknowledgement
	c.Send(`28["unknown"]`)
	c.Send(`2["constructor"]`)
	c.Send(`2["error",1]`)
	c.Send(`2[""]`)
	c.Send(`3999["nobody asked"]`)
	c.ExpectNothing("/")
}

func TestEvent_SeveralArgumentsAndBinaryBothWays(t *testing.T) {
	s, url := start(t, server.Options{})
	type file struct {
		Name string
		Body []byte
	}
	server.On(s.Of("/"), "files", func(_ context.Context, s *server.Socket, a server.Args) error {
		var n int
		var f file
		var raw []byte
		var loose any
		if err := a.Decode(&n, &f, &raw, &loose); err != nil {
			return err
		}
		if a.Len() != 4 || n != 2 || f.Name != "a" || string(f.Body) != "one" || string(raw) != "two" {
			return fmt.Errorf("got %d arguments: %v %v %q", a.Len(), n, f, raw)
		}
		if err := s.Emit("copy", a.At(2), a.At(1), []any{f.Body, loose}); err != nil {
			return err
		}
		return a.Ack(raw, f)
	})
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`53-1["files",2,{"Name":"a","Body":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1},{"deep":[{"_placeholder":true,"num":2}]}]`)
	for _, part := range []string{"one", "two", "three"} {
		c.SendBinary([]byte(part))
	}
	c.Expect(
		`54-["copy",{"_placeholder":true,"num":0},{"Name":"a","Body":{"_placeholder":true,"num":1}},[{"_placeholder":true,"num":2},{"deep":[{"_placeholder":true,"num":3}]}]]`,
		"binary:two", "binary:one", "binary:one", "binary:three",
		`62-1[{"_placeholder":true,"num":0},{"Name":"a","Body":{"_placeholder":true,"num":1}}]`,
		"binary:two", "binary:one",
	)
}

func TestEvent_CatchAllRunsFirstAndCanStop(t *testing.T) {
	s, url := start(t, server.Options{})
	ns := s.Of("/")
	var seen []string
	ns.OnAny(func(_ context.Context, _ *server.Socket, event string, a server.Args) error {
		seen = append(seen, fmt.Sprint(event, a.Len()))
		if event == "forbidden" {
			return errors.New("no")
		}
		return nil
	})
	server.Handle(ns, "seen", func(context.Context, *server.Socket, struct{}) ([]string, error) { return seen, nil })
	server.On(ns, "forbidden", func(context.Context, *server.Socket, struct{}) error {
		t.Error("the handler ran")
		return nil
	})
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`2["nobody",1,2]`)
	c.Send(`27["forbidden"]`)
	c.Send(`21["seen"]`)
	c.Expect(`31[["nobody2","forbidden0","seen0"]]`)
}

func TestEvent_OnlyFirstAckCounts(t *testing.T) {
	s, url := start(t, server.Options{})
	ns := s.Of("/")
	for i := range 2 {
		server.On(ns, "x", func(_ context.Context, _ *server.Socket, a server.Args) error { return a.Ack(i) })
	}
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`21["x"]`)
	c.Expect(`31[0]`)
	c.ExpectNothing("/")
}

func TestEvent_HandlersOfOneSocketRunInOrderOneAtATime(t *testing.T) {
	s, url := start(t, server.Options{})
	const events = 2000
	running, next := 0, 0
	done := make(chan struct{})
	server.On(s.Of("/"), "n", func(_ context.Context, _ *server.Socket, n int) error {
		running++ // not atomic: the race detector would tell of two at a time
		if running != 1 || n != next {
			t.Errorf("handler of %d runs beside %d others, expected %d next", n, running-1, next)
		}
		next++
		running--
		if n == events-1 {
			close(done)
		}
		return nil
	})
	c, _ := rawclient.Join(t, url, "/", nil)
	for i := range events {
		c.Send(fmt.Sprintf(`2["n",%d]`, i))
	}
	receive(t, done)
}

func TestEvent_PanicEndsItsSocketOnly(t *testing.T) {
	s, url := start(t, server.Options{})
	other := s.Of("/other")
	sync(other)
	server.On(s.Of("/"), "boom", func(context.Context, *server.Socket, struct{}) error { panic("boom") })
	reasons := make(chan server.DisconnectReason, 1)
	s.Of("/").OnDisconnect(func(_ context.Context, _ *server.Socket, r server.DisconnectReason) { reasons <- r })
	bystander, _ := rawclient.Join(t, url, "/", nil)
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Connect("/other", "")
	c.Send(`2["boom"]`)
	c.Expect("1")
	if got := receive(t, reasons); got != server.ServerDisconnect {
		t.Errorf("reason %q", got)
	}
	c.ExpectNothing("/other")
	bystander.ExpectNothing("/")
	if got := s.Stats().Panics; got != 1 {
		t.Errorf("Panics = %d, want 1", got)
	}
}

func TestEmit_RefusesWhatCannotBeSent(t *testing.T) {
	s, url := start(t, server.Options{})
	sockets := make(chan *server.Socket, 1)
	s.Of("/").OnConnect(func(_ context.Context, s *server.Socket) error { sockets <- s; return nil })
	c, _ := rawclient.Join(t, url, "/", nil)
	socket := receive(t, sockets)
	eleven := slices.Repeat([]any{[]byte("x")}, 11)
	for _, emit := range []func(string, ...any) error{socket.Emit, socket.Volatile().Emit, s.Emit, s.To("x").Emit} {
		for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
			if err := emit(name); !errors.Is(err, server.ErrReservedEvent) {
				t.Errorf("Emit(%q): %v, want ErrReservedEvent", name, err)
			}
		}
		if err := emit("x", eleven...); !errors.Is(err, server.ErrTooManyAttachments) {
			t.Errorf("11 attachments: %v, want ErrTooManyAttachments", err)
		}
		if err := emit("x", func() {}); !errors.Is(err, packet.ErrEncode) {
			t.Errorf("a function: %v, want packet.ErrEncode", err)
		}
	}
	c.ExpectNothing("/")
}

func TestCall_HandlerMayAskItsOwnClient(t *testing.T) {
	s, url := start(t, server.Options{})
	ns := s.Of("/")
	server.Handle(ns, "relay", func(ctx context.Context, s *server.Socket, text string) (string, error) {
		return server.Call[string](ctx, s, "confirm", text)
	})
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`21["relay","a"]`)
	c.Expect(`20["confirm","a"]`)
	c.Send(`2["queued behind"]`)
	c.Send(`30["yes"]`)
	c.Expect(`31["yes"]`)
}

func TestCall_EndsWithContextDisconnectOrLimit(t *testing.T) {
	s, url := start(t, server.Options{MaxPendingAcks: 1})
	sockets := make(chan *server.Socket, 1)
	s.Of("/").OnConnect(func(_ context.Context, s *server.Socket) error { sockets <- s; return nil })
	c, _ := rawclient.Join(t, url, "/", nil)
	socket := receive(t, sockets)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { _, err := server.Call[int](ctx, socket, "a"); ended <- err }()
	c.Expect(`20["a"]`)
	if _, err := server.Call[int](t.Context(), socket, "b"); !errors.Is(err, server.ErrTooManyAcks) {
		t.Errorf("second call: %v, want ErrTooManyAcks", err)
	}
	cancel()
	if err := receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("call with an ended context: %v", err)
	}
	c.Send(`30[1]`) // late: ignored

	go func() { _, err := server.Call[int](t.Context(), socket, "c"); ended <- err }()
	c.Expect(`22["c"]`)
	c.Send(`32["not a number"]`)
	if err := receive(t, ended); !errors.Is(err, server.ErrArguments) {
		t.Errorf("answer of a wrong type: %v, want ErrArguments", err)
	}

	go func() { _, err := server.Call[int](t.Context(), socket, "d"); ended <- err }()
	c.Expect(`23["d"]`)
	c.Close()
	if err := receive(t, ended); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("call to a client that left: %v, want ErrDisconnected", err)
	}
	if _, err := server.Call[int](t.Context(), socket, "e"); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("call after disconnection: %v, want ErrDisconnected", err)
	}
	<-socket.Context().Done()
	var cause *server.DisconnectError
	if err := context.Cause(socket.Context()); !errors.As(err, &cause) || cause.Reason == "" {
		t.Errorf("cause is %v", err)
	}
}

// heldBack waits until nothing more is read from a client for its events in flight.
func heldBack(t *testing.T, s *server.Server) {
	t.Helper()
	eventually(t, "a client that is held back", func() bool { return s.Stats().Limited["max_events_in_flight"] == 1 })
}

// The client floods a handler that waits. Nothing more is read from it, but other
// clients are served, and everything is handled in the end.
func TestEvent_InFlightLimitStopsReading(t *testing.T) {
	s, url := start(t, server.Options{MaxEventsInFlight: 10})
	release := make(chan struct{})
	handled := make(chan int, 100)
	server.On(s.Of("/"), "slow", func(_ context.Context, _ *server.Socket, n int) error {
		<-release
		handled <- n
		return nil
	})
	bystander, _ := rawclient.Join(t, url, "/", nil)
	c, _ := rawclient.Join(t, url, "/", nil)
	for i := range 100 {
		c.Send(fmt.Sprintf(`2["slow",%d]`, i))
	}
	heldBack(t, s)
	bystander.ExpectNothing("/")
	close(release)
	for want := range 100 {
		if got := receive(t, handled); got != want {
			t.Fatalf("handled %d, want %d", got, want)
		}
	}
	c.ExpectNothing("/")
}

func TestEvent_WhileHandlerCallsTwiceTheLimitMayWait(t *testing.T) {
	s, url := start(t, server.Options{MaxEventsInFlight: 10})
	server.Handle(s.Of("/"), "ask", func(ctx context.Context, s *server.Socket, _ struct{}) (int, error) {
		return server.Call[int](ctx, s, "answer")
	})
	server.On(s.Of("/"), "fill", func(context.Context, *server.Socket, struct{}) error { return nil })

	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`21["ask"]`)
	c.Expect(`20["answer"]`)
	for range 15 {
		c.Send(`2["fill"]`)
	}
	c.Send(`30[7]`)
	c.Expect(`31[7]`)
	c.ExpectNothing("/")

	flood, _ := rawclient.Join(t, url, "/", nil)
	flood.Send(`21["ask"]`)
	flood.Expect(`21["answer"]`)
	for range 25 {
		flood.Send(`2["fill"]`)
	}
	flood.ExpectClose()
	c.ExpectNothing("/")
}

// A broadcast that wants acknowledgements, of whatever node, does not turn clients that
// send faster than they are served into offenders.
func TestEvent_WhileACallToAllIsPendingTheLimitStopsReadingOnly(t *testing.T) {
	s, url := start(t, server.Options{MaxEventsInFlight: 10})
	release := make(chan struct{})
	server.On(s.Of("/"), "slow", func(context.Context, *server.Socket, int) error { <-release; return nil })
	c, _ := rawclient.Join(t, url, "/", nil)
	answers := server.CallAll[int](t.Context(), s.Of("/").All(), "ask")
	for i := range 50 {
		c.Send(fmt.Sprintf(`2["slow",%d]`, i))
	}
	id := expectCall(t, c, `["ask"]`)
	heldBack(t, s)
	bystander, _ := rawclient.Join(t, url, "/", nil)
	bystander.ExpectNothing("/")
	close(release)
	acknowledge(c, id, "1")
	if got, err := answers.Wait(); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	c.ExpectNothing("/")
}

func TestEvent_WrongArgumentsAreTheClientsProblem(t *testing.T) {
	s, url := start(t, server.Options{})
	server.On(s.Of("/"), "n", func(_ context.Context, _ *server.Socket, n int) error { return nil })
	c, _ := rawclient.Join(t, url, "/", nil)
	for _, value := range []string{`"x"`, `{}`, `[1]`, `1e999`, `null`, `"` + strings.Repeat("x", 1000) + `"`} {
		c.Send(`2["n",` + value + `]`)
	}
	c.ExpectNothing("/")
}

func TestEvent_HandlerThatExitsItsGoroutineEndsItsSocketOnly(t *testing.T) {
	for _, where := range []string{"event", "connect", "middleware"} {
		t.Run(where, func(t *testing.T) {
			s, url := start(t, server.Options{MaxEventsInFlight: 2})
			ns := s.Of("/x")
			gone := make(chan struct{}, 1)
			ns.OnDisconnect(func(context.Context, *server.Socket, server.DisconnectReason) { gone <- struct{}{} })
			switch where {
			case "middleware":
				ns.Use(func(context.Context, *server.Socket) error { runtime.Goexit(); return nil })
			case "connect":
				ns.OnConnect(func(context.Context, *server.Socket) error { runtime.Goexit(); return nil })
			}
			server.On(ns, "exit", func(context.Context, *server.Socket, struct{}) error { runtime.Goexit(); return nil })
			c, _ := rawclient.Join(t, url, "/", nil)
			if where == "middleware" {
				c.Send("0/x,")
				c.Expect(`4/x,{"message":"internal error"}`)
				c.ExpectNothing("/")
				return
			}
			c.Connect("/x", "")
			if where == "event" {
				c.Send(`2/x,["exit"]`)
				c.Send(`2/x,["exit"]`)
			}
			c.Expect("1/x,")
			receive(t, gone)
			c.ExpectNothing("/")
		})
	}
}

func TestHandle_ResultWithoutJSONFormIsRefused(t *testing.T) {
	s, url := start(t, server.Options{})
	server.Handle(s.Of("/"), "bad", func(context.Context, *server.Socket, struct{}) (any, error) { return make(chan int), nil })
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`21["bad"]`)
	c.Expect(`31[{"error":{"message":"internal error"}}]`)
}
