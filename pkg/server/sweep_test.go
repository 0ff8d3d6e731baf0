package server_test

import (
	"context"
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
	ids    []string
	writes atomic.Int64
	// before is called by the goroutine that is about to write to client i.
	before atomic.Pointer[func(i int)]
}

func newCircle(t *testing.T, clients int) *circle {
	t.Helper()
	s, _ := start(t, server.Options{})
	c := &circle{server: s}
	joining(s.Of("/"))
	idle := make(chan struct{}) // has an element when who writes a client's acknowledgement is done
	server.On(s.Of("/"), "joined", func(context.Context, *server.Socket, struct{}) error { idle <- struct{}{}; return nil })
	dir := t.TempDir()
	for i := range clients {
		name := filepath.Join(dir, fmt.Sprint(i))
		client := newSink(rawFile(t, name), "room", `42["joined"]`)
		client.writes = func() {
			c.writes.Add(1)
			if f := c.before.Load(); f != nil {
				(*f)(i)
			}
		}
		c.files = append(c.files, name)
		listen(s, client)
		receive(t, idle)
		_, reply, _ := strings.Cut(c.read(t, i), `40{"sid":"`)
		id, _, _ := strings.Cut(reply, `"`)
		c.ids = append(c.ids, id)
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
	var all []int
	for i := range n {
		all = append(all, i)
	}
	c.expectEach(t, func(int) []int { return all })
}

// expectEach fails unless client i has got the messages of want(i), in order, once.
func (c *circle) expectEach(t *testing.T, want func(i int) []int) {
	t.Helper()
	server.Drain(c.server)
	for i := range c.files {
		expected := "430[]"
		for _, n := range want(i) {
			text := fmt.Sprintf(`42["n",%d]`, n)
			expected += fmt.Sprintf("\x81%c%s", len(text), text)
		}
		if got := c.read(t, i); !strings.HasSuffix(got, expected) {
			t.Fatalf("client %d has %q, want at its end %q", i, got, expected)
		}
	}
}

func TestSweep_PassesEachOfAnyNumberOfReceivers(t *testing.T) {
	for n := 1; n <= 1200; n++ {
		stretches := server.Stretches(n)
		next, stops := 0, 0
		for i, stretch := range stretches {
			for _, receiver := range stretch {
				if receiver != next {
					t.Fatalf("of %d receivers %d comes after %d", n, receiver, next-1)
				}
				next = (next + 1) % n
			}
			if next == 0 && stops == 0 {
				stops = i + 1
			} else if len(stretch) < 16 && next != 0 {
				t.Fatalf("of %d receivers %d lie between two stops", n, len(stretch))
			}
		}
		// The second message goes as far as the first stop again.
		if stops > 32 || len(stretches) != stops+1 || next != len(stretches[0])%n {
			t.Fatalf("%d receivers, %d stops: the sweep ended before %d, after %d stretches", n, stops, next, len(stretches))
		}
	}
}

func TestSweep_BroadcastBoardsAtTheNextStop(t *testing.T) {
	for name, tt := range map[string]struct {
		at     int
		writes int64
	}{
		"the first stretch": {10, 200 + 16},
		"one in the middle": {60, 200 + 64},
		"a later one":       {149, 200 + 160},
		"the last":          {195, 200 + 200},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCircle(t, 200) // a stop behind each 16 of them
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
	for _, clients := range []int{65, 128, 300, 513} {
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

// What comes behind another message must not pass it, and who has other receivers or terms
// must not board.
func TestSweep_EndsForWhatCannotBoard(t *testing.T) {
	const clients = 200
	for name, tt := range map[string]struct {
		between func(c *circle) error
		without func(i int) bool // who does not get it
		writes  int64
	}{
		"volatile": {
			between: func(c *circle) error { return c.server.To("room").Volatile().Emit("n", 1) },
			writes:  3 * clients,
		},
		"exclusion": {
			between: func(c *circle) error { return c.server.To("room").Except(c.ids[7]).Emit("n", 1) },
			without: func(i int) bool { return i == 7 },
			writes:  3*clients - 1,
		},
		"exclusion of several": {
			between: func(c *circle) error { return c.server.To("room").Except(c.ids[7], c.ids[8]).Emit("n", 1) },
			without: func(i int) bool { return i == 7 || i == 8 },
			writes:  3*clients - 2,
		},
		"one receiver": {
			between: func(c *circle) error { return c.server.To(c.ids[7]).Emit("n", 1) },
			without: func(i int) bool { return i != 7 },
			writes:  2*clients + 1,
		},
		"too large": {
			between: func(c *circle) error { return c.server.To("room").Emit("n", strings.Repeat("x", 70_000)) },
			writes:  3 * clients,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCircle(t, clients)
			c.once(10, func() {
				errs(t, tt.between(c))
				c.emit(t, 2)
			})
			c.emit(t, 0)
			if name != "too large" {
				c.expectEach(t, func(i int) []int {
					if tt.without != nil && tt.without(i) {
						return []int{0, 2}
					}
					return []int{0, 1, 2}
				})
			}
			server.Drain(c.server)
			if got := c.writes.Load(); got != tt.writes {
				t.Errorf("%d writes, want %d", got, tt.writes)
			}
		})
	}
}

func TestSweep_WhoJoinsMeanwhileGetsWhatFollowsOnly(t *testing.T) {
	c := newCircle(t, 200)
	c.once(10, func() {
		errs(t, c.server.To(c.ids[7]).Leave(t.Context(), "room"))
		c.emit(t, 1)
		errs(t, c.server.To(c.ids[7]).Join(t.Context(), "room"))
		c.emit(t, 2)
	})
	c.emit(t, 0)
	c.expectEach(t, func(i int) []int {
		if i == 7 {
			return []int{0, 2}
		}
		return []int{0, 1, 2}
	})
}

// However much goes around, what comes is not kept waiting for its end.
func TestSweep_AnEndlessOneLetsTheNextIn(t *testing.T) {
	c := newCircle(t, 200)
	sent := 1
	endless := func(i int) {
		if i%50 == 0 { // somebody is always on board
			c.emit(t, sent)
			sent++
		}
	}
	c.before.Store(&endless)
	c.emit(t, 0)
	errs(t, c.server.To(c.ids[7]).Emit("now"))
	eventually(t, "the event", func() bool { return strings.Contains(c.read(t, 7), "now") })
	c.before.Store(nil)
}
