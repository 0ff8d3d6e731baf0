package server_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

func TestServerSideEmit_ReachesAllOtherNodesAndNeverTheSenderOrClients(t *testing.T) {
	inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		got := make([][]string, len(nodes))
		for i, n := range nodes {
			server.OnServerSide(n.Of("/"), "news", func(_ context.Context, text string) error {
				got[i] = append(got[i], text)
				return nil
			})
		}
		c, _ := nodes[1].member(t)
		for i, n := range nodes {
			if err := n.Of("/").ServerSideEmit(t.Context(), "news", fmt.Sprint(i), "more"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if want := [][]string{{"1", "2"}, {"0", "2"}, {"0", "1"}}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %q, want %q", got, want)
		}
		c.ExpectNothing("/")
	})
}

// The handlers of a namespace never overlap, and see each sender's events in order.
func TestServerSideEmit_KeepsTheOrderOfEachSender(t *testing.T) {
	inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		const events = 500
		var running atomic.Int32
		next := map[string]int{}
		handle := func(_ context.Context, a server.Args) error {
			if running.Add(1) > 1 {
				t.Error("two handlers run at a time")
			}
			defer running.Add(-1)
			var sender string
			var i int
			if err := a.Decode(&sender, &i); err != nil || a.WantsAck() {
				return fmt.Errorf("decode: %w", err)
			}
			if next[sender] != i {
				t.Errorf("event %d of %s came instead of %d", i, sender, next[sender])
			}
			next[sender] = i + 1
			runtime.Gosched()
			return nil
		}
		server.OnServerSide(nodes[0].Of("/"), "n", handle)
		server.OnServerSide(nodes[0].Of("/"), "m", handle)
		for _, n := range nodes[1:] {
			go func() {
				for i := range events {
					_ = n.Of("/").ServerSideEmit(t.Context(), "nm"[i%2:i%2+1], n.NodeID(), i)
				}
			}()
		}
		synctest.Wait()
		for _, n := range nodes[1:] {
			if got := next[n.NodeID()]; got != events {
				t.Errorf("%d events of a node came, want %d", got, events)
			}
		}
	})
}

func TestCallServers_OneAnswerOfEachOtherNode(t *testing.T) {
	inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		type question struct {
			Text string `json:"text"`
			Body []byte `json:"body"`
		}
		for i, n := range nodes {
			server.HandleServerSide(n.Of("/"), "ask", func(_ context.Context, q question) (map[string]any, error) {
				return map[string]any{"from": i, "text": q.Text, "body": append(q.Body, byte(i))}, nil
			})
		}
		type reply struct {
			From int    `json:"from"`
			Text string `json:"text"`
			Body []byte `json:"body"`
		}
		got, err := server.CallServers[reply](t.Context(), nodes[1].Of("/"), "ask", question{"?", []byte{255}})
		slices.SortFunc(got, func(a, b reply) int { return a.From - b.From })
		want := []reply{{0, "?", []byte{255, 0}}, {2, "?", []byte{255, 2}}}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
		wrong, err := server.CallServers[int](t.Context(), nodes[1].Of("/"), "ask", question{})
		if len(wrong) != 0 || !errors.Is(err, server.ErrArguments) {
			t.Errorf("decoded into an int: %v, %v", wrong, err)
		}
	})
}

// refused is what a node answers whose handler has failed.
type refused struct {
	Error struct {
		Message string `json:"message"`
		Data    any    `json:"data"`
	} `json:"error"`
}

func TestCallServers_HandlersThatFailAnswerAtOnceAndTheNextEventIsHandled(t *testing.T) {
	for name, test := range map[string]struct {
		handle func() (any, error)
		want   string
	}{
		"error":             {func() (any, error) { return nil, errors.New("secret") }, "internal error"},
		"error for others":  {func() (any, error) { return nil, &server.EventError{Message: "no", Data: 7} }, "no"},
		"panic":             {func() (any, error) { panic("secret") }, "internal error"},
		"Goexit":            {func() (any, error) { runtime.Goexit(); return nil, nil }, "internal error"},
		"invalid arguments": {func() (any, error) { return nil, fmt.Errorf("%w", server.ErrArguments) }, "invalid arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
				ns := nodes[1].Of("/")
				server.HandleServerSide(ns, "ask", func(context.Context, server.Args) (any, error) { return test.handle() })
				second := 0
				server.OnServerSide(ns, "ask", func(context.Context, server.Args) error { second++; return nil })
				server.HandleServerSide(ns, "fine", func(_ context.Context, n int) (int, error) { return n + 1, nil })
				begin := time.Now()
				got, err := server.CallServers[refused](t.Context(), nodes[0].Of("/"), "ask")
				if err != nil || len(got) != 1 || got[0].Error.Message != test.want || time.Since(begin) != 0 {
					t.Errorf("got %+v, %v after %v; want %q", got, err, time.Since(begin), test.want)
				}
				fine, err := server.CallServers[int](t.Context(), nodes[0].Of("/"), "fine", 1)
				if err != nil || !slices.Equal(fine, []int{2}) {
					t.Errorf("the next event: %v, %v", fine, err)
				}
				synctest.Wait() // the answer does not wait for it
				if second != 1 {
					t.Errorf("the second handler ran %d times", second)
				}
			})
		})
	}
}

