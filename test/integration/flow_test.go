//go:build integration

package integration

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// flows are the numbers that each socket has sent.
type flows struct {
	mu      sync.Mutex
	sockets map[string]*flow
}

type flow struct {
	Received int    `json:"received"`
	Disorder string `json:"disorder"` // the first number that was out of order
}

func (f *flows) of(id string) *flow {
	if f.sockets[id] == nil {
		f.sockets[id] = new(flow)
	}
	return f.sockets[id]
}

// serveFlow answers the numbered events of a client with the same numbers, and
// checks that none is missing, repeated or out of order.
func serveFlow(n *node) {
	f := &flows{sockets: make(map[string]*flow)}
	server.On(n.Of("/"), "flow", func(_ context.Context, s *server.Socket, args server.Args) error {
		var number int
		var part []byte
		if err := args.Decode(&number, &part); err != nil {
			return err
		}
		f.check(s.ID(), number, string(part))
		return s.Emit("flow", all(args)...)
	})
	server.Handle(n.Of("/"), "flow total", func(_ context.Context, s *server.Socket, _ struct{}) (flow, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return *f.of(s.ID()), nil
	})
}

func (f *flows) check(id string, number int, part string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	flow := f.of(id)
	if (flow.Received != number || part != "" && part != strconv.Itoa(number)) && flow.Disorder == "" {
		flow.Disorder = fmt.Sprintf("event %d was number %d with %q", flow.Received, number, part)
	}
	flow.Received++
}

// tick broadcasts numbers from each node, every seventh with a binary part, until
// the test ends.
func tick(t *testing.T, nodes []*node, pause time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var speaking sync.WaitGroup
	for _, n := range nodes {
		speaking.Go(func() {
			clock := time.NewTicker(pause)
			defer clock.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				args := []any{n.NodeID(), i}
				if i%7 == 0 {
					args = append(args, []byte(strconv.Itoa(i)))
				}
				if err := n.Emit("tick", args...); err != nil {
					t.Errorf("emit: %v", err)
				}
				<-clock.C
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		speaking.Wait()
	})
}

func TestUpgrade_InFlowLosesRepeatsAndReordersNothing(t *testing.T) {
	nodes, _ := startNodes(t)
	player := startPlayer(t)
	tick(t, nodes, 10*time.Millisecond)
	for round := range 3 {
		var result struct{ Clients, Upgraded, Ticks int }
		player.play(t, &result, scene{Story: "upgradeInFlow", Transport: "upgrade", Nodes: urlsOf(nodes), Clients: 30, Events: 300})
		t.Logf("round %d: %+v", round, result)
		if result.Upgraded != result.Clients {
			t.Errorf("%d of %d clients sent over both transports", result.Upgraded, result.Clients)
		}
		if result.Ticks < 10*result.Clients {
			t.Errorf("%d clients heard only %d broadcasts", result.Clients, result.Ticks)
		}
	}
}
