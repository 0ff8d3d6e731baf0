//go:build integration

package integration

import (
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/server"
)

// transports are the ways of a client; "upgrade" begins with polling.
var transports = []string{"polling", "websocket", "upgrade"}

func TestClient_ReconnectsToAnotherNode(t *testing.T) {
	redisAddr := redisserver.Addr(t)
	player := startPlayer(t)
	for _, transport := range transports {
		for _, story := range []string{"reconnection", "shutdown"} { // when its own dies, and when it is told to stop
			t.Run(story+"/"+transport, func(t *testing.T) {
				nodes := []*node{startNode(t, redisAddr, server.Options{}), startNode(t, redisAddr, server.Options{})}
				awaitMembers(t, nodes)
				player.play(t, nil, scene{Story: story, Transport: transport, Nodes: urlsOf(nodes)})
			})
		}
	}
}
