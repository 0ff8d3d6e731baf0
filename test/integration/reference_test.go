//go:build integration

package integration

import (
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/server"
)

// Two roomcast nodes and one of the reference implementation are one cluster: the
// clients of each hear what any of them emits, once.
func TestReference_NodeIsInTheCluster(t *testing.T) {
	redisAddr := redisserver.Addr(t)
	var reference struct{ URL string }
	startScript(t, "node.mjs", "redis://"+redisAddr).next(t, &reference)
	nodes := []*node{startNode(t, redisAddr, server.Options{}), startNode(t, redisAddr, server.Options{})}
	awaitMembers(t, nodes)
	urls := append(urlsOf(nodes), reference.URL)
	player := startPlayer(t)
	for _, transport := range transports {
		for _, story := range []string{"broadcasts", "membership", "volatile"} {
			t.Run(story+"/"+transport, func(t *testing.T) {
				player.play(t, nil, scene{Story: story, Transport: transport, Nodes: urls})
			})
		}
	}
}

func TestReference_EmitterReachesClients(t *testing.T) {
	nodes, redisAddr := startNodes(t)
	player := startPlayer(t)
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			player.play(t, nil, scene{Story: "emitter", Transport: transport, Nodes: urlsOf(nodes), Redis: "redis://" + redisAddr})
		})
	}
}
