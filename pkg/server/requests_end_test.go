package server_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// calls are all ways to ask a cluster something.
var calls = map[string]func(context.Context, *server.Namespace) error{
	"FetchSockets": func(ctx context.Context, ns *server.Namespace) error {
		_, err := ns.All().FetchSockets(ctx)
		return err
	},
	"Rooms":      func(ctx context.Context, ns *server.Namespace) error { _, err := ns.All().Rooms(ctx); return err },
	"Join":       func(ctx context.Context, ns *server.Namespace) error { return ns.All().Join(ctx, "a") },
	"Leave":      func(ctx context.Context, ns *server.Namespace) error { return ns.All().Leave(ctx, "a") },
	"Disconnect": func(ctx context.Context, ns *server.Namespace) error { return ns.To("nobody").Disconnect(ctx, false) },
	"CallAll": func(ctx context.Context, ns *server.Namespace) error {
		_, err := server.CallAll[string](ctx, ns.To("nobody"), "ask").Wait()
		return err
	},
	"CallServers": func(ctx context.Context, ns *server.Namespace) error {
		_, err := server.CallServers[string](ctx, ns, "ask")
		return err
	},
}

func TestRequests_OfAPatternAreRefused(t *testing.T) {
	s, _ := start(t, server.Options{})
	pattern := s.OfFunc(func(context.Context, string, *server.Handshake) bool { return true })
	for name, call := range calls {
		if err := call(t.Context(), pattern); !errors.Is(err, server.ErrNamespace) {
			t.Errorf("%s: %v, want ErrNamespace", name, err)
		}
	}
	if _, err := pattern.CountNodes(t.Context()); !errors.Is(err, server.ErrNamespace) {
		t.Errorf("CountNodes: %v, want ErrNamespace", err)
	}
	if err := pattern.ServerSideEmit(t.Context(), "x"); !errors.Is(err, server.ErrNamespace) {
		t.Errorf("ServerSideEmit: %v, want ErrNamespace", err)
	}
}

func TestRequests_AfterShutdownAreRefused(t *testing.T) {
	s, _ := start(t, server.Options{})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, call := range calls {
		if err := call(t.Context(), s.Of("/")); !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("%s: %v, want ErrServerClosed", name, err)
		}
	}
	if err := s.Of("/").ServerSideEmit(t.Context(), "x"); !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("ServerSideEmit: %v, want ErrServerClosed", err)
	}
}

func TestRequests_EndWithTheirContextAndNameWhoIsMissing(t *testing.T) {
	inClusterBubble(t, 3, server.Options{HeartbeatInterval: time.Minute, HeartbeatTimeout: 3 * time.Minute}, func(t *testing.T, nodes []node) {
		_, id := nodes[1].member(t)
		nodes[2].mute()
		sockets, err := nodes[0].Of("/").All().FetchSockets(t.Context())
		if partial(t, err, context.DeadlineExceeded, nodes[2].NodeID()); !slices.Equal(ids(sockets), []string{id}) {
			t.Errorf("got the sockets %q, want that of the node that answers", ids(sockets))
		}
		for name, call := range calls {
			begin := time.Now()
			partial(t, call(t.Context(), nodes[0].Of("/")), context.DeadlineExceeded, nodes[2].NodeID())
			if got := time.Since(begin); got != 5*time.Second {
				t.Errorf("%s without a deadline took %v, want RequestTimeout", name, got)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			begin = time.Now()
			partial(t, call(ctx, nodes[0].Of("/")), context.DeadlineExceeded, nodes[2].NodeID())
			if got := time.Since(begin); got != 7*time.Second {
				t.Errorf("%s took %v, want its context's 7 s", name, got)
			}
			cancel()
			cause := errors.New("changed my mind")
			ctx, stop := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { stop(cause) })
			partial(t, call(ctx, nodes[0].Of("/")), cause, nodes[2].NodeID())
		}
	})
}

// A node that dies is waited for no longer than HeartbeatTimeout after its last
// sign of life, and afterwards not at all.
func TestRequests_DeadNodeIsGivenUp(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
				nodes[2].wire.cut.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begin := time.Now()
				partial(t, call(ctx, nodes[0].Of("/")), server.ErrNodeLost, nodes[2].NodeID())
				if got := time.Since(begin); got > 11*time.Second {
					t.Errorf("took %v, want at most HeartbeatTimeout and a check", got)
				}
				begin = time.Now()
				if err := call(ctx, nodes[0].Of("/")); err != nil || time.Since(begin) != 0 {
					t.Errorf("the next call: %v after %v", err, time.Since(begin))
				}
			})
		})
	}
}

