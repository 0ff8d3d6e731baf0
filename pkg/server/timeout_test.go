package server_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// inBubble runs a node on a network of pipes with fake time.
func inBubble(t *testing.T, options server.Options, test func(t *testing.T, s *server.Server, dial rawclient.Dialer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		options.Logger = quiet
		s, err := server.New(options)
		if err != nil {
			t.Fatal(err)
		}
		network := pipenet.New()
		web := &http.Server{Handler: s}
		done := make(chan struct{})
		go func() { defer close(done); _ = web.Serve(network) }()
		defer func() {
			if err := s.Shutdown(context.Background()); err != nil {
				t.Errorf("shutdown: %v", err)
			}
			_ = web.Close()
			<-done
		}()
		sync(s.Of("/"))
		test(t, s, network.Dial)
	})
}

const pipeURL = "http://pipe"

func TestTimeout_ClientWithoutNamespaceIsClosed(t *testing.T) {
	inBubble(t, server.Options{}, func(t *testing.T, _ *server.Server, dial rawclient.Dialer) {
		begin := time.Now()
		c := rawclient.Dial(t, pipeURL, dial)
		c.Send("0/nowhere,") // a refusal does not count as joined
		untilClosed(c)
		if got := time.Since(begin); got != 45*time.Second {
			t.Errorf("closed after %v, want 45 s", got)
		}
	})
}

func TestTimeout_AttachmentsThatNeverCome(t *testing.T) {
	inBubble(t, server.Options{}, func(t *testing.T, _ *server.Server, dial rawclient.Dialer) {
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		begin := time.Now()
		c.Send(`51-["a",{"_placeholder":true,"num":0}]`)
		untilClosed(c)
		if got := time.Since(begin); got != 30*time.Second {
			t.Errorf("closed after %v, want 30 s", got)
		}
	})
}

func TestTimeout_SilentClientIsGoneWithItsRooms(t *testing.T) {
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		joining(s.Of("/"))
		type end struct {
			reason server.DisconnectReason
			rooms  int
		}
		ends := make(chan end, 1)
		s.Of("/").OnDisconnect(func(_ context.Context, s *server.Socket, reason server.DisconnectReason) {
			ends <- end{reason, len(s.Rooms())}
		})
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		c.Send(`20["join",["a","b"]]`)
		c.Expect("30[]")
		begin := time.Now()
		_ = c.Conn().SetReadDeadline(time.Time{})
		go func() { // reads, but answers nothing
			for {
				if _, _, err := c.Conn().ReadMessage(); err != nil {
					return
				}
			}
		}()
		got := <-ends
		if want := (end{server.PingTimeout, 3}); got != want {
			t.Errorf("OnDisconnect saw %+v, want %+v", got, want)
		}
		if after := time.Since(begin); after != 45*time.Second {
			t.Errorf("gone after %v, want 45 s", after)
		}
		if n := len(s.Of("/").Sockets()); n != 0 {
			t.Errorf("%d sockets are left", n)
		}
	})
}

func TestTimeout_EmptyDynamicNamespaceIsRemoved(t *testing.T) {
	inBubble(t, server.Options{MaxDynamicNamespaces: 1}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		pattern := s.OfFunc(func(context.Context, string, *server.Handshake) bool { return true })
		sync(pattern)
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		c.Connect("/a", "")
		c.Send("1/a,")
		c.Send("0/b,")
		c.Expect(`4/b,{"message":"too many namespaces"}`)
		time.Sleep(20 * time.Second)
		c.Connect("/a", "") // it comes back before the time is over, so the namespace stays
		pass(c, 70*time.Second)
		c.ExpectNothing("/a")
		c.Send("1/a,")
		pass(c, 61*time.Second)
		c.Connect("/b", "")
	})
}

// untilClosed reads until the server closes, answering pings.
func untilClosed(c *rawclient.Client) {
	_ = c.Conn().SetReadDeadline(time.Time{})
	for {
		_, data, err := c.Conn().ReadMessage()
		if err != nil {
			return
		}
		if string(data) == "2" {
			c.SendRaw("3")
		}
	}
}

// pass lets time go by for a client that answers its pings.
func pass(c *rawclient.Client, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Second) {
		c.ExpectNothing("/")
	}
}
