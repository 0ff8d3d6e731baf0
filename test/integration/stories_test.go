//go:build integration

package integration

import (
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/server"
)

// transports are the ways of a client; "upgrade" begins with polling.
var transports = []string{"polling", "websocket", "upgrade"}

// stories are played by the official client on three nodes, each over every
// transport; the functions in js/stories have their names.
var stories = []string{
	"severalArguments", "acknowledgements", "binary", "unicode", "loneSurrogates", "largePayload",
	"namespaces", "dynamicNamespaces", "unknownNamespace", "middleware", "auth", "welcome",
	"broadcasts", "membership", "volatile",
	"serverDisconnect", "serverClose", "clientDisconnect", "crowd",
}

func TestClient_PlaysEveryStory(t *testing.T) {
	nodes, _ := startNodes(t)
	player := startPlayer(t)
	for _, transport := range transports {
		for _, story := range stories {
			t.Run(story+"/"+transport, func(t *testing.T) {
				player.play(t, nil, scene{Story: story, Transport: transport, Nodes: urlsOf(nodes)})
			})
		}
	}
}

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
