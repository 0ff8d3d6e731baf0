package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	gosync "sync"
	"testing"
	"testing/synctest"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// lone runs one node with one client in a bubble.
func lone(t *testing.T, options server.Options, test func(t *testing.T, n node, c *rawclient.Client, s *server.Socket)) {
	t.Helper()
	inClusterBubble(t, 1, options, func(t *testing.T, nodes []node) {
		c, _ := nodes[0].member(t)
		test(t, nodes[0], c, nodes[0].Of("/").Sockets()[0])
	})
}

func TestData_IsOfItsTypeOnly(t *testing.T) {
	lone(t, server.Options{}, func(t *testing.T, _ node, _ *rawclient.Client, s *server.Socket) {
		if got, ok := server.Data[int](s); ok || got != 0 {
			t.Errorf("before SetData there is %d", got)
		}
		server.SetData(s, 7)
		if got, ok := server.Data[int](s); !ok || got != 7 {
			t.Errorf("got %d, %v", got, ok)
		}
		if got, ok := server.Data[any](s); !ok || got != 7 {
			t.Errorf("as any: got %v, %v", got, ok)
		}
		if got, ok := server.Data[int64](s); ok || got != 0 {
			t.Errorf("as another type: got %d, %v", got, ok)
		}
		if got, ok := server.Data[*int](s); ok || got != nil {
			t.Errorf("as a pointer: got %v, %v", got, ok)
		}
		if got := server.UpdateData(s, func(text string) string { return text + "new" }); got != "new" {
			t.Errorf("UpdateData of another type made %q", got)
		}
		if got, ok := server.Data[string](s); !ok || got != "new" {
			t.Errorf("got %q, %v", got, ok)
		}
	})
}

// No change of several goroutines is lost, and readers see each a whole one.
func TestUpdateData_NoChangeIsLost(t *testing.T) {
	s, url := start(t, server.Options{})
	rawclient.Join(t, url, "/", nil)
	socket := s.Of("/").Sockets()[0]
	type pair struct{ A, B int }
	const goroutines, changes = 8, 500
	var busy gosync.WaitGroup
	for range goroutines {
		busy.Go(func() {
			for range changes {
				server.UpdateData(socket, func(p pair) pair { return pair{p.A + 1, p.B - 1} })
				if p, ok := server.Data[pair](socket); !ok || p.A != -p.B {
					t.Errorf("got %+v, %v", p, ok)
				}
			}
		})
		busy.Go(func() {
			for range 20 {
				var p pair
				sockets, err := s.Of("/").All().FetchSockets(t.Context())
				if err != nil || len(sockets) != 1 || sockets[0].DecodeData(&p) != nil || p.A != -p.B {
					t.Errorf("fetched %+v, %v", p, err)
				}
			}
		})
	}
	busy.Wait()
	if got, _ := server.Data[pair](socket); got.A != goroutines*changes {
		t.Errorf("%d changes are left of %d", got.A, goroutines*changes)
	}
}

func TestDecodeData_SaysWhatDoesNotFit(t *testing.T) {
	lone(t, server.Options{}, func(t *testing.T, n node, _ *rawclient.Client, s *server.Socket) {
		fetch := func() server.RemoteSocket {
			t.Helper()
			sockets, err := n.Of("/").All().FetchSockets(t.Context())
			if err != nil || len(sockets) != 1 {
				t.Fatalf("got %d sockets, %v", len(sockets), err)
			}
			return sockets[0]
		}
		value := 5
		if err := fetch().DecodeData(&value); err != nil || value != 5 {
			t.Errorf("without data: %d, %v", value, err)
		}
		server.SetData(s, "text")
		before := fetch()
		if err := before.DecodeData(&value); !errors.Is(err, server.ErrArguments) {
			t.Errorf("text into an int: %v, want ErrArguments", err)
		}
		server.SetData(s, 6) // what was fetched is what it was then
		text := ""
		if err := before.DecodeData(&text); err != nil || text != "text" {
			t.Errorf("after a change the description has %q, %v", text, err)
		}
		if err := fetch().DecodeData(&value); err != nil || value != 6 {
			t.Errorf("got %d, %v", value, err)
		}
	})
}

