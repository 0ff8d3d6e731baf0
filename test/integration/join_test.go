//go:build integration

package integration

import (
	"fmt"
	"sync"
	"testing"

	"github.com/roomcast/roomcast/pkg/server"
)

// When Join has returned on one node, a broadcast that another node emits in the
// next moment arrives: to a room that is new, to one that was left a moment ago,
// and while other sockets join and leave the same room.
func TestJoin_NextBroadcastOfAnotherNodeArrives(t *testing.T) {
	nodes, _ := startNodes(t)
	const joiners, rounds = 8, 500
	room := map[string]func(joiner, round int) string{
		"new":    func(joiner, round int) string { return fmt.Sprintf("%d of %d", round, joiner) },
		"left":   func(joiner, _ int) string { return fmt.Sprintf("own of %d", joiner) },
		"shared": func(int, int) string { return "shared" },
	}
	for name, roomOf := range room {
		t.Run(name, func(t *testing.T) {
			var joining sync.WaitGroup
			for j := range joiners {
				home, away := nodes[j%len(nodes)], nodes[(j+1)%len(nodes)]
				l := listen(t, home)
				s := socketOf(t, home, l.id)
				joining.Go(func() { joinAndHear(t, s, l, away, rounds, func(round int) string { return roomOf(j, round) }) })
			}
			joining.Wait()
		})
	}
}

// joinAndHear joins a room, has another node emit to it, waits for the event and
// leaves, many times.
func joinAndHear(t *testing.T, s *server.Socket, l *listener, away *node, rounds int, room func(int) string) {
	for round := range rounds {
		if err := s.Join(t.Context(), room(round)); err != nil {
			t.Errorf("join: %v", err)
			return
		}
		if err := away.To(room(round)).Emit("n", s.ID(), round); err != nil {
			t.Errorf("emit: %v", err)
			return
		}
		if !l.hears(s.ID(), round) {
			t.Errorf("round %d: the broadcast after Join did not arrive", round)
			return
		}
		s.Leave(room(round))
	}
}
