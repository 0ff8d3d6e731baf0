package main

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
	"github.com/roomcast/roomcast/internal/testutil/rawclient"
)

func TestChat_AnnouncesItsPeopleNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := pipenet.New()
		log := slog.New(slog.DiscardHandler)
		flags, err := defaultServerFlags()
		if err != nil {
			t.Fatal(err)
		}
		n, err := newNode("node-1", network, flags, &bus{}, nil, log)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.start(nil, func(err error) { t.Errorf("the node ended: %v", err) }); err != nil {
			t.Fatal(err)
		}
		raw, id := rawclient.Join(t, "http://pipe", "/", network.Dial)
		c := &client{Client: raw, t: t, id: id}
		c.ask("join", joinRequest{Room: "lobby", Name: "Ada"}, nil)

		began := time.Now()
		for i := range 3 {
			r := event(c, "members", func(roster) bool { return true })
			if len(r.Members) != 1 || r.Members[0] != (person{ID: id, Name: "Ada"}) || r.Joined != nil || r.Left != nil {
				t.Errorf("announcement %d is %+v, want Ada alone and no news", i+1, r)
			}
			if at, want := time.Since(began), time.Duration(i+1)*announceEvery; at > want {
				t.Errorf("announcement %d came after %v, want %v at most", i+1, at, want)
			}
		}
		c.Close()
		if err := n.stop(0); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}
