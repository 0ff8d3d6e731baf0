//go:build integration

package integration

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// journal is what went to and from each socket: the events that begin with "seen".
type journal struct {
	mu      sync.Mutex
	sockets map[string]*page
}

type page struct {
	Heard [][]any `json:"heard"`
	Said  [][]any `json:"said"`
}

// change calls f with the page of a socket.
func (j *journal) change(s *server.Socket, f func(*page)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.sockets[s.ID()] == nil {
		j.sockets[s.ID()] = &page{Heard: [][]any{}, Said: [][]any{}}
	}
	f(j.sockets[s.ID()])
}

// serveListeners registers what sees the events that others handle.
func serveListeners(ns *server.Namespace) {
	j := &journal{sockets: make(map[string]*page)}
	ns.OnAny(func(_ context.Context, s *server.Socket, event string, args server.Args) error {
		if strings.HasPrefix(event, "seen") {
			j.change(s, func(p *page) { p.Heard = append(p.Heard, append([]any{event}, all(args)...)) })
		}
		return nil
	})
	ns.OnAnyOutgoing(func(s *server.Socket, event string, args server.Args) {
		if strings.HasPrefix(event, "seen") {
			j.change(s, func(p *page) { p.Said = append(p.Said, append([]any{event}, all(args)...)) })
		}
	})
	server.Handle(ns, "heard and said", func(_ context.Context, s *server.Socket, _ struct{}) (result page, _ error) {
		j.change(s, func(p *page) { result = *p })
		return result, nil
	})
	ns.UseEvent(func(_ context.Context, _ *server.Socket, event string, args server.Args) error {
		var allowed bool
		if event == "guarded" && args.Decode(&allowed) == nil && !allowed {
			return errors.New("not allowed")
		}
		return nil
	})
	server.On(ns, "guarded", func(_ context.Context, s *server.Socket, args server.Args) error {
		return s.Emit("passed", all(args)[1:]...)
	})
}

// patient is an answer that may come too late.
type patient struct {
	Answer any  `json:"answer"`
	Late   bool `json:"late"`
}

// askWithin asks a client and waits so many milliseconds for its answer.
func askWithin(ctx context.Context, s *server.Socket, args server.Args) error {
	var ms int
	if err := args.Decode(&ms); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
	defer cancel()
	answer, err := server.Call[any](ctx, s, "question", all(args)[1:]...)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return args.Ack(patient{Answer: answer, Late: err != nil})
}
