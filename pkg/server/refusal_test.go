package server_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// quitter is a value whose encoding ends its goroutine.
type quitter struct{}

func (quitter) MarshalJSON() ([]byte, error) { runtime.Goexit(); return nil, nil }

// mute is an error whose text cannot be asked for, like a nil pointer of most types.
type mute struct{ text *string }

func (m mute) Error() string { return *m.text }

// What a program says against a client runs its own methods, which may fail too.
func TestUse_RefusalThatCannotBeSaidIsAnInternalError(t *testing.T) {
	for name, refusal := range map[string]error{
		"nil pointer":       (*server.ConnectError)(nil),
		"data that panics":  &server.ConnectError{Message: "no", Data: bomb{}},
		"text that panics":  mute{},
		"wrapped nil":       errors.Join(errors.New("secret"), (*server.ConnectError)(nil)),
		"data that is none": &server.ConnectError{Message: "no", Data: make(chan int)},
	} {
		t.Run(name, func(t *testing.T) {
			inClusterBubble(t, 1, server.Options{}, func(t *testing.T, nodes []node) {
				other, _ := nodes[0].member(t)
				nodes[0].Of("/strict").Use(func(context.Context, *server.Socket) error { return refusal })
				c := rawclient.Dial(t, pipeURL, nodes[0].dial)
				c.Send("0/strict,")
				want := `4/strict,{"message":"internal error"}`
				if name == "data that is none" {
					want = `4/strict,{"message":"no"}`
				}
				c.Expect(want)
				other.ExpectNothing("/")
			})
		})
	}
}

// The same is true of what it answers to other nodes.
func TestCallServers_AnswerThatCannotBeSaidIsAnInternalError(t *testing.T) {
	for name, handle := range map[string]func() (any, error){
		"result that panics": func() (any, error) { return bomb{}, nil },
		"result that exits":  func() (any, error) { return quitter{}, nil },
		"data that panics":   func() (any, error) { return nil, &server.EventError{Message: "no", Data: bomb{}} },
		"nil pointer":        func() (any, error) { return nil, (*server.EventError)(nil) },
		"text that panics":   func() (any, error) { return nil, mute{} },
	} {
		t.Run(name, func(t *testing.T) {
			inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
				ns := nodes[1].Of("/")
				var next atomic.Int32 // calls and events are handled beside each other
				server.HandleServerSide(ns, "ask", func(context.Context, server.Args) (any, error) { return handle() })
				server.OnServerSide(ns, "ask", func(context.Context, server.Args) error { next.Add(1); return nil })
				begin := time.Now()
				got, err := server.CallServers[refused](t.Context(), nodes[0].Of("/"), "ask")
				if err != nil || len(got) != 1 || got[0].Error.Message != "internal error" || time.Since(begin) != 0 {
					t.Errorf("got %+v, %v after %v", got, err, time.Since(begin))
				}
				if err := nodes[0].Of("/").ServerSideEmit(t.Context(), "ask"); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if n := next.Load(); n != 2 {
					t.Errorf("the second handler ran %d times, want 2", n)
				}
			})
		})
	}
}

func TestOn_RefusalThatCannotBeSaidEndsThatSocketOnly(t *testing.T) {
	for name, refusal := range map[string]error{
		"nil pointer":      (*server.EventError)(nil),
		"data that panics": &server.EventError{Message: "no", Data: bomb{}},
		"text that panics": mute{},
	} {
		t.Run(name, func(t *testing.T) {
			inClusterBubble(t, 1, server.Options{}, func(t *testing.T, nodes []node) {
				other, _ := nodes[0].member(t)
				victim, _ := nodes[0].member(t)
				server.On(nodes[0].Of("/"), "ask", func(context.Context, *server.Socket, struct{}) error { return refusal })
				victim.Send(`21["ask"]`)
				if got := victim.Next(); got != "1" && got != `31[{"error":{"message":"internal error"}}]` {
					t.Errorf("got %q", got)
				}
				other.ExpectNothing("/")
			})
		})
	}
}
