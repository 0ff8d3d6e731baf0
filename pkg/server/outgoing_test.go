package server_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	gosync "sync"
	"testing"
	"testing/synctest"

	"github.com/roomcast/roomcast/pkg/server"
)

// outbox notes what functions of OnAnyOutgoing see.
type outbox struct {
	mu   gosync.Mutex
	seen []string
}

func (o *outbox) see(s *server.Socket, event string, args server.Args) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, fmt.Sprintf("%s %s %s", s.ID(), event, args.At(0).Value))
}

// take returns what was seen, sorted.
func (o *outbox) take() []string {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen
	o.seen = nil
	slices.Sort(seen)
	return seen
}

func TestOnAnyOutgoing_SeesEachEventOncePerReceiver(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		here, there := nodes[0].Of("/"), nodes[1].Of("/")
		var own, foreign outbox
		here.OnAnyOutgoing(own.see)
		there.OnAnyOutgoing(foreign.see)
		_, a := nodes[0].member(t, "room", "other")
		_, b := nodes[0].member(t, "room")
		_, c := nodes[1].member(t, "room", "other")
		socket := here.Sockets()[0]
		ctx := t.Context()
		for name, test := range map[string]struct {
			emit  func()
			here  []string
			there []string
		}{
			"Emit of a socket":     {func() { _ = socket.Emit("x", 1) }, []string{a}, nil},
			"Volatile of a socket": {func() { _ = socket.Volatile().Emit("x", 1) }, []string{a}, nil},
			"to all":               {func() { _ = here.Emit("x", 1) }, []string{a, b}, []string{c}},
			"to rooms":             {func() { _ = here.To("room", "other").Emit("x", 1) }, []string{a, b}, []string{c}},
			"except":               {func() { _ = here.Except("other").Emit("x", 1) }, []string{b}, nil},
			"from a socket":        {func() { _ = socket.Broadcast().Emit("x", 1) }, []string{b}, []string{c}},
			"of another node":      {func() { _ = there.To("other").Emit("x", 1) }, []string{a}, []string{c}},
			"excluded there":       {func() { _ = there.Except("other").Emit("x", 1) }, []string{b}, nil},
			"local":                {func() { _ = here.Local().Emit("x", 1) }, []string{a, b}, nil},
			"Call":                 {func() { go func() { _, _ = server.Call[int](ctx, socket, "x", 1) }() }, []string{a}, nil},
			"CallAll":              {func() { server.CallAll[int](ctx, here.To("room"), "x", 1) }, []string{a, b}, []string{c}},
			"CallAll elsewhere":    {func() { server.CallAll[int](ctx, there.Except("other"), "x", 1) }, []string{b}, nil},
			"to nobody":            {func() { _ = here.To("nobody").Emit("x", 1) }, nil, nil},
			"to servers":           {func() { _ = here.ServerSideEmit(ctx, "x", 1) }, nil, nil},
		} {
			test.emit()
			for where, got := range map[string]struct{ got, want []string }{"here": {own.take(), test.here}, "there": {foreign.take(), test.there}} {
				var want []string
				for _, id := range got.want {
					want = append(want, id+" x 1")
				}
				if slices.Sort(want); !slices.Equal(got.got, want) {
					t.Errorf("%s, %s: saw %q, want %q", name, where, got.got, want)
				}
			}
		}
	})
}

// What this node emits is seen before it is sent.
func TestOnAnyOutgoing_ComesBeforeTheEvent(t *testing.T) {
	inClusterBubble(t, 1, server.Options{}, func(t *testing.T, nodes []node) {
		c, _ := nodes[0].member(t)
		ns := nodes[0].Of("/")
		socket := ns.Sockets()[0]
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		ns.OnAnyOutgoing(func(*server.Socket, string, server.Args) { <-release })
		for name, emit := range map[string]func(){
			"Emit of a socket": func() { _ = socket.Emit("x") },
			"Emit":             func() { _ = ns.Emit("x") },
			"Call":             func() { _, _ = server.Call[int](ctx, socket, "x") },
			"CallAll":          func() { server.CallAll[int](ctx, ns.All(), "x") },
		} {
			got := make(chan string, 1)
			go emit()
			go func() { got <- c.Next() }()
			synctest.Wait()
			if len(got) > 0 {
				t.Errorf("%s: %q was sent before it was seen", name, <-got)
			}
			release <- struct{}{}
			<-got
		}
		cancel()
	})
}

