// Command nethttp serves a chat with net/http alone, and ends in good order.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

type message struct{ Room, Text string }

func main() {
	chat, err := newChat()
	if err != nil {
		log.Fatal(err)
	}
	web := &http.Server{Addr: ":3000", Handler: routes(chat)}
	server.ConfigureHTTP(web)

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- web.ListenAndServe() }()
	select {
	case err := <-served:
		log.Fatal(err)
	case <-stop.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// The chat first: it answers the polls that the http.Server would wait for.
	if err := errors.Join(chat.Shutdown(ctx), web.Shutdown(ctx)); err != nil {
		log.Print(err)
	}
}

func newChat() (*server.Server, error) {
	srv, err := server.New(server.Options{})
	if err != nil {
		return nil, err
	}
	chat := srv.Of("/")
	server.On(chat, "enter", func(ctx context.Context, s *server.Socket, room string) error {
		return s.Join(ctx, room)
	})
	server.On(chat, "say", func(ctx context.Context, s *server.Socket, m message) error {
		return chat.To(m.Room).Emit("said", s.ID(), m.Text)
	})
	return srv, nil
}

// routes mounts the chat where clients look for it.
func routes(chat http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", chat)
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("hello")) })
	return mux
}