func TestCallServers_ArgumentsThatDoNotDecodeAreRefused(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		server.OnServerSide(nodes[1].Of("/"), "ask", func(context.Context, int) error {
			t.Error("the handler ran")
			return nil
		})
		got, err := server.CallServers[refused](t.Context(), nodes[0].Of("/"), "ask", "text")
		if err != nil || len(got) != 1 || got[0].Error.Message != "invalid arguments" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestCallServers_WhatTheHandlersAnswer(t *testing.T) {
	inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		ns := nodes[0].Of("/")
		call := func(event string) []server.Args {
			t.Helper()
			begin := time.Now()
			got, err := server.CallServers[server.Args](t.Context(), ns, event)
			if err != nil || time.Since(begin) != 0 {
				t.Errorf("%s: %v after %v", event, err, time.Since(begin))
			}
			return got
		}
		if got := call("unknown"); len(got) != 0 {
			t.Errorf("nobody handles it, and %d answer", len(got))
		}
		other := nodes[1].Of("/")
		server.OnServerSide(other, "done", func(context.Context, struct{}) error { return nil })
		if got := call("done"); len(got) != 1 || got[0].Len() != 0 {
			t.Errorf("a handler without a result answers %v, want no arguments", got)
		}
		server.HandleServerSide(other, "null", func(context.Context, struct{}) (*int, error) { return nil, nil })
		if got := call("null"); len(got) != 1 || got[0].Len() != 1 || string(got[0].At(0).Value) != "null" {
			t.Errorf("a handler with the result nil answers %v", got)
		}
		server.HandleServerSide(other, "channel", func(context.Context, struct{}) (chan int, error) { return make(chan int), nil })
		if got := call("channel"); len(got) != 0 {
			t.Errorf("a channel was answered: %v", got)
		}
		server.HandleServerSide(other, "two", func(context.Context, struct{}) (int, error) { return 1, nil })
		server.HandleServerSide(other, "two", func(context.Context, struct{}) (int, error) { return 2, nil })
		if got := call("two"); len(got) != 1 || string(got[0].At(0).Value) != "1" {
			t.Errorf("of two handlers the answer is %v, want the first's", got)
		}
	})
}

func TestServerSideEmit_RefusesWhatIsNoEvent(t *testing.T) {
	s, _ := start(t, server.Options{})
	ns := s.Of("/")
	for _, name := range []string{"connect", "connection", "new_namespace"} {
		if err := ns.ServerSideEmit(t.Context(), name); !errors.Is(err, server.ErrReservedEvent) {
			t.Errorf("%s: %v, want ErrReservedEvent", name, err)
		}
		if _, err := server.CallServers[int](t.Context(), ns, name); !errors.Is(err, server.ErrReservedEvent) {
			t.Errorf("%s with an answer: %v, want ErrReservedEvent", name, err)
		}
	}
	if err := ns.ServerSideEmit(t.Context(), "x", make(chan int)); err == nil {
		t.Error("a channel was sent")
	}
	if got, err := server.CallServers[int](t.Context(), ns, "alone"); err != nil || len(got) != 0 {
		t.Errorf("without other nodes: %v, %v", got, err)
	}
	if err := ns.ServerSideEmit(t.Context(), "alone"); err != nil {
		t.Errorf("without other nodes: %v", err)
	}
}

// Handlers that do not keep up cost events, which are counted, and no memory.
func TestServerSideEmit_EventsThatWaitAreBounded(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		release, handled := make(chan struct{}), 0
		server.OnServerSide(nodes[1].Of("/"), "n", func(context.Context, int) error {
			<-release
			handled++
			return nil
		})
		const most, beyond = 10_000, 7
		for i := range 1 + most + beyond { // the first runs
			_ = nodes[0].Of("/").ServerSideEmit(t.Context(), "n", i)
			if i == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if got := nodes[1].Health().BusDropped["refused"]; got != beyond {
			t.Errorf("%d events are counted as dropped, want %d", got, beyond)
		}
		close(release)
		synctest.Wait()
		if handled != 1+most {
			t.Errorf("%d events were handled, want %d", handled, 1+most)
		}
	})
}

