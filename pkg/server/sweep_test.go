package server_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/roomcast/roomcast/pkg/server"
)

// circle is a server with clients in one room whose connections are files.
type circle struct {
	server *server.Server
	files  []string
	writes atomic.Int64
	// before is called by the goroutine that is about to write to client i.
	before atomic.Pointer[func(i int)]
}

func newCircle(t *testing.T, clients int) *circle {
	t.Helper()
	s, _ := start(t, server.Options{})
	c := &circle{server: s}
	joining(s.Of("/"))
	dir := t.TempDir()
	for i := range clients {
		file, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		raw, err := file.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		client := newSink(raw, "room")
		client.writes = func() {
			c.writes.Add(1)
			if f := c.before.Load(); f != nil {
				(*f)(i)
			}
		}
		c.files = append(c.files, file.Name())
		listen(s, client)
		eventually(t, "the acknowledgement", func() bool { return strings.HasSuffix(c.read(t, i), "430[]") })
	}
	c.writes.Store(0)
	return c
}

func (c *circle) read(t *testing.T, i int) string {
	t.Helper()
	text, err := os.ReadFile(c.files[i])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// once has f called when client i is written to for the first time.
func (c *circle) once(i int, f func()) {
	call := func(at int) {
		if at == i {
			c.before.Store(nil)
			f()
		}
	}
	c.before.Store(&call)
}

func (c *circle) emit(t *testing.T, n int) {
	t.Helper()
	errs(t, c.server.To("room").Emit("n", n))
}

// expect fails unless each client has got the messages from 0 to n - 1, in order, once.
func (c *circle) expect(t *testing.T, n int) {
	t.Helper()
	server.Drain(c.server)
	var want strings.Builder
	for i := range n {
		text := fmt.Sprintf(`42["n",%d]`, i)
		fmt.Fprintf(&want, "\x81%c%s", len(text), text)
	}
	for i := range c.files {
		if got := c.read(t, i); !strings.HasSuffix(got, "430[]"+want.String()) {
			t.Fatalf("client %d has %q, want at its end %q", i, got, want.String())
		}
	}
}

func TestSweep_BroadcastBoardsAtTheNextStop(t *testing.T) {
	for name, tt := range map[string]struct {
		at     int
		writes int64
	}{
		"the first stretch": {10, 200 + 64},
		"the second":        {100, 200 + 128},
		"the third":         {190, 200 + 192},
		"the last":          {195, 200 + 200},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCircle(t, 200) // stops behind 64, 128 and 192 of them
			c.once(tt.at, func() { c.emit(t, 1) })
			c.emit(t, 0)
			c.expect(t, 2)
			if got := c.writes.Load(); got != tt.writes {
				t.Errorf("%d writes, want %d", got, tt.writes)
			}
		})
	}
}

func TestSweep_EachGoesAroundOnceInOrder(t *testing.T) {
	for _, clients := range []int{65, 128, 300, 600} {
		t.Run(fmt.Sprint(clients), func(t *testing.T) {
			const messages = 60
			c := newCircle(t, clients)
			seed := rand.Uint64()
			t.Log("seed", seed)
			random, sent := rand.New(rand.NewPCG(seed, 0)), 1
			emit := func(int) {
				for sent < messages && random.IntN(clients/4) == 0 {
					c.emit(t, sent)
					sent++
				}
			}
			c.before.Store(&emit)
			c.emit(t, 0)
			server.Drain(c.server)
			for c.before.Store(nil); sent < messages; sent++ {
				c.emit(t, sent)
			}
			c.expect(t, messages)
			if c.writes.Load() >= int64(messages*clients) {
				t.Errorf("%d writes: nothing was joined", c.writes.Load())
			}
		})
	}
}

func TestSweep_EndsForWhatOthersGet(t *testing.T) {
	c := newCircle(t, 200)
	c.once(10, func() {
		errs(t, c.server.To("room").Volatile().Emit("n", 1))
		c.emit(t, 2)
	})
	c.emit(t, 0)
	c.expect(t, 3)
	if got := c.writes.Load(); got != 3*200 {
		t.Errorf("%d writes, want 600: what comes behind another message must not pass it", got)
	}
}