func TestOnAnyOutgoing_PanicEndsThatSocketOnly(t *testing.T) {
	for name, emit := range map[string]func(nodes []node, s *server.Socket){
		"Emit of the socket":   func(_ []node, s *server.Socket) { _ = s.Emit("x") },
		"Emit":                 func(nodes []node, _ *server.Socket) { _ = nodes[0].Emit("x") },
		"Emit of another node": func(nodes []node, _ *server.Socket) { _ = nodes[1].Emit("x") },
		"Call":                 func(_ []node, s *server.Socket) { _, _ = server.Call[int](context.Background(), s, "x") },
		"CallAll": func(nodes []node, _ *server.Socket) {
			server.CallAll[int](context.Background(), nodes[0].Of("/").All(), "x")
		},
		"CallAll of another node": func(nodes []node, _ *server.Socket) {
			server.CallAll[int](context.Background(), nodes[1].Of("/").All(), "x")
		},
		"Emit and more of the other": func(nodes []node, _ *server.Socket) { _ = nodes[1].Emit("x"); _ = nodes[1].Emit("x") },
	} {
		t.Run(name, func(t *testing.T) {
			inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
				victim, id := nodes[0].member(t)
				ns := nodes[0].Of("/")
				socket := ns.Sockets()[0]
				ns.OnAnyOutgoing(func(s *server.Socket, event string, _ server.Args) {
					if event == "x" && s.ID() == id {
						panic("on purpose")
					}
				})
				other, _ := nodes[0].member(t)
				emit(nodes, socket)
				for got := victim.Next(); got != "1"; got = victim.Next() {
				}
				synctest.Wait()
				if socket.Connected() || len(ns.Sockets()) != 1 {
					t.Errorf("the socket is connected: %v; there are %d", socket.Connected(), len(ns.Sockets()))
				}
				_ = nodes[1].Emit("after")
				for got := other.Next(); got != `2["after"]`; got = other.Next() {
				}
			})
		})
	}
}

func TestOnAnyOutgoing_ExitDoesNotDeafenTheNode(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		nodes[1].Of("/").OnAnyOutgoing(func(_ *server.Socket, event string, _ server.Args) {
			if event == "fatal" {
				runtime.Goexit()
			}
		})
		nodes[1].member(t)
		_ = nodes[0].Emit("fatal")
		synctest.Wait()
		survivor, _ := nodes[1].member(t)
		_ = nodes[0].Emit("after")
		survivor.Expect(`2["after"]`)
	})
}

// What a socket selects of itself stays itself until To.
func TestSocket_VolatileAndCompressSelectTheSocket(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		self, _ := nodes[0].member(t, "a")
		here, _ := nodes[0].member(t, "a")
		there, _ := nodes[1].member(t, "a")
		socket := nodes[0].Of("/").Sockets()[0]
		for i, own := range []server.Broadcast{
			socket.Volatile(), socket.Compress(false), socket.Compress(true).Volatile(), socket.Volatile().Local(), socket.Compress(false).Except("nobody"),
		} {
			synctest.Wait() // connections are idle, so that volatile events are sent
			if err := own.Emit("own", i); err != nil {
				t.Fatal(err)
			}
			self.Expect(fmt.Sprintf(`2["own",%d]`, i))
			synctest.Wait()
			if err := own.To("a").Emit("others", i); err != nil {
				t.Fatal(err)
			}
			here.Expect(fmt.Sprintf(`2["others",%d]`, i))
			if i != 3 { // Local
				there.Expect(fmt.Sprintf(`2["others",%d]`, i))
			}
		}
		if err := socket.Volatile().Except("a").Emit("nobody"); err != nil {
			t.Error(err)
		}
		self.ExpectNothing("/")
		here.ExpectNothing("/")
		there.ExpectNothing("/")
		self.Send("1")
		synctest.Wait()
		if err := socket.Volatile().Emit("late"); err != server.ErrDisconnected {
			t.Errorf("after the end: %v, want ErrDisconnected", err)
		}
	})
}
