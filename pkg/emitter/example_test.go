package emitter_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/emitter"
	"github.com/roomcast/roomcast/pkg/server"
)

// client stands in for a browser, connected to the namespace "/".
type client struct{ conn *websocket.Conn }

func (c client) receive() string {
	_, data, _ := c.conn.ReadMessage()
	return string(data)
}

// startNode starts a node, and a client of it that is in the room "orders".
func startNode(options server.Options) (c client, stop func()) {
	options.Logger = quiet
	srv, err := server.New(options)
	if err != nil {
		panic(err)
	}
	server.On(srv.Of("/"), "enter", func(ctx context.Context, s *server.Socket, room string) error {
		return s.Join(ctx, room)
	})
	web := httptest.NewServer(srv)
	url := "ws" + strings.TrimPrefix(web.URL, "http") + "/socket.io/?EIO=4&transport=websocket"
	conn, response, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		panic(err)
	}
	_ = response.Body.Close()
	c = client{conn}
	_ = conn.WriteMessage(websocket.TextMessage, []byte(`40`))
	_ = conn.WriteMessage(websocket.TextMessage, []byte(`420["enter","orders"]`))
	for range 3 {
		c.receive() // the open packet, the answer to CONNECT, the acknowledgement
	}
	return c, func() {
		_ = conn.Close()
		_ = srv.Shutdown(context.Background())
		web.Close()
	}
}

// A process without sockets of its own sends to those of a cluster. Here that is
// one node in the same process; with the adapter of package adapter/redis they are
// processes anywhere.
func Example() {
	ctx := context.Background()
	bus := memory.New()
	browser, stop := startNode(server.Options{Adapter: bus})
	defer stop()

	e, err := emitter.New(bus, emitter.Options{})
	if err != nil {
		panic(err)
	}
	defer func() { _ = e.Close(ctx) }()
	if err := e.To("orders").Emit(ctx, "shipped", map[string]int{"order": 7}); err != nil {
		panic(err)
	}
	fmt.Println("client gets", browser.receive())
	// Output: client gets 42["shipped",{"order":7}]
}
