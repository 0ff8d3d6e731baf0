//go:build integration

package integration

import (
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/server"
)

// What the stories say is true of the reference implementation: they are played on
// servers of it alone, with each of its adapters.
func TestReference_StoriesAreTrueOfIt(t *testing.T) {
	for column, k := range map[int]kind{single: alone, mixedClassic: classic, mixedSharded: sharded, mixedStreams: streams} {
		for _, c := range chapters {
			if c.runs(column) > 0 && (k != alone || c.recovery != nil) {
				t.Run(c.name+" "+string(k), func(t *testing.T) { c.playOnReference(t, column, k) })
			}
		}
	}
}

func (c *chapter) playOnReference(t *testing.T, column int, k kind) {
	addr, count := redisserver.Addr(t), 3
	if k == alone {
		count = 1
	}
	var urls []string
	for _, s := range startReference(t, count, c.reference(k, addr)) {
		urls = append(urls, s.url)
	}
	player := startPlayer(t)
	for _, f := range c.features {
		for _, story := range f.stories {
			if !plays(column, story) || ownAskers[story] && k != alone {
				continue
			}
			t.Run(story, func(t *testing.T) {
				player.play(t, nil, scene{Story: story, Transport: "websocket", Nodes: urls, Parser: c.parser, Redis: "redis://" + addr, Adapter: k})
			})
		}
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
