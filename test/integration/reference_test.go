//go:build integration

package integration

import (
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/server"
)

// What the stories say is true of the reference implementation: they are played on
// servers of it alone.
func TestReference_StoriesAreTrueOfIt(t *testing.T) {
	for _, c := range chapters {
		t.Run(c.name, func(t *testing.T) {
			addr := redisserver.Addr(t)
			count := 3
			if c.recovery != nil {
				count = 1
			}
			var urls []string
			for _, s := range startReference(t, count, c.reference(addr)) {
				urls = append(urls, s.url)
			}
			player := startPlayer(t)
			for _, f := range c.features {
				for _, story := range f.stories {
					if c.recovery == nil && !plays(mixed, story) || ownAskers[story] {
						continue
					}
					t.Run(story, func(t *testing.T) {
						player.play(t, nil, scene{Story: story, Transport: "websocket", Nodes: urls, Parser: c.parser, Redis: "redis://" + addr})
					})
				}
			}
		})
	}
}

// A server of the reference asks nodes of roomcast that were not told of it: they
// answer, and take part in its broadcasts.
func TestReference_AsksNodesThatDoNotKnowIt(t *testing.T) {
	addr := redisserver.Addr(t)
	reference := startReference(t, 1, referenceOptions{Redis: "redis://" + addr})[0]
	nodes := []*node{startNode(t, addr, server.Options{}), startNode(t, addr, server.Options{})}
	awaitMembers(t, nodes)
	player := startPlayer(t)
	for _, story := range []string{"broadcasts", "fetchSockets", "allRooms", "answers"} {
		t.Run(story, func(t *testing.T) {
			s := scene{Story: story, Transport: "websocket", Nodes: append(urlsOf(nodes), reference.url), Askers: []int{2}}
			player.play(t, nil, s)
		})
	}
}