// So are their bytes, of those that are answered too.
func TestServerSideEmit_BytesThatWaitAreBounded(t *testing.T) {
	for name, called := range map[string]bool{"events": false, "calls": true} {
		t.Run(name, func(t *testing.T) {
			inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
				release := make(chan struct{})
				var handled atomic.Int32
				server.OnServerSide(nodes[1].Of("/"), "n", func(context.Context, []byte) error {
					<-release
					handled.Add(1)
					return nil
				})
				const most, beyond = 4, 3 // of 15 MiB in 64 MiB
				event := make([]byte, 15<<20)
				var calling gosync.WaitGroup
				for range most + beyond {
					if called {
						calling.Go(func() { _, _ = server.CallServers[int](t.Context(), nodes[0].Of("/"), "n", event) })
					} else {
						_ = nodes[0].Of("/").ServerSideEmit(t.Context(), "n", event)
					}
					synctest.Wait()
				}
				running := 1 // which does not wait
				if called {
					running = 0
				}
				if got := nodes[1].Health().BusDropped["refused"]; got != uint64(beyond-running) {
					t.Errorf("%d events are counted as dropped, want %d", got, beyond-running)
				}
				close(release)
				calling.Wait()
				synctest.Wait()
				if got := int(handled.Load()); got != most+running {
					t.Errorf("%d events were handled, want %d", got, most+running)
				}
			})
		})
	}
}

// A call is not held up by another one, nor by events that want no answer.
func TestCallServers_AreHandledBesideEachOther(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		forever := make(chan struct{})
		defer close(forever)
		server.OnServerSide(nodes[1].Of("/"), "stuck", func(context.Context, int) error { <-forever; return nil })
		server.HandleServerSide(nodes[1].Of("/"), "slow", func(ctx context.Context, n int) (int, error) {
			time.Sleep(time.Second)
			return n, nil
		})
		if err := nodes[0].Of("/").ServerSideEmit(t.Context(), "stuck", 1); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var calls gosync.WaitGroup
		for i := range 100 {
			calls.Go(func() {
				if got, err := server.CallServers[int](t.Context(), nodes[0].Of("/"), "slow", i); err != nil || len(got) != 1 || got[0] != i {
					t.Errorf("call %d: got %v, %v", i, got, err)
				}
			})
		}
		calls.Wait()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("a hundred calls of a second each took %v", took)
		}
	})
}

// Who answers is not decided by the order of registration.
func TestCallServers_WhoWasMadeToAnswerDoes(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		there := nodes[1].Of("/")
		server.OnServerSide(there, "ask", func(context.Context, int) error { return nil })
		server.HandleServerSide(there, "ask", func(context.Context, int) (string, error) { return "first", nil })
		server.HandleServerSide(there, "ask", func(context.Context, int) (string, error) { return "second", nil })
		if got, err := server.CallServers[string](t.Context(), nodes[0].Of("/"), "ask", 1); err != nil || len(got) != 1 || got[0] != "first" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestServerSideEmit_HandlersOfAPatternServeItsNamespaces(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		for _, n := range nodes {
			pattern := n.OfFunc(func(context.Context, string, *server.Handshake) bool { return true })
			server.HandleServerSide(pattern, "ask", func(_ context.Context, text string) (string, error) { return text + "!", nil })
		}
		child := nodes[0].Of("/child")
		nodes[1].Of("/child")
		nodes[1].Of("/other")
		time.Sleep(time.Second)
		if got, err := server.CallServers[string](t.Context(), child, "ask", "hey"); err != nil || !slices.Equal(got, []string{"hey!"}) {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := server.CallServers[string](t.Context(), nodes[0].Of("/lonely"), "ask", "hey"); err != nil || len(got) != 0 {
			t.Errorf("in a namespace of this node only: got %q, %v", got, err)
		}
	})
}

// A handler that waits for its context does not hold up the end of its server.
func TestShutdown_EndsTheContextOfServerSideHandlers(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		var cause error
		server.OnServerSide(nodes[1].Of("/"), "wait", func(ctx context.Context, _ struct{}) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return nil
		})
		_ = nodes[0].Of("/").ServerSideEmit(t.Context(), "wait")
		synctest.Wait()
		if cause != nil {
			t.Errorf("the context ended before: %v", cause)
		}
		begin := time.Now()
		if err := nodes[1].Shutdown(t.Context()); err != nil || time.Since(begin) != 0 {
			t.Errorf("Shutdown: %v after %v", err, time.Since(begin))
		}
		if !errors.Is(cause, server.ErrServerClosed) {
			t.Errorf("the cause is %v, want ErrServerClosed", cause)
		}
	})
}

func TestCountNodes_IsRightAfterNodesComeAndGo(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		third, stop := startNode(t, server.Options{Adapter: nodes[0].wire.Adapter})
		time.Sleep(time.Second)
		for _, n := range append(nodes, third) {
			if got, err := n.Of("/").CountNodes(t.Context()); got != 3 || err != nil {
				t.Errorf("got %d, %v; want 3", got, err)
			}
		}
		if got, err := nodes[0].Of("/own").CountNodes(t.Context()); got != 1 || err != nil {
			t.Errorf("in a namespace of one node: got %d, %v", got, err)
		}
		stop()
		synctest.Wait()
		if got, err := nodes[1].Of("/").CountNodes(t.Context()); got != 2 || err != nil {
			t.Errorf("after one has left: got %d, %v; want 2", got, err)
		}
	})
}