// What another program's node answers may be anything: it is an error of its own
// part, and nothing else.
func TestRequests_GarbageOfAnotherNodeIsAnError(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		here, _ := nodes[0].member(t)
		there, id := nodes[1].member(t)
		for _, garbage := range []string{"", "garbage", "{", "[1", "7", `"text"`, `[{"_placeholder":true,"num":3}]`, `{"headers":7,"query":[],"auth":1}`, "\xff\xfe"} {
			nodes[1].wire.drop(func(m *adapter.Message) bool {
				if r := m.Response; r != nil {
					for i := range r.Sockets {
						r.Sockets[i].Handshake, r.Sockets[i].Data = []byte(garbage), []byte(garbage)
					}
					if r.Answer != nil {
						r.Answer.Data, r.Answer.Attachments = []byte(garbage), nil
					}
				}
				return false
			})
			sockets, err := nodes[0].To(id).FetchSockets(t.Context())
			if err != nil || len(sockets) != 1 {
				t.Fatalf("%q: got %d sockets, %v", garbage, len(sockets), err)
			}
			if _, err := sockets[0].Handshake(); err != nil && !errors.Is(err, server.ErrArguments) {
				t.Errorf("%q: Handshake fails with %v, want ErrArguments", garbage, err)
			}
			var data struct{ X int }
			if err := sockets[0].DecodeData(&data); err != nil && !errors.Is(err, server.ErrArguments) {
				t.Errorf("%q: DecodeData fails with %v, want ErrArguments", garbage, err)
			}
			answers := server.CallAll[struct{ X int }](t.Context(), nodes[0].Of("/").All(), "ask")
			answerCall(t, here, `["ask"]`, `{"X":1}`)
			answerCall(t, there, `["ask"]`, "2")
			got, err := answers.Wait()
			if len(got) == 0 || len(got) == 1 && !errors.Is(err, server.ErrArguments) {
				t.Errorf("%q: CallAll got %v, %v", garbage, got, err)
			}
			counted(t, answers, 2, 2)
		}
	})
}

// away is a bus whose backend is not reached.
type away struct {
	adapter.Adapter
	state atomic.Int32
}

func (a *away) Status() adapter.Status { return adapter.Status{State: adapter.State(a.state.Load())} }

// While the backend is known to be away nobody waits, and this node serves its own.
func TestRequests_WithoutTheBackendEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &away{Adapter: memory.New()}
		// Nodes look at the status of their own adapter, which a wire would hide.
		var servers []*server.Server
		for range 2 {
			s, err := server.New(server.Options{Adapter: bus, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Shutdown(context.Background()) }()
			servers = append(servers, s)
		}
		time.Sleep(time.Second)
		bus.state.Store(int32(adapter.Degraded))
		for name, call := range calls {
			begin := time.Now()
			if partial(t, call(t.Context(), servers[0].Of("/")), server.ErrDegraded, servers[1].NodeID()); time.Since(begin) != 0 {
				t.Errorf("%s took %v", name, time.Since(begin))
			}
		}
	})
}

func TestRequests_NodeThatLeavesIsNotWaitedFor(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		nodes[1].mute()
		done := make(chan error, 1)
		go func() {
			_, err := nodes[0].Of("/").All().FetchSockets(t.Context())
			done <- err
		}()
		synctest.Wait()
		begin := time.Now()
		if err := nodes[1].Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		partial(t, <-done, server.ErrNodeLost, nodes[1].NodeID())
		if got := time.Since(begin); got != 0 {
			t.Errorf("took %v", got)
		}
	})
}

func TestShutdown_EndsPendingRequests(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			inClusterBubble(t, 2, server.Options{HeartbeatInterval: time.Minute, HeartbeatTimeout: 3 * time.Minute}, func(t *testing.T, nodes []node) {
				nodes[1].mute()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- call(ctx, nodes[0].Of("/")) }()
				synctest.Wait()
				begin := time.Now()
				if err := nodes[0].Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				partial(t, <-done, server.ErrServerClosed, nodes[1].NodeID())
				if got := time.Since(begin); got != 0 {
					t.Errorf("Shutdown waited %v for the call", got)
				}
			})
		})
	}
}

// A backend that does not confirm a room does not hold up the end of a node that puts
// its sockets into it for another.
func TestShutdown_EndsTheWaitForARoomOfAnotherNode(t *testing.T) {
	inClusterBubble(t, 2, server.Options{Adapter: stuck{newRouted()}, RequestTimeout: time.Minute}, func(t *testing.T, nodes []node) {
		c, id := nodes[1].member(t)
		joined := make(chan error, 1)
		go func() { joined <- nodes[0].To(id).Join(t.Context(), "room") }()
		synctest.Wait()
		begin := time.Now()
		go c.ExpectClose()
		if err := nodes[1].Shutdown(t.Context()); err != nil || time.Since(begin) > time.Second {
			t.Errorf("Shutdown: %v after %v", err, time.Since(begin))
		}
		if err := <-joined; time.Since(begin) > time.Second {
			t.Errorf("Join: %v after %v", err, time.Since(begin))
		}
	})
}
