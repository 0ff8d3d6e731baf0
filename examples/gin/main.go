// Command gin serves a chat in an engine of Gin.
package main

import (
	"context"
	"log"
	"net/http"

	"github.com/gin-gonic/gin"

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
	log.Fatal(web.ListenAndServe())
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
	r := gin.New()
	r.Use(gin.Recovery())
	r.Any("/socket.io/*any", gin.WrapH(chat))
	r.GET("/hello", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	return r
}
