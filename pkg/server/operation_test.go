package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// diary is an observer that writes down what it is told.
type diary struct {
	mu    gosync.Mutex
	ended []server.Operation
	open  map[*server.Operation]bool
}

// soon is how long servers wait for clients that do not answer a close frame.
const soon = 10 * time.Millisecond

type diaryKey struct{}

func (d *diary) observer() *server.Observer {
	d.open = make(map[*server.Operation]bool)
	return &server.Observer{
		Begin: func(ctx context.Context, o *server.Operation) context.Context {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.open[o] = true
			switch o.Kind {
			case server.OperationEmit, server.OperationCall, server.OperationRequest:
				o.Trace = "trace of " + o.Event + o.Action
			}
			return context.WithValue(ctx, diaryKey{}, o)
		},
		End: func(ctx context.Context, o *server.Operation) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if !d.open[o] || ctx.Value(diaryKey{}) != o {
				panic("an operation ended that had not begun, or without its context")
			}
			delete(d.open, o)
			d.ended = append(d.ended, *o)
		},
	}
}

// of returns what has ended of one kind, in the form "namespace event receivers failed".
func (d *diary) of(kind server.OperationKind) (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.ended {
		if o.Kind != kind {
			continue
		}
		line := fmt.Sprint(o.Namespace, " ", o.Event, o.Action, " ", o.Receivers)
		if o.Err != nil {
			line += " failed"
		}
		if o.Panicked {
			line += " panicked"
		}
		if o.Registered {
			line += " registered"
		}
		list = append(list, line)
	}
	return list
}

// last returns the last operation that has ended of that kind.
func (d *diary) last(kind server.OperationKind) server.Operation {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range slices.Backward(d.ended) {
		if o.Kind == kind {
			return o
		}
	}
	return server.Operation{}
}

// check compares what ended with want, and that nothing is open.
func (d *diary) check(t *testing.T, kind server.OperationKind, want ...string) {
	t.Helper()
	got := d.of(kind)
	slices.Sort(got)
	slices.Sort(want) // the client may hear of an end before the observer does
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", kind, got, want)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for o := range d.open {
		t.Errorf("%s of %q%s has not ended", o.Kind, o.Event, o.Action)
	}
}

func TestOperation_EveryEndOfAHandlerIsTold(t *testing.T) {
	var d diary
	s, url := start(t, server.Options{CloseTimeout: soon, Observer: d.observer()})
	ns := s.Of("/")
	server.On(ns, "fine", func(context.Context, *server.Socket, int) error { return nil })
	server.On(ns, "bad", func(context.Context, *server.Socket, int) error { return errors.New("bad") })
	server.On(ns, "exit", func(context.Context, *server.Socket, int) error { runtime.Goexit(); return nil })
	server.On(ns, "boom", func(context.Context, *server.Socket, int) error { panic("boom") })
	c, _ := rawclient.Join(t, url, "/", nil)
	for _, packet := range []string{`20["fine",1]`, `2["unknown"]`, `21["bad",1]`, `2["fine","no number"]`} {
		c.Send(packet)
	}
	c.Expect(`30[]`, `31[{"error":{"message":"internal error"}}]`)
	c.Send(`2["boom",1]`)
	c.Expect("1")
	again, _ := rawclient.Join(t, url, "/", nil)
	again.Send(`2["exit",1]`)
	again.Expect("1")
	errs(t, s.Shutdown(t.Context()))
	d.check(t, server.OperationEvent,
		"/ fine 0 registered", "/ unknown 0", "/ bad 0 failed registered", "/ fine 0 failed registered",
		"/ boom 0 panicked registered", "/ exit 0 panicked registered")
	d.check(t, server.OperationConnect, "/  0", "/  0")
	if stats := s.Stats(); stats.EventPanics != 2 || stats.Panics != 2 {
		t.Errorf("%d panics of %d were those of events, want 2 of 2", stats.EventPanics, stats.Panics)
	}
}

