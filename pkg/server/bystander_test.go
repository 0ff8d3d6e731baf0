package server_test

import (
	"fmt"
	"net/http"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// bystanderAgent marks the bystander's handshake.
const bystanderAgent = "bystander"

// bystander is a client that does nothing wrong: it echoes all the time.
type bystander struct {
	conn *websocket.Conn
	tongue
	stop  chan struct{}
	done  gosync.WaitGroup
	trips atomic.Int64
	worst atomic.Int64 // in ns, since the last check
	lost  atomic.Pointer[string]
}

func watch(t *testing.T, v *victim) *bystander {
	t.Helper()
	dialer := websocket.Dialer{NetDialContext: v.dial}
	url := "ws" + strings.TrimPrefix(v.url, "http") + "/socket.io/?EIO=4&transport=websocket"
	conn, response, err := dialer.Dial(url, http.Header{"User-Agent": {bystanderAgent}})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	b := &bystander{conn: conn, tongue: v.tongue, stop: make(chan struct{})}
	if err := conn.WriteMessage(b.say("40")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the open packet and the reply to CONNECT
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	b.done.Go(b.run)
	return b
}

// run makes one round trip after the other, with a breath between them.
func (b *bystander) run() {
	breath := time.NewTicker(5 * time.Millisecond)
	defer breath.Stop()
	for {
		begin := time.Now()
		if err := b.trip(); err != nil {
			text := err.Error()
			b.lost.Store(&text)
			return
		}
		if took := int64(time.Since(begin)); took > b.worst.Load() {
			b.worst.Store(took)
		}
		b.trips.Add(1)
		select {
		case <-breath.C:
		case <-b.stop:
			return
		}
	}
}

func (b *bystander) trip() error {
	n := b.trips.Load()
	_ = b.conn.SetReadDeadline(time.Now().Add(patience))
	if err := b.conn.WriteMessage(b.say(fmt.Sprintf(`42%d["echo",%d]`, n, n))); err != nil {
		return err
	}
	for {
		kind, data, err := b.conn.ReadMessage()
		switch {
		case err != nil:
			return err
		case string(data) == "2":
			if err := b.conn.WriteMessage(websocket.TextMessage, []byte("3")); err != nil {
				return err
			}
		case b.hear(kind, data) == fmt.Sprintf(`43%d[%d]`, n, n):
			return nil
		default:
			return fmt.Errorf("got %q", data)
		}
	}
}

// check waits for round trips that begin now and looks at the worst of all since
// the check before.
func (b *bystander) check(t *testing.T) {
	t.Helper()
	since := b.trips.Load()
	eventually(t, "the bystander's echoes", func() bool { return b.trips.Load() >= since+2 || b.lost.Load() != nil })
	if lost := b.lost.Load(); lost != nil {
		t.Fatalf("the bystander lost its connection: %s", *lost)
	}
	if worst := time.Duration(b.worst.Swap(0)); worst > worstEcho {
		t.Errorf("the bystander's worst echo took %v, want at most %v", worst, worstEcho)
	}
}

func (b *bystander) leave() {
	close(b.stop)
	b.done.Wait()
	_ = b.conn.Close()
}
