// Command chat is a program that README.md shows.
package main

import (
	"context"
	"log"
	"net/http"

	"github.com/roomcast/roomcast/pkg/server"
)

type message struct{ Room, Text string }

func main() {
	srv, err := server.New(server.Options{})
	if err != nil {
		log.Fatal(err)
	}
	chat := srv.Of("/")
	server.On(chat, "enter", func(ctx context.Context, s *server.Socket, room string) error {
		return s.Join(ctx, room)
	})
	server.On(chat, "say", func(ctx context.Context, s *server.Socket, m message) error {
		return chat.To(m.Room).Emit("said", s.ID(), m.Text)
	})
	http.Handle("/socket.io/", srv)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