func TestOperation_ConnectionsAreToldWithTheirEnd(t *testing.T) {
	var d diary
	s, url := start(t, server.Options{CloseTimeout: soon, Observer: d.observer()})
	closed, failing := s.Of("/closed"), s.Of("/failing")
	closed.Use(func(context.Context, *server.Socket) error { return &server.ConnectError{Message: "no"} })
	failing.OnConnect(func(ctx context.Context, s *server.Socket) error {
		if o, _ := ctx.Value(diaryKey{}).(*server.Operation); o == nil || o.Kind != server.OperationConnect || o.Socket != s {
			t.Errorf("the handler's context belongs to %+v", o)
		}
		return errors.New("not today")
	})
	s.OfFunc(func(_ context.Context, name string, _ *server.Handshake) bool {
		return strings.HasPrefix(name, "/room-")
	}).Labeled("rooms")
	c := rawclient.Dial(t, url, nil)
	c.Send("0/closed,")
	c.Expect(`4/closed,{"message":"no"}`)
	c.Send("0/nowhere,")
	c.Expect(`4/nowhere,{"message":"Invalid namespace"}`)
	c.Connect("/room-7", "")
	c.Send("0/failing,")
	if p := c.Next(); !strings.HasPrefix(p, "0/failing") {
		t.Errorf("got %s", p)
	}
	c.Expect("1/failing,")
	errs(t, s.Shutdown(t.Context()))
	got := d.of(server.OperationConnect)
	slices.Sort(got)
	if want := []string{"  0 failed", "/closed  0 failed", "/failing  0 failed", "rooms  0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOperation_WhatIsSentIsToldWithItsReceivers(t *testing.T) {
	var here, there diary
	bus := memory.New()
	s, url := start(t, server.Options{CloseTimeout: soon, Adapter: bus, Observer: here.observer()})
	o, far := start(t, server.Options{CloseTimeout: soon, Adapter: bus, Observer: there.observer()})
	server.HandleServerSide(o.Of("/"), "ask", func(ctx context.Context, _ int) (string, error) {
		return ctx.Value(diaryKey{}).(*server.Operation).Trace, nil
	})
	meet(t, []*server.Server{s, o})
	a, id := rawclient.Join(t, url, "/", nil)
	b, _ := rawclient.Join(t, url, "/", nil)
	c, _ := rawclient.Join(t, far, "/", nil)
	ns := s.Of("/")

	errs(t, ns.Emit("all", 1))
	errs(t, ns.Except(id).Emit("others", 1))
	errs(t, ns.Sockets()[0].Emit("one", 1))
	a.Expect(`2["all",1]`)
	b.Expect(`2["all",1]`, `2["others",1]`)
	c.Expect(`2["all",1]`, `2["others",1]`)
	answers, err := server.CallServers[string](t.Context(), ns, "ask", 1)
	if err != nil || !slices.Equal(answers, []string{"trace of askevent"}) {
		t.Errorf("got %q and %v, want the trace of the request", answers, err)
	}
	errs(t, s.Shutdown(t.Context()), o.Shutdown(t.Context()))
	here.check(t, server.OperationEmit, "/ all 2", "/ others 1", "/ one 1")
	there.check(t, server.OperationDeliver, "/ all 1", "/ others 1")
	here.check(t, server.OperationRequest, "/ askevent 0")
	there.check(t, server.OperationServe, "/ ask 0 registered")
	if got := there.last(server.OperationDeliver).Trace; got != "trace of others" {
		t.Errorf("the other node was told of %q", got)
	}
}

func TestOperation_CallsEndWithTheirLastAnswer(t *testing.T) {
	var d diary
	s, url := start(t, server.Options{CloseTimeout: soon, Observer: d.observer()})
	c, _ := rawclient.Join(t, url, "/", nil)
	socket := s.Of("/").Sockets()[0]
	ended := make(chan error)
	go func() {
		_, err := server.Call[string](t.Context(), socket, "ask", 1)
		ended <- err
	}()
	c.Expect(`20["ask",1]`)
	c.Send(`30["yes"]`)
	errs(t, <-ended)
	all := server.CallAll[string](t.Context(), s.Of("/").All(), "ask all")
	c.Expect(`21["ask all"]`)
	c.Send(`31["yes"]`)
	if _, err := all.Wait(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := server.Call[string](ctx, socket, "in vain"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	errs(t, s.Shutdown(t.Context()))
	d.check(t, server.OperationCall, "/ ask 1", "/ ask all 1", "/ in vain 1 failed")
}

func TestOperation_PanicsOfAnObserverHarmNobody(t *testing.T) {
	boom := &server.Observer{
		Begin: func(context.Context, *server.Operation) context.Context { panic("begin") },
		End:   func(context.Context, *server.Operation) { panic("end") },
	}
	s, url := start(t, server.Options{Observer: boom})
	server.Handle(s.Of("/"), "echo", func(_ context.Context, _ *server.Socket, text string) (string, error) { return text, nil })
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`20["echo","x"]`)
	c.Expect(`30["x"]`)
	errs(t, s.Emit("all"))
	c.Expect(`2["all"]`)
	if s.Stats().Panics == 0 {
		t.Error("the observer's panics are not counted")
	}
}

func TestObserver_JoinedOnesAreNested(t *testing.T) {
	var order []string
	named := func(name string) *server.Observer {
		return &server.Observer{
			Begin: func(ctx context.Context, o *server.Operation) context.Context {
				if o.Kind == server.OperationEmit {
					order = append(order, "begin "+name)
				}
				return ctx
			},
			End: func(_ context.Context, o *server.Operation) {
				if o.Kind == server.OperationEmit {
					order = append(order, "end "+name)
				}
			},
		}
	}
	s, _ := start(t, server.Options{Observer: server.JoinObservers(named("a"), nil, named("b"), &server.Observer{})})
	errs(t, s.Emit("all"))
	if want := []string{"begin a", "begin b", "end b", "end a"}; !slices.Equal(order, want) {
		t.Errorf("got %q, want %q", order, want)
	}
}

func TestStats_CountWhatClientsDo(t *testing.T) {
	s, url := start(t, server.Options{CloseTimeout: soon, MaxConnectAttempts: 3, MaxJSONDepth: 5, MaxNamespacesPerConnection: 1})
	s.Of("/static")
	s.OfFunc(func(_ context.Context, name string, _ *server.Handshake) bool { return true }).Labeled("rooms")
	joining(s.Of("/"))
	stays, _ := rawclient.Join(t, url, "/", nil)
	stays.Send(`20["join",["a","b"]]`)
	stays.Expect(`30[]`)
	stays.Send("0/static,")
	stays.Expect(`4/static,{"message":"too many namespaces"}`)
	rawclient.Join(t, url, "/room-1", nil)
	for _, packet := range []string{`2["x",[[[[[[1]]]]]]]`, `2x`, `2/static,["x"]`, `0`} {
		c, _ := rawclient.Join(t, url, "/", nil)
		c.Send(packet)
		c.ExpectClose()
	}
	resp, err := http.Get(url + "/socket.io/?EIO=4&transport=polling&sid=unknown")
	if err != nil {
		t.Fatal(err)
	}
	errs(t, resp.Body.Close())
	stays.Send(`21["sync"]`)
	stays.Expect(`31[]`)
	errs(t, s.Shutdown(t.Context()))
	stats := s.Stats()
	for name, got := range map[string]uint64{
		"limited: packet":                        stats.Limited["packet"],
		"limited: max_namespaces_per_connection": stats.Limited["max_namespaces_per_connection"],
		"invalid: socketio":                      stats.Invalid["socketio"], "refused: session_unknown": stats.Refused["session_unknown"],
	} {
		if got != 1 {
			t.Errorf("%s is %d, want 1", name, got)
		}
	}
	if got := stats.Invalid["state"]; got != 2 { // a namespace that was not joined, one that was
		t.Errorf("invalid: state is %d, want 2", got)
	}
	if got := stats.Disconnections[server.ForcedClose]; got != 4 {
		t.Errorf("%d sockets went by force, want 4", got)
	}
	if stats.Opened["websocket"] != 6 || stats.Received["websocket"] == 0 || stats.Sent["websocket"] == 0 {
		t.Errorf("opened %v, received %v, sent %v", stats.Opened, stats.Received, stats.Sent)
	}
}

func TestStats_NamespacesOfAPatternAreOne(t *testing.T) {
	s, url := start(t, server.Options{})
	s.OfFunc(func(context.Context, string, *server.Handshake) bool { return true })
	for i := range 3 {
		rawclient.Join(t, url, fmt.Sprint("/room-", i), nil)
	}
	if got := s.Stats().Namespaces; len(got) != 2 || got["dynamic"].Sockets != 3 || got["/"].Sockets != 0 {
		t.Errorf("got %v, want three sockets under one name", got)
	}
}
