package main

import (
	"context"
	"fmt"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/examples/internal/natsserver"
	"github.com/roomcast/roomcast/internal/testutil/rawclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNodes_HearEachOther(t *testing.T) {
	url := "nats://" + natsserver.Start(t)
	doors := []net.Listener{door(t), door(t)}
	stop, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(stop, url, doors) }()

	one, id := rawclient.Join(t, "http://"+doors[0].Addr().String(), "/", nil)
	two, _ := rawclient.Join(t, "http://"+doors[1].Addr().String(), "/", nil)
	one.Send(`2["say","hello"]`)
	said := fmt.Sprintf(`2["said",%q,"hello"]`, id)
	one.Expect(said)
	two.Expect(said)

	one.Close()
	two.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRun_EndsWithItsFirstFailure(t *testing.T) {
	url := "nats://" + natsserver.Start(t)
	closed := door(t)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), url, []net.Listener{door(t), closed}); err == nil {
		t.Error("got nil, want the error of a door that is closed")
	}
}

func door(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
