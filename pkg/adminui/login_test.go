package adminui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adminui"
	"github.com/roomcast/roomcast/pkg/server"
)

// inLoginBubble runs a node whose time is fake. login connects with credentials as JSON and
// returns the answer to them.
func inLoginBubble(t *testing.T, test func(t *testing.T, login func(credentials string) *rawclient.Client)) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		ui, err := adminui.New(adminui.Options{Username: username, Password: password, Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.New(server.Options{Observer: ui.Observer(), Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		ui.Attach(s)
		network := pipenet.New()
		web := &http.Server{Handler: s}
		var serving sync.WaitGroup
		serving.Go(func() { _ = web.Serve(network) })
		defer func() {
			if err := s.Shutdown(context.Background()); err != nil {
				t.Errorf("shutdown: %v", err)
			}
			_ = web.Close()
			serving.Wait()
		}()
		test(t, func(credentials string) *rawclient.Client {
			c, _ := rawclient.Join(t, "http://pipe", "/", network.Dial)
			c.Send("0/admin," + credentials)
			return c
		})
	})
}

// Whoever guesses is soon not listened to, even if the guess is right. It ends with time, and
// does not concern a session.
func TestLogin_TooManyFailuresAreHeldUp(t *testing.T) {
	const held = `4/admin,{"message":"too many failed logins, try again later"}`
	right := fmt.Sprintf(`{"username":%q,"password":%q}`, username, password)
	inLoginBubble(t, func(t *testing.T, login func(string) *rawclient.Client) {
		said := func(credentials string) string {
			c := login(credentials)
			defer c.Close()
			return c.Next()
		}
		page := login(right)
		page.Next() // that it is connected
		var session []string
		event := strings.TrimPrefix(page.Next(), "2/admin,")
		if err := json.Unmarshal([]byte(event), &session); err != nil || session[0] != "session" {
			t.Fatalf("got %s, %v", event, err)
		}
		wrong, failed := fmt.Sprintf(`{"username":%q,"password":"0123456789abcdef"}`, username), 0
		for said(wrong) != held {
			if failed++; failed > 100 {
				t.Fatal("one can guess for ever")
			}
		}
		if got := said(right); got != held {
			t.Errorf("the right password: %s", got)
		}
		if got := said(`{}`); got != `4/admin,{"message":"invalid credentials"}` {
			t.Errorf("no password: %s", got)
		}
		if got := said(fmt.Sprintf(`{"sessionId":%q}`, session[1])); !strings.HasPrefix(got, "0/admin,") {
			t.Errorf("a session: %s", got)
		}
		time.Sleep(time.Minute)
		if got := said(right); !strings.HasPrefix(got, "0/admin,") {
			t.Errorf("the right password after a minute: %s", got)
		}
	})
}
