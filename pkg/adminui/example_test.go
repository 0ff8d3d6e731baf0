package adminui_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/roomcast/roomcast/pkg/adminui"
	"github.com/roomcast/roomcast/pkg/server"
)

// A server to which the official admin UI may connect. The password comes from the
// environment; without a good one the program does not start.
func Example() {
	ui, err := adminui.New(adminui.Options{Username: "operator", Password: os.Getenv("ADMIN_UI_PASSWORD")})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv, err := server.New(server.Options{
		Observer: ui.Observer(),
		CORS:     &server.CORS{Origins: []string{"https://admin.example.com"}, Credentials: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ui.Attach(srv)
	http.Handle("/socket.io/", srv)

	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { ui.Run(ctx) })

	// ... until the program is told to stop:
	end()
	running.Wait()
	if err := srv.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: adminui: Password has fewer than 16 characters
}