func TestUseEvent_RunsAfterOnAnyAndBeforeTheHandlers(t *testing.T) {
	lone(t, server.Options{}, func(t *testing.T, n node, c *rawclient.Client, _ *server.Socket) {
		ns := n.Of("/")
		var order []string
		note := func(name string) func(context.Context, *server.Socket, string, server.Args) error {
			return func(_ context.Context, _ *server.Socket, event string, a server.Args) error {
				order = append(order, fmt.Sprint(name, " ", event, " ", a.Len()))
				return nil
			}
		}
		server.On(ns, "x", func(context.Context, *server.Socket, int) error { order = append(order, "handler"); return nil })
		ns.UseEvent(note("first"))
		ns.UseEvent(note("second"))
		ns.OnAny(note("any"))
		c.Send(`27["x",1,2]`)
		c.Expect("37[]")
		c.Send(`2["unknown"]`)
		synctest.Wait()
		want := []string{"any x 2", "first x 2", "second x 2", "handler", "any unknown 0", "first unknown 0", "second unknown 0"}
		if !slices.Equal(order, want) {
			t.Errorf("got %q, want %q", order, want)
		}
	})
}

func TestUseEvent_ErrorDropsTheEventAndNothingElse(t *testing.T) {
	lone(t, server.Options{}, func(t *testing.T, n node, c *rawclient.Client, _ *server.Socket) {
		ns := n.Of("/")
		ns.UseEvent(func(_ context.Context, _ *server.Socket, event string, _ server.Args) error {
			switch event {
			case "private":
				return &server.EventError{Message: "not for you", Data: 403}
			case "broken":
				return errors.New("secret")
			}
			return nil
		})
		reached := false
		ns.UseEvent(func(_ context.Context, _ *server.Socket, event string, _ server.Args) error {
			reached = reached || event == "private" || event == "broken"
			return nil
		})
		for _, event := range []string{"private", "broken"} {
			server.On(ns, event, func(context.Context, *server.Socket, struct{}) error {
				t.Errorf("the handler of %q ran", event)
				return nil
			})
		}
		server.Handle(ns, "public", func(context.Context, *server.Socket, struct{}) (int, error) { return 1, nil })
		c.Send(`2["private"]`) // without an acknowledgement nothing is sent
		c.Send(`21["private"]`)
		c.Expect(`31[{"error":{"message":"not for you","data":403}}]`)
		c.Send(`22["broken"]`)
		c.Expect(`32[{"error":{"message":"internal error"}}]`)
		c.Send(`23["public"]`)
		c.Expect("33[1]")
		if reached {
			t.Error("a later middleware ran")
		}
	})
}

func TestUseEvent_PanicEndsThatSocketOnly(t *testing.T) {
	inClusterBubble(t, 1, server.Options{}, func(t *testing.T, nodes []node) {
		victim, _ := nodes[0].member(t)
		other, _ := nodes[0].member(t)
		nodes[0].Of("/").UseEvent(func(_ context.Context, _ *server.Socket, event string, _ server.Args) error {
			if event == "bad" {
				panic("on purpose")
			}
			return nil
		})
		victim.Send(`2["bad"]`)
		victim.Expect("1")
		other.ExpectNothing("/")
	})
}

// Programs in JavaScript look into the data of each socket: there it is never null.
func TestFetchSockets_NullIsNoData(t *testing.T) {
	s, url := start(t, server.Options{})
	s.Of("/").Use(func(_ context.Context, s *server.Socket) error {
		server.SetData[*string](s, nil)
		return nil
	})
	rawclient.Join(t, url, "/", nil)
	sockets, err := s.Of("/").All().FetchSockets(t.Context())
	if err != nil || len(sockets) != 1 {
		t.Fatalf("got %d sockets, %v", len(sockets), err)
	}
	value := map[string]any{"untouched": true}
	if err := sockets[0].DecodeData(&value); err != nil || value == nil {
		t.Errorf("got %v, %v", value, err)
	}
}
