package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestMaxConnectionAge_ClientsOfOneMomentDoNotLeaveTogether(t *testing.T) {
	const clients, most = 200, 100 * time.Second
	inBubble(t, server.Options{MaxConnectionAge: most}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		reasons := make(chan server.DisconnectReason, clients)
		s.Of("/").OnDisconnect(func(_ context.Context, _ *server.Socket, reason server.DisconnectReason) { reasons <- reason })
		begun := time.Now()
		var all []*rawclient.Client
		for range clients {
			c, _ := rawclient.Join(t, pipeURL, "/", dial)
			all = append(all, c)
		}
		var parts [4]int
		for _, l := range awaitLeaving(begun, all...)() {
			if l.at < most*4/5 || l.at > most+time.Second {
				t.Fatalf("one left after %v, want %v to %v", l.at, most*4/5, most)
			}
			parts[min(3, (l.at-most*4/5)/(most/20))]++
			if got := <-reasons; got != server.ForcedClose {
				t.Errorf("the reason is %q", got)
			}
		}
		for _, n := range parts {
			if n < 15 || n > 100 { // 40, 50, 50 and 60 are likely; this is six standard deviations off
				t.Errorf("in the quarters of the time %v left, want about as many in each", parts)
			}
		}
		c, _ := rawclient.Join(t, pipeURL, "/", dial) // the node goes on
		c.ExpectNothing("/")
		if !s.Health().Ready {
			t.Error("the node is not ready")
		}
	})
}

func TestMaxConnectionAge_WhoIsBusyMayStayALittleLonger(t *testing.T) {
	const most = 100 * time.Second
	for name, tt := range map[string]struct{ work, from, to time.Duration }{
		"until it is done":                  {most * 85 / 100, most * 85 / 100, most + time.Second},
		"but for a tenth of the age longer": {10 * most, most * 9 / 10, most*11/10 + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, server.Options{MaxConnectionAge: most}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
				server.On(s.Of("/"), "work", func(ctx context.Context, _ *server.Socket, _ struct{}) error {
					select {
					case <-time.After(tt.work):
					case <-ctx.Done():
					}
					return nil
				})
				begun := time.Now()
				c, _ := rawclient.Join(t, pipeURL, "/", dial)
				c.Send(`2["work",{}]`)
				if l := awaitLeaving(begun, c)()[0]; l.at < tt.from || l.at > tt.to {
					t.Errorf("left after %v, want %v to %v", l.at, tt.from, tt.to)
				}
			})
		})
	}
}

// A drain has its own order.
func TestMaxConnectionAge_EndsWithADrain(t *testing.T) {
	inBubble(t, server.Options{MaxConnectionAge: 10 * time.Second}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		server.On(s.Of("/"), "work", func(ctx context.Context, _ *server.Socket, _ struct{}) error { <-ctx.Done(); return nil })
		c.Send(`2["work",{}]`)
		synctest.Wait()
		begun := time.Now()
		left := awaitLeaving(begun, c)
		errs(t, s.Drain(t.Context(), time.Minute))
		if at := left()[0].at; at != time.Minute {
			t.Errorf("left after %v, want a minute", at)
		}
	})
}
