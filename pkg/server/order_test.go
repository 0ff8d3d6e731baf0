package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// All clients of all nodes see one order, and nothing of a log that is for the order alone.
func TestOrder_AllNodesDeliverAsTheLogDoes(t *testing.T) {
	servers, urls, ways := streaming(t, 2, server.Options{})
	var clients []*rawclient.Client
	for _, url := range urls {
		c := rawclient.Dial(t, url, nil)
		c.Send(`0{"pid":"p","offset":"1-0"}`)
		if reply := c.Next(); strings.Contains(reply, "pid") {
			t.Errorf("without recovery the reply to CONNECT is %q", reply)
		}
		clients = append(clients, c)
	}
	done := make(chan error)
	for i, s := range servers {
		go func() {
			var err error
			for n := range 100 {
				if err == nil {
					err = s.Emit("n", i, n)
				}
			}
			done <- err
		}()
	}
	errs(t, receive(t, done), receive(t, done))
	var orders [2][]string
	for i, c := range clients {
		for range 200 {
			orders[i] = append(orders[i], c.Next())
		}
	}
	if !slices.Equal(orders[0], orders[1]) {
		t.Errorf("the orders differ: %q, %q", orders[0], orders[1])
	}
	if i := slices.IndexFunc(orders[0], func(p string) bool { return !strings.HasSuffix(p, "]") || strings.Contains(p, `-0"`) }); i >= 0 {
		t.Errorf("an event of a log without recovery is %q", orders[0][i])
	}
	if n := ways[0].saves.Load() + ways[1].saves.Load(); n > 0 {
		t.Errorf("%d records were saved", n)
	}
}

// The receivers are those of the delivery: an own event waits for the log.
func TestOrder_OwnEventsWaitForTheLog(t *testing.T) {
	servers, urls, ways := streaming(t, 1, server.Options{})
	c, id := rawclient.Join(t, urls[0], "/", nil)
	ways[0].lag(true)
	emit(t, servers[0], 1)
	errs(t, servers[0].Of("/").Local().Emit("local"), servers[0].Of("/").Sockets()[0].Emit("direct"))
	c.Expect(`2["local"]`, `2["direct"]`)
	late, _ := rawclient.Join(t, urls[0], "/", nil)
	errs(t, servers[0].Of("/").Except(id).Emit("n", 2))
	ways[0].lag(false)
	c.Expect(`2["n",1]`)
	late.Expect(`2["n",1]`, `2["n",2]`)
	c.ExpectNothing("/")
}

// What changes sockets comes behind what was emitted before, on this node too.
func TestOrder_ChangesOfSocketsKeepTheirPlace(t *testing.T) {
	for name, recovery := range map[string]*server.Recovery{"": nil, "with recovery": {}} {
		t.Run(name, func(t *testing.T) {
			servers, urls, ways := streaming(t, 2, server.Options{Recovery: recovery})
			var clients []*rawclient.Client
			for _, url := range urls {
				c, _ := member(t, url, "room")
				clients = append(clients, c)
			}
			ns := servers[0].Of("/")
			ways[0].lag(true)
			done := make(chan error, 1)
			errs(t, ns.To("room").Emit("n", 1))
			go func() {
				err := ns.To("room").Join(t.Context(), "other")
				if err == nil {
					err = ns.To("other").Emit("n", 2)
				}
				if err == nil {
					err = ns.To("other").Leave(t.Context(), "room")
				}
				if err == nil {
					err = ns.To("room").Emit("n", 3) // nobody
				}
				if err == nil {
					err = ns.To("other").Emit("bye")
				}
				if err == nil {
					err = ns.To("other").Disconnect(t.Context(), false)
				}
				done <- err
			}()
			clients[1].Expect(numbered(recovery != nil, clients[1], `2["n",1]`)...)
			select {
			case err := <-done:
				t.Fatalf("while this node's log lags, Join returned %v", err)
			case <-time.After(20 * time.Millisecond):
			}
			ways[0].lag(false)
			errs(t, receive(t, done))
			for i, c := range clients {
				var got []string
				for len(got) == 0 || got[len(got)-1] != "1" {
					packet, _ := cutOffset(c.Next())
					got = append(got, packet)
				}
				want := []string{`2["n",1]`, `2["n",2]`, `2["bye"]`, "1"}[i:]
				if !slices.Equal(got, want) {
					t.Errorf("client %d got %q, want %q", i, got, want)
				}
			}
		})
	}
}

// numbered checks one packet whose offset is not known, and returns what is left to expect.
func numbered(offsets bool, c *rawclient.Client, want string) []string {
	if !offsets {
		return []string{want}
	}
	if got, _ := cutOffset(c.Next()); got != want {
		return []string{want + " instead of " + got}
	}
	return nil
}

// A socket that is disconnected gets what was emitted to it before.
func TestOrder_ByeComesBeforeTheDisconnection(t *testing.T) {
	for _, close := range []bool{false, true} {
		inStreamBubble(t, server.Options{Recovery: &server.Recovery{}}, func(t *testing.T, s *server.Server, _ *streamNode, dial rawclient.Dialer) {
			for range 50 {
				w := wander(t, pipeURL, "/", dial)
				socket := s.Of("/").Sockets()[0]
				errs(t, socket.Emit("bye"))
				socket.Disconnect(close)
				w.events(`2["bye"]`)
				if w.Expect("1"); close {
					w.ExpectClose()
				}
				w.Close()
				eventually(t, "no sockets", func() bool { return len(s.Of("/").Sockets()) == 0 })
			}
		})
	}
}

func TestOrder_DisconnectWaitsForTheLogOneSecondAtMost(t *testing.T) {
	inStreamBubble(t, server.Options{}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		var clients []*rawclient.Client
		for range 3 {
			c, _ := rawclient.Join(t, pipeURL, "/", dial)
			clients = append(clients, c)
		}
		sockets := s.Of("/").Sockets()
		way.lag(true)
		emit(t, s, 1)
		begin := time.Now()
		for _, socket := range sockets {
			socket.Disconnect(false)
		}
		time.Sleep(time.Second - time.Millisecond)
		if n := len(s.Of("/").Sockets()); n != 3 {
			t.Errorf("%d sockets are left before the second is over", n)
		}
		for _, c := range clients {
			c.Expect("1")
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("the disconnection took %v", took)
		}
		for _, c := range clients { // what is taken for lost is not waited for again
			c.Send("0")
			c.Next()
		}
		s.Of("/").Sockets()[0].Disconnect(false)
		synctest.Wait()
		if n := len(s.Of("/").Sockets()); n != 2 {
			t.Errorf("%d sockets are left", n)
		}
		way.lag(false)
		synctest.Wait()
		way.away.Store(true)
		way.lag(true)
		emit(t, s, 2)
		s.Of("/").Sockets()[0].Disconnect(false)
		if n := len(s.Of("/").Sockets()); n != 1 {
			t.Errorf("while the backend is away, %d sockets are left", n)
		}
		way.away.Store(false)
	})
}

// Many disconnections behind a slow log cost no goroutine each, and come in order.
func TestOrder_DisconnectionsOfMany(t *testing.T) {
	inStreamBubble(t, server.Options{}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		way.lag(true)
		for n := range 100 {
			emit(t, s, n)
		}
		for _, socket := range s.Of("/").Sockets() {
			for range 1000 {
				socket.Disconnect(false)
			}
		}
		way.lag(false)
		for n := range 100 {
			c.Expect(fmt.Sprintf(`2["n",%d]`, n))
		}
		c.Expect("1")
	})
}
